import type { Readable } from "node:stream";
import { type Dispatcher, request as send } from "undici";
import { SandboxesError } from "../../../client/errors";
import type { RegistryReference } from "../imageReference";
import type { SourceAccess } from "../sourceAccess";
import { loginFromFiles, type RegistryLogin } from "./authFiles";
import { isLoopback, RegistryAuthorization, type TokenRequest } from "./authorization";
import { connectionError, statusError } from "./registryError";
import { registryDispatcher } from "./registryTransport";

export interface RegistryAnswer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** Read it, or destroy it. */
  body: Readable;
}

const maxRedirects = 5;
const errorBodyBytes = 16 * 1024;
const tokenBytes = 256 * 1024;

/**
 * One image's registry, spoken with as https://distribution.github.io/distribution/spec/api/ says: finds the login,
 * answers challenges, follows redirects. Rejects with `ImageNotFound`, `RegistryFailed` or, where another try may
 * help, a `PassingFailure`. The caller closes it.
 */
export class RegistryClient {
  readonly #reference: RegistryReference;
  readonly #dispatcher: Dispatcher;
  readonly #authorization: RegistryAuthorization;
  readonly #silenceMs: number;
  #base: URL;

  private constructor(reference: RegistryReference, login: RegistryLogin | undefined, access: SourceAccess) {
    this.#reference = reference;
    this.#silenceMs = access.limits.stallMs;
    this.#dispatcher = registryDispatcher(reference.host);
    const host = reference.host === "docker.io" ? "registry-1.docker.io" : reference.host;
    this.#base = new URL(`https://${host}/v2/${reference.repository}/`);
    this.#authorization = new RegistryAuthorization(reference, login, this.#askForToken);
  }

  static async open(reference: RegistryReference, access: SourceAccess): Promise<RegistryClient> {
    const login = access.credentials ?? (await loginFromFiles(reference, access.signal));
    const client = new RegistryClient(reference, login, access);
    if (isLoopback(reference.host)) await client.#findProtocol(access.signal);
    return client;
  }

  /** The answer to a GET below the repository, of one of the statuses wanted; `manifests/latest`. */
  async get(
    path: string,
    { headers, signal, wanted }: { headers: Record<string, string>; signal: AbortSignal; wanted: number[] },
  ): Promise<RegistryAnswer> {
    let url = new URL(path, this.#base);
    for (let redirects = 0, challenges = 0; ; ) {
      const answer = await this.#send(url, headers, signal);
      const { status } = answer;
      if (wanted.includes(status)) return answer;
      const said = await limitedText(answer.body, errorBodyBytes).catch(() => "");
      signal.throwIfAborted();
      if (status === 401 && this.#isOwn(url) && challenges++ === 0) {
        if (await this.#authorization.answer([answer.headers["www-authenticate"]].flat().join(", "), this.#base))
          continue;
      }
      const location = single(answer.headers.location);
      if (status >= 300 && status < 400 && location !== undefined && redirects++ < maxRedirects) {
        url = this.#redirected(url, location);
        continue;
      }
      const { hasCredentials } = this.#authorization;
      throw statusError(
        this.#what,
        { status, retryAfter: single(answer.headers["retry-after"]), hasCredentials },
        said,
      );
    }
  }

  close(): Promise<void> {
    // Not close(): that would wait for answers that nobody reads any more.
    return this.#dispatcher.destroy();
  }

  get #what(): string {
    return this.#reference.canonical;
  }

  async #send(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<RegistryAnswer> {
    // Where a registry redirects to is another's: it gets an address that is signed, and no password of ours.
    const { header } = this.#authorization;
    const authorization = this.#isOwn(url) && header !== undefined ? { authorization: header } : {};
    try {
      const answer = await send(url, {
        dispatcher: this.#dispatcher,
        headers: { "user-agent": "pulumi-sandboxes", "accept-encoding": "identity", ...headers, ...authorization },
        headersTimeout: this.#silenceMs,
        bodyTimeout: this.#silenceMs,
        signal,
      });
      return { status: answer.statusCode, headers: answer.headers, body: answer.body };
    } catch (error) {
      signal.throwIfAborted();
      throw connectionError(this.#what, error);
    }
  }

  readonly #askForToken: TokenRequest = async (url, { method, headers, body }) => {
    try {
      const limits = { headersTimeout: this.#silenceMs, signal: AbortSignal.timeout(this.#silenceMs) };
      const answer = await send(url, { dispatcher: this.#dispatcher, method, headers, body, ...limits });
      const text = await limitedText(answer.body, tokenBytes);
      return { status: answer.statusCode, text, retryAfter: single(answer.headers["retry-after"]) };
    } catch (error) {
      throw connectionError(this.#what, error);
    }
  };

  #isOwn(url: URL): boolean {
    return url.origin === this.#base.origin;
  }

  #redirected(from: URL, location: string): URL {
    const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
    const isSafe =
      to?.protocol === "https:" || (to?.protocol === "http:" && from.protocol === "http:" && isLoopback(to.host));
    if (to && isSafe) return to;
    throw new SandboxesError("RegistryFailed", `image ${this.#what}: the registry redirects to no safe place`);
  }

  /** A registry on this machine may speak plain HTTP. */
  async #findProtocol(signal: AbortSignal): Promise<void> {
    try {
      const { body } = await send(new URL("/v2/", this.#base), { dispatcher: this.#dispatcher, signal });
      body.on("error", () => undefined).destroy();
    } catch {
      signal.throwIfAborted();
      // Whatever it was, the next request tells of it.
      this.#base = new URL(this.#base.href.replace("https:", "http:"));
    }
  }
}

/** A body of at most so many bytes; `RegistryFailed` for a longer one. */
export async function limitedText(body: Readable, maxBytes: number): Promise<string> {
  return (await limitedBytes(body, maxBytes)).toString();
}

export async function limitedBytes(body: Readable, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBytes) throw new SandboxesError("RegistryFailed", `the registry sent more than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
