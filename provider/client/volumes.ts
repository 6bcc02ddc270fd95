import type { CallOptions, HttpClient, HttpRequest } from "./http";
import { allOf, eachOf } from "./pages";
import { removeIfThere } from "./removal";
import { type PutVolumeContent, type VolumeView, volumePage, volumeView } from "./wire/volumes";

/** Volumes of one group: files that outlive sandboxes. */
export class VolumesApi {
  readonly #http: HttpClient;
  readonly #path: string;

  constructor(http: HttpClient, groupPath: string) {
    this.#http = http;
    this.#path = `${groupPath}/volumes`;
  }

  /** Creates, or changes labels and size, whoever made it; rejects with `Conflict` for another type. Repeatable. */
  put(name: string, content: PutVolumeContent, { signal }: CallOptions = {}): Promise<VolumeView> {
    const action = `write volume "${name}"`;
    return this.#http.json(volumeView, { method: "PUT", path: this.#one(name), json: content, action, signal });
  }

  get(name: string, { signal }: CallOptions = {}): Promise<VolumeView> {
    const action = `read volume "${name}"`;
    return this.#http.json(volumeView, { method: "GET", path: this.#one(name), action, signal });
  }

  list({ signal }: CallOptions = {}): Promise<VolumeView[]> {
    const request: HttpRequest = { method: "GET", path: this.#path, action: "list volumes", signal };
    return allOf(eachOf(this.#http, volumePage, request));
  }

  /** With all that it holds. Rejects with `InUse` while a sandbox has it; succeeds also when it was not there. */
  delete(name: string, { signal }: CallOptions = {}): Promise<void> {
    return removeIfThere(this.#http, { path: this.#one(name), action: `delete volume "${name}"`, signal });
  }

  #one(name: string): string {
    return `${this.#path}/${encodeURIComponent(name)}`;
  }
}
