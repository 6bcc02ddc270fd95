import type { CallOptions, HttpClient, HttpRequest } from "./http";
import { allOf, eachLinked } from "./pages";
import { removeIfThere } from "./removal";
import { type SecretView, secretKeysView, secretPage, secretView } from "./wire/secrets";

/** Secrets of one group. Nothing here reads a value back. */
export class SecretsApi {
  readonly #http: HttpClient;
  readonly #path: string;

  constructor(http: HttpClient, groupPath: string) {
    this.#http = http;
    this.#path = `${groupPath}/secrets`;
  }

  /** Creates, or replaces all values, whoever made it. Repeatable. */
  put(id: string, values: Record<string, string>, { signal }: CallOptions = {}): Promise<SecretView> {
    const action = `write secret "${id}"`;
    return this.#http.json(secretView, { method: "PUT", path: this.#one(id), json: { values }, action, signal });
  }

  /** Names of its values. */
  async keys(id: string, { signal }: CallOptions = {}): Promise<string[]> {
    const request = { method: "GET", path: `${this.#one(id)}/keys`, action: `read secret "${id}"`, signal } as const;
    return (await this.#http.json(secretKeysView, request)).keys;
  }

  /** Undefined when there is none. Ids differ by more than the case of letters. Azure reads one from the list only. */
  async find(id: string, options: CallOptions = {}): Promise<SecretView | undefined> {
    const isSame = (view: SecretView) => view.id.toLowerCase() === id.toLowerCase();
    return (await this.list(options)).find(isSame);
  }

  list({ signal }: CallOptions = {}): Promise<SecretView[]> {
    const request: HttpRequest = { method: "GET", path: this.#path, action: "list secrets", signal };
    return allOf(eachLinked(this.#http, secretPage, request));
  }

  /** Succeeds also when it was not there. */
  delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    return removeIfThere(this.#http, { path: this.#one(id), action: `delete secret "${id}"`, signal });
  }

  #one(id: string): string {
    return `${this.#path}/${encodeURIComponent(id)}`;
  }
}
