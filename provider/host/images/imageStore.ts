/** Brings images onto the host: from a registry, a file or a recipe to one read-only squashfs, kept by digest. */
export interface ImageStore {
  /**
   * Imports what `reference` points to now. Cached by digest: a second import of the same digest copies nothing;
   * callers that ask at once share one import. Forms: `python` (a catalogue name), `docker.io/library/python:3.12`
   * (a registry), `oci:/dir[:tag]`, `docker-archive:/file[:tag]`, `rootfs:/file.tar[.gz|.zst]`.
   * Rejects with `ImageNotFound`, `ImageInvalid`, `RegistryFailed` or `Invalid`.
   */
  import(reference: string, options?: ImportOptions): Promise<StoredImage>;
  /** The digest `reference` points to now, without importing; undefined where only an import can tell. */
  resolve(reference: string, options?: ImportOptions): Promise<string | undefined>;
  /** An image imported earlier, by its digest. */
  get(digest: string): Promise<StoredImage | undefined>;
  list(): Promise<StoredImage[]>;
  /** Removes an image's files; the caller has made sure that nothing uses it. Repeatable. */
  remove(digest: string): Promise<void>;
  /** Downloads that were cut off and that no import has taken up since. */
  abandonedPulls(): Promise<AbandonedPull[]>;
  /** Removes one; false where there is none any more, or an import is at it now. */
  removePull(digest: string): Promise<boolean>;
  /** Names that every caller may use, with one line each. */
  catalogue(): CatalogueEntry[];
}

export interface ImportOptions {
  credentials?: { username: string; password: string };
  signal?: AbortSignal;
  onProgress?: (message: string) => void;
}

export interface StoredImage {
  /** `sha256:…`: the manifest's for OCI images, the content's for tars and recipes. */
  digest: string;
  /** Canonical reference it came from. */
  reference: string;
  /** Absolute path of the squashfs. */
  rootfsPath: string;
  /** `sha256:…` of the squashfs file. */
  rootfsDigest: string;
  sizeBytes: number;
  config: ImageConfig;
  importedAt: string;
}

export interface AbandonedPull {
  /** Of the image that it was to become. */
  digest: string;
  /** Bytes on disk. */
  sizeBytes: number;
}

/** The part of an OCI image configuration that a sandbox honours. */
export interface ImageConfig {
  env: Record<string, string>;
  entrypoint: string[];
  cmd: string[];
  workingDir: string;
  user: string;
  stopSignal?: string;
  labels: Record<string, string>;
  exposedPorts: number[];
}

export interface CatalogueEntry {
  name: string;
  description: string;
  /** `recipe:debian`, or the canonical reference that the name stands for on this host. */
  source?: string;
}
