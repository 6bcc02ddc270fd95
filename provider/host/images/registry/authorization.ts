import { SandboxesError } from "../../../client/errors";
import type { RegistryReference } from "../imageReference";
import type { RegistryLogin } from "./authFiles";
import { credentialsError, statusError } from "./registryError";

/** A request to a registry's token service; the body is limited. */
export type TokenRequest = (
  url: URL,
  request: { method: "GET" | "POST"; headers: Record<string, string>; body?: string },
) => Promise<{ status: number; text: string; retryAfter: string | undefined }>;

/**
 * Turns a registry's challenges into `Authorization` headers: Basic, or a token of the service that the challenge names.
 * https://distribution.github.io/distribution/spec/auth/token/
 */
export class RegistryAuthorization {
  readonly #reference: RegistryReference;
  readonly #login: RegistryLogin | undefined;
  readonly #request: TokenRequest;
  #header: string | undefined;

  constructor(reference: RegistryReference, login: RegistryLogin | undefined, request: TokenRequest) {
    this.#reference = reference;
    this.#login = login;
    this.#request = request;
  }

  /** For the next request; undefined until a challenge was answered. */
  get header(): string | undefined {
    return this.#header;
  }

  get hasCredentials(): boolean {
    return this.#login !== undefined;
  }

  /** Answers the challenge of a 401; false where there is nothing to answer it with. */
  async answer(challenges: string, registry: URL): Promise<boolean> {
    const bearer = parameters(challenges, "bearer");
    if (bearer?.realm) {
      this.#header = `Bearer ${await this.#token(bearer, registry)}`;
      return true;
    }
    if (!/(^|,)\s*basic\b/i.test(challenges) || !this.#login || !("username" in this.#login)) return false;
    // Basic has no second try: the same would be refused again.
    if (this.#header) throw credentialsError(this.#what, 401, "");
    this.#header = basic(this.#login);
    return true;
  }

  get #what(): string {
    return this.#reference.canonical;
  }

  async #token({ realm = "", service, scope }: Record<string, string>, registry: URL): Promise<string> {
    const url = this.#realmOf(realm, registry);
    const wanted = scope || `repository:${this.#reference.repository}:pull`;
    const { status, text, retryAfter } = await this.#askForToken(url, service, wanted);
    if (status !== 200) {
      const isRefusal = status === 400 || status === 401 || status === 403 || status === 404;
      if (isRefusal && this.#login) throw credentialsError(this.#what, status, text);
      throw statusError(this.#what, { status: isRefusal ? 401 : status, retryAfter, hasCredentials: false }, text);
    }
    const token = tokenIn(text);
    if (token) return token;
    throw new SandboxesError("RegistryFailed", `image ${this.#what}: the registry's token service gave no token`);
  }

  #askForToken(url: URL, service: string | undefined, scope: string) {
    const login = this.#login;
    if (login && "identityToken" in login) {
      const form = {
        grant_type: "refresh_token",
        refresh_token: login.identityToken,
        client_id: "pulumi-sandboxes",
        scope,
      };
      const body = new URLSearchParams(service === undefined ? form : { ...form, service }).toString();
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      return this.#request(url, { method: "POST", headers, body });
    }
    if (service !== undefined) url.searchParams.set("service", service);
    for (const each of scope.split(" ")) url.searchParams.append("scope", each);
    return this.#request(url, { method: "GET", headers: login ? { authorization: basic(login) } : {} });
  }

  /** Nobody gets a password over a line that others can listen to, whatever the registry says. */
  #realmOf(realm: string, registry: URL): URL {
    const url = URL.canParse(realm) ? new URL(realm) : undefined;
    const isLocal = registry.protocol === "http:" && url?.protocol === "http:" && isLoopback(url.hostname);
    if (url && (url.protocol === "https:" || isLocal)) return url;
    throw new SandboxesError("RegistryFailed", `image ${this.#what}: the registry names no safe token service`);
  }
}

/** Whether a host's name, with or without port, means this machine. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?$/.test(host);
}

/** The parameters of one scheme in a `WWW-Authenticate` header (RFC 9110, section 11.6.1). */
function parameters(challenges: string, scheme: string): Record<string, string> | undefined {
  const start = new RegExp(`(?:^|,)\\s*${scheme}\\s+`, "i").exec(challenges);
  if (!start) return undefined;
  const found: Record<string, string> = {};
  const pattern = /\s*([a-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)/iy;
  pattern.lastIndex = start.index + start[0].length;
  for (let match = pattern.exec(challenges); match; match = pattern.exec(challenges)) {
    found[(match[1] as string).toLowerCase()] = match[2]?.replace(/\\(.)/g, "$1") ?? match[3] ?? "";
  }
  return found;
}

function basic(login: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${login.username}:${login.password}`).toString("base64")}`;
}

function tokenIn(text: string): string | undefined {
  try {
    const { token, access_token: accessToken } = JSON.parse(text) as Record<string, unknown>;
    const found = token || accessToken;
    // What cannot be in a header is none.
    return typeof found === "string" && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
  } catch {
    return undefined; // No JSON, no token.
  }
}
