import type { CallOptions } from "../client/http";
import type { SnapshotsApi } from "../client/snapshots";
import type { SnapshotView } from "../client/wire/snapshots";

/** Memory, programs and files of a sandbox at one moment, to make sandboxes of. It outlives the sandbox. */
export class Snapshot implements AsyncDisposable {
  readonly id: string;
  readonly #api: SnapshotsApi;
  readonly #view: SnapshotView;

  constructor(api: SnapshotsApi, view: SnapshotView) {
    this.#api = api;
    this.#view = view;
    this.id = view.id;
  }

  /** May be deleted since. */
  get sandboxId(): string | undefined {
    return this.#view.sandboxId ?? undefined;
  }

  get labels(): Readonly<Record<string, string>> {
    return this.#view.labels;
  }

  get createdAt(): Date | undefined {
    return this.#view.createdAtUtc ? new Date(this.#view.createdAtUtc) : undefined;
  }

  /** MiB that it takes. */
  get sizeMiB(): number | undefined {
    return this.#view.sizeInMB ?? undefined;
  }

  /** Sandboxes made from it go on. Repeatable. */
  delete(options: CallOptions = {}): Promise<void> {
    return this.#api.delete(this.id, options);
  }

  /** `await using` deletes it at the end of the scope. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.delete();
  }
}
