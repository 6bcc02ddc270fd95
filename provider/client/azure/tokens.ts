import { isSandboxesError, SandboxesError } from "../errors";
import { registerSecret, scrub } from "../secrets";

/** Gives bearer tokens by OAuth scope. Whoever asks keeps none: the source renews them. */
export interface TokenSource {
  get(scope: string, signal?: AbortSignal): Promise<string>;
  /** Drops a token that a service refused; false when it had only just been issued, so that another helps nothing. */
  forget(scope: string): boolean;
}

/** What a credential of `@azure/identity` is to us. */
export interface Credential {
  getToken(
    scopes: string,
    options?: { abortSignal?: AbortSignal },
  ): Promise<{ token: string; expiresOnTimestamp: number; refreshAfterTimestamp?: number } | null>;
}

interface Issued {
  token: string;
  issuedAt: number;
  refreshAt: number;
  expiresAt: number;
}

/** Entra allows five minutes of clock skew; a request may be under way for some of that. */
const refreshBeforeMs = 5 * 60_000;
/** A token younger than this was not refused for its age. */
const freshMs = 60_000;
const limitMs = 60_000;

/** Tokens of a credential, kept until shortly before they expire; callers at the same time share one request. */
export class CachedTokens implements TokenSource {
  readonly #credential: () => Promise<Credential>;
  readonly #issued = new Map<string, Issued>();
  readonly #asking = new Map<string, Promise<Issued>>();
  readonly #now: () => number;

  /** The credential is made on first use: a target that is not used needs none. */
  constructor(credential: () => Promise<Credential>, now: () => number = Date.now) {
    this.#credential = credential;
    this.#now = now;
  }

  async get(scope: string, signal?: AbortSignal): Promise<string> {
    signal?.throwIfAborted();
    const known = this.#issued.get(scope);
    if (known && this.#now() < known.refreshAt) return known.token;
    try {
      return (await this.#ask(scope)).token;
    } catch (error) {
      // While it holds, an old token is better than none.
      if (known && this.#now() < known.expiresAt) return known.token;
      throw error;
    }
  }

  forget(scope: string): boolean {
    const known = this.#issued.get(scope);
    if (known && this.#now() - known.issuedAt < freshMs) return false;
    return this.#issued.delete(scope);
  }

  #ask(scope: string): Promise<Issued> {
    const running = this.#asking.get(scope) ?? this.#request(scope).finally(() => this.#asking.delete(scope));
    this.#asking.set(scope, running);
    return running;
  }

  async #request(scope: string): Promise<Issued> {
    try {
      const credential = await this.#credential();
      const given = await credential.getToken(scope, { abortSignal: AbortSignal.timeout(limitMs) });
      if (!given) throw new Error("the credential gave no token");
      registerSecret(given.token);
      const { token, expiresOnTimestamp: expiresAt, refreshAfterTimestamp } = given;
      const refreshAt = Math.min(refreshAfterTimestamp ?? expiresAt, expiresAt - refreshBeforeMs);
      const issued = { token, issuedAt: this.#now(), refreshAt, expiresAt };
      this.#issued.set(scope, issued);
      return issued;
    } catch (error) {
      throw isSandboxesError(error) ? error : loginFailure(scope, error);
    }
  }
}

/** A token given by the caller, who renews it. */
export function fixedToken(token: string): TokenSource {
  registerSecret(token);
  return { get: async () => token, forget: () => false };
}

function loginFailure(scope: string, cause: unknown): SandboxesError {
  const said = scrub(cause instanceof Error ? cause.message : String(cause));
  const text = said.replaceAll(/\s+/g, " ").trim().slice(0, 800);
  // The cause is left out: the library's errors carry requests, with what was sent in them.
  return new SandboxesError("Unauthorized", `Cannot get a token for ${scope.replace("/.default", "")}: ${text}`, {
    hint: "sign in with `az login`, or configure clientId and tenantId with a secret, certificate, OIDC or useMsi",
  });
}
