import type { CallOptions, HttpClient, HttpRequest } from "./http";
import { allOf, eachOf } from "./pages";
import { removeIfThere } from "./removal";
import { formatLabelSelector, type Labels, matchesLabels } from "./wire/labels";
import { type CreateSnapshotContent, type SnapshotView, snapshotPage, snapshotView } from "./wire/snapshots";

export interface ListSnapshotsOptions extends CallOptions {
  /** Only those that carry all of these. */
  labels?: Labels;
}

/** Azure was seen to take four minutes for a large sandbox. */
const createTimeoutMs = 15 * 60_000;

/** Snapshots of one group. They outlive the sandbox they were made of. */
export class SnapshotsApi {
  readonly #http: HttpClient;
  readonly #path: string;
  readonly #sandboxPath: (id: string) => string;

  constructor(http: HttpClient, groupPath: string, sandboxPath: (id: string) => string) {
    this.#http = http;
    this.#path = `${groupPath}/snapshots`;
    this.#sandboxPath = sandboxPath;
  }

  /** Saves a running sandbox, which goes on afterwards. Rejects with `NotRunning` when it is stopped. */
  create(sandboxId: string, content: CreateSnapshotContent = {}, { signal }: CallOptions = {}): Promise<SnapshotView> {
    return this.#http.json(snapshotView, {
      method: "POST",
      path: `${this.#sandboxPath(sandboxId)}/snapshot`,
      json: content,
      action: `make a snapshot of sandbox "${sandboxId}"`,
      timeoutMs: createTimeoutMs,
      signal,
    });
  }

  get(id: string, { signal }: CallOptions = {}): Promise<SnapshotView> {
    const action = `read snapshot "${id}"`;
    return this.#http.json(snapshotView, { method: "GET", path: this.#one(id), action, signal });
  }

  /** As the pages come. */
  async *each({ labels, signal }: ListSnapshotsOptions = {}): AsyncGenerator<SnapshotView> {
    const selector = labels && Object.keys(labels).length > 0 ? formatLabelSelector(labels) : undefined;
    const query = { labels: selector };
    const request: HttpRequest = { method: "GET", path: this.#path, query, action: "list snapshots", signal };
    for await (const view of eachOf(this.#http, snapshotPage, request)) {
      if (!labels || matchesLabels(view.labels, labels)) yield view;
    }
  }

  list(options: ListSnapshotsOptions = {}): Promise<SnapshotView[]> {
    return allOf(this.each(options));
  }

  /** Sandboxes made from it go on. Succeeds also when it was not there. */
  delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    return removeIfThere(this.#http, { path: this.#one(id), action: `delete snapshot "${id}"`, signal });
  }

  #one(id: string): string {
    return `${this.#path}/${encodeURIComponent(id)}`;
  }
}
