const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/** What an import may cost at most: an image is untrusted input that is larger unpacked than it looks. */
export interface ImageLimits {
  /** Bytes of all layers, decompressed, and of all files, holes of sparse ones counted. */
  totalBytes: number;
  /** Entries of all layers together, hidden ones too. */
  entries: number;
  /** Bytes of all names, targets of links and attributes together: an import holds them in memory. */
  allNamesBytes: number;
  /** Bytes of one entry's path. */
  pathBytes: number;
  /** Bytes of one path component. */
  nameBytes: number;
  /** Bytes of one extended header: long names and attributes. */
  headerBytes: number;
  layers: number;
  /** Bytes of a manifest, an index or an image configuration. */
  documentBytes: number;
  /** How long a registry may take to answer about a reference, in milliseconds. */
  resolveMs: number;
  /** How long a download may bring as good as nothing, in milliseconds. */
  stallMs: number;
  /** How often in a row something is asked of a registry that fails in a way which may pass. */
  tries: number;
  /** The pause after the first failure, in milliseconds; twice as long after each further one. */
  retryPauseMs: number;
}

/** The limits a host starts with; `createImageStore` takes others. */
export const defaultImageLimits: ImageLimits = {
  // The largest images in wide use, those for training on GPUs, unpack to about 20 GiB.
  totalBytes: 32 * GiB,
  // A full desktop with build tools has about 400,000; an entry costs about 600 bytes of memory during an import.
  entries: 1_000_000,
  // A million entries have about 100 MiB of paths.
  allNamesBytes: 256 * MiB,
  // Linux: PATH_MAX and NAME_MAX. A longer name could not be opened in the guest.
  pathBytes: 4096,
  nameBytes: 255,
  // Linux allows 64 KiB of value per attribute; nothing real comes near this.
  headerBytes: MiB,
  // Container engines stop at 127 layers.
  layers: 128,
  // What registries themselves accept.
  documentBytes: 4 * MiB,
  // A registry answers in about a second; slow proxies and all tries fit.
  resolveMs: 90_000,
  stallMs: 120_000,
  // 0.5, 1, 2 and 4 s in between: a registry that starts again is back by then.
  tries: 5,
  retryPauseMs: 500,
};
