import { createHash } from "node:crypto";
import { isSandboxesError, SandboxesError } from "../../../provider/client/errors";
import type { ImageConfig, ImageStore, ImportOptions, StoredImage } from "../../../provider/host/images/imageStore";

export const plainConfig: ImageConfig = {
  env: { PATH: process.env.PATH ?? "/usr/bin:/bin", FROM_IMAGE: "image" },
  entrypoint: [],
  cmd: ["bash"],
  workingDir: "",
  user: "",
  labels: {},
  exposedPorts: [],
};

/** An image store without bytes: any reference is an image, except what a test says. */
export class Shelf implements ImageStore {
  readonly imports: { reference: string; options?: ImportOptions }[] = [];
  readonly images = new Map<string, StoredImage>();
  /** Bytes of downloads that were cut off, by digest. */
  readonly pulls = new Map<string, number>();
  config: ImageConfig = plainConfig;
  /** Set to make imports wait or fail. */
  beforeImport: ((reference: string) => Promise<void>) | undefined;

  async import(reference: string, options?: ImportOptions): Promise<StoredImage> {
    this.imports.push({ reference, options });
    const aborted = new Promise<never>((_resolve, reject) => {
      options?.signal?.addEventListener("abort", () => reject(options.signal?.reason), { once: true });
    });
    await Promise.race([this.beforeImport?.(reference) ?? Promise.resolve(), aborted]);
    if (reference.includes("missing")) throw new SandboxesError("ImageNotFound", `No image "${reference}"`);
    const digest = `sha256:${createHash("sha256").update(reference).digest("hex")}`;
    const image: StoredImage = {
      digest,
      reference,
      rootfsPath: `/nowhere/${digest}`,
      rootfsDigest: digest,
      sizeBytes: 5 * 2 ** 20,
      config: this.config,
      importedAt: "2026-01-01T00:00:00Z",
    };
    this.images.set(digest, image);
    return image;
  }

  async resolve(): Promise<string | undefined> {
    return undefined;
  }

  async get(digest: string): Promise<StoredImage | undefined> {
    return this.images.get(digest);
  }

  async list(): Promise<StoredImage[]> {
    return [...this.images.values()];
  }

  async remove(digest: string): Promise<void> {
    this.images.delete(digest);
  }

  async abandonedPulls() {
    return [...this.pulls].map(([digest, sizeBytes]) => ({ digest, sizeBytes }));
  }

  async removePull(digest: string): Promise<boolean> {
    return this.pulls.delete(digest);
  }

  catalogue() {
    return [
      { name: "ubuntu", description: "Ubuntu" },
      { name: "python", description: "Python" },
    ];
  }
}

export function hasCode(code: Parameters<typeof isSandboxesError>[1]) {
  return (error: unknown) => isSandboxesError(error, code);
}
