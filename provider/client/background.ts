import { SandboxesError } from "./errors";
import type { CallOptions, HttpClient } from "./http";
import { removeIfThere } from "./removal";
import {
  type BackgroundOutputView,
  type BackgroundView,
  backgroundList,
  backgroundOutputView,
  backgroundView,
  type StartBackgroundContent,
} from "./wire/background";

/** Starting waits for the guest, and for a sandbox that is resumed first. */
const startTimeoutMs = 5 * 60_000;
/** What a host may be late by with an answer that it was to wait with. */
const graceMs = 30_000;

/** Programs in the background of one sandbox. Self-hosted only: on Azure every call rejects with `Unsupported`. */
export class BackgroundApi {
  readonly #http: HttpClient;
  readonly #path: string;

  constructor(http: HttpClient, sandboxPath: string) {
    this.#http = http;
    this.#path = `${sandboxPath}/backgroundProcesses`;
  }

  /** Resolves once it runs. Repeatable: where that id was started before, nothing is. */
  async start(id: string, content: StartBackgroundContent, { signal }: CallOptions = {}): Promise<BackgroundView> {
    const request = { method: "PUT", path: this.#pathOf(id), json: content, repeatable: true } as const;
    const action = "start a program in the background";
    return this.#http.json(backgroundView, { ...request, action, timeoutMs: startTimeoutMs, signal });
  }

  /** In the order of their starts; the newest 64. */
  async list({ signal }: CallOptions = {}): Promise<BackgroundView[]> {
    const action = "list the programs in the background";
    const path = this.#checked(this.#path);
    return (await this.#http.json(backgroundList, { method: "GET", path, action, signal })).value;
  }

  async get(id: string, { signal }: CallOptions = {}): Promise<BackgroundView> {
    const action = `read background process "${id}"`;
    return this.#http.json(backgroundView, { method: "GET", path: this.#pathOf(id), action, signal });
  }

  /** What it printed from that place on; waits that long for something new. */
  async output(
    id: string,
    from: number,
    { waitMs = 0, signal }: CallOptions & { waitMs?: number } = {},
  ): Promise<BackgroundOutputView> {
    const query = { from: String(from), waitMs: String(waitMs) };
    const request = { method: "GET", path: `${this.#pathOf(id)}/output`, query } as const;
    const action = `read the output of background process "${id}"`;
    return this.#http.json(backgroundOutputView, { ...request, action, timeoutMs: waitMs + graceMs, signal });
  }

  /** To the whole tree. Without effect on one that has ended; so it is repeatable only where the signal is. */
  async kill(id: string, signalName: string, { signal }: CallOptions = {}): Promise<void> {
    const action = `signal background process "${id}"`;
    const request = { method: "POST", path: `${this.#pathOf(id)}/signal`, json: { signal: signalName } } as const;
    await this.#http.status({ ...request, action, signal });
  }

  /** Kills its tree and forgets it. Succeeds also when it was not there. */
  remove(id: string, { signal }: CallOptions = {}): Promise<void> {
    return removeIfThere(this.#http, { path: this.#pathOf(id), action: `remove background process "${id}"`, signal });
  }

  #pathOf(id: string): string {
    return this.#checked(`${this.#path}/${encodeURIComponent(id)}`);
  }

  #checked(path: string): string {
    if (this.#http.plane.hasExtensions) return path;
    throw new SandboxesError("Unsupported", "Azure's API knows no programs in the background", {
      hint: "start it from a shell: `setsid program > /tmp/log 2>&1 &`",
    });
  }
}
