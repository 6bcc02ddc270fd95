import { type ErrorCode, SandboxesError } from "../../../client/errors";

/** A failure that may pass by itself: worth another try. */
export class PassingFailure extends SandboxesError {
  /** As the registry asked for; undefined where it did not. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, details: { hint?: string; cause?: unknown; retryAfterMs?: number } = {}) {
    super("RegistryFailed", message, details);
    this.retryAfterMs = details.retryAfterMs;
  }
}

const reachHint = "check the name, and whether the host reaches it (proxy: HTTPS_PROXY of the host process)";
const credentialsHint =
  "give credentials, or log in on the host with `docker login`; Docker Hub also answers so for names that do not exist";

interface Cause {
  pattern: RegExp;
  reason: string;
  hint?: string;
  /** Trying again is of no use. */
  final?: true;
  /** There is no way to the registry at all: it neither refused nor failed. */
  unreachable?: true;
}

// Codes of Node, OpenSSL and undici.
const causes: Cause[] = [
  {
    pattern: /^ECONNREFUSED$/,
    reason: "the registry cannot be reached: connection refused",
    hint: reachHint,
    unreachable: true,
  },
  {
    pattern: /^ENOTFOUND$/,
    reason: "the registry's name cannot be resolved",
    hint: reachHint,
    unreachable: true,
    final: true,
  },
  { pattern: /^EAI_/, reason: "the registry's name cannot be resolved", hint: reachHint, unreachable: true },
  {
    pattern: /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_SSL|ERR_TLS|^EPROTO$/,
    reason: "no trusted TLS connection to the registry can be made",
    hint: "only registries on this machine may do without; else add the registry's CA under /etc/containers/certs.d",
    final: true,
  },
  {
    pattern: /^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/,
    reason: "the registry cannot be reached",
    hint: reachHint,
    unreachable: true,
  },
  { pattern: /^UND_ERR_(HEADERS|BODY)_TIMEOUT$/, reason: "nothing more came from the registry" },
  { pattern: /^(ECONNRESET|EPIPE|UND_ERR_SOCKET|ERR_STREAM_PREMATURE_CLOSE)$/, reason: "the connection was cut" },
  { pattern: /^(HPE_|UND_ERR_RES)/, reason: "the registry does not speak HTTP", final: true },
];

/** What a failed request means for whoever wanted `what`: why, and what mends it. Errors of ours pass unchanged. */
export function connectionError(what: string, error: unknown): unknown {
  if (error instanceof SandboxesError) return error;
  const code = codeOf(error);
  if (code === undefined) return error;
  const cause = causeOf(code);
  const reason = cause?.reason ?? "it cannot be fetched";
  const message = `image ${what}: ${reason}${reason.includes(":") ? "" : ` (${code})`}`;
  const details = { hint: cause?.hint, cause: error };
  return cause?.final ? new SandboxesError("RegistryFailed", message, details) : new PassingFailure(message, details);
}

/** Whether a failure of `connectionError` says that there is no way to the registry. */
export function isUnreachable(error: unknown): boolean {
  const code = error instanceof SandboxesError ? codeOf(error.cause) : undefined;
  return code !== undefined && causeOf(code)?.unreachable === true;
}

/** What an answer other than the wanted one means. `said` is the body, of which a piece is repeated. */
export function statusError(
  what: string,
  answer: { status: number; retryAfter: string | undefined; hasCredentials: boolean },
  said: string,
): SandboxesError {
  const { status } = answer;
  const words = condensed(said);
  const text = (reason: string) => `image ${what}: ${reason} (HTTP ${status}${words && `: ${words}`})`;
  if (status === 404) return failure("ImageNotFound", text("the registry has no such image or tag"));
  if (status === 401 || status === 403) {
    const reason = answer.hasCredentials
      ? "the registry does not let these credentials read the image"
      : "the registry wants credentials for the image";
    return failure("RegistryFailed", text(reason), credentialsHint);
  }
  const retryAfterMs = retryAfterOf(answer.retryAfter);
  if (status === 429) {
    return new PassingFailure(text("the registry limits requests"), {
      hint: "wait, or give credentials",
      retryAfterMs,
    });
  }
  if (status === 408 || status >= 500) return new PassingFailure(text("the registry failed"), { retryAfterMs });
  return failure("RegistryFailed", text("the registry refused"));
}

/** The registry refused user name and password themselves. */
export function credentialsError(what: string, status: number, said: string): SandboxesError {
  const words = condensed(said);
  const message = `image ${what}: the registry refused the credentials (HTTP ${status}${words && `: ${words}`})`;
  return failure("RegistryFailed", message, "check user name and password or token of the credentials");
}

/** The registry's own words, in one line, without what addresses may carry: user names, signed queries. */
export function condensed(said: string): string {
  return errorsIn(said)
    .replace(/\s+/g, " ")
    .replace(/(https?:\/\/)[^/\s"@]*@/g, "$1")
    .replace(/(https?:\/\/[^\s"?]*)\?[^\s"]*/g, "$1")
    .trim()
    .slice(0, 300);
}

/** The messages of the distribution specification's form; of another only what is no page of HTML. */
function errorsIn(said: string): string {
  try {
    const { errors, details } = JSON.parse(said) as {
      errors?: { code?: string; message?: string }[];
      details?: string;
    };
    const lines = (errors ?? []).map(({ code, message }) => [code, message].filter(Boolean).join(" "));
    return lines.join("; ") || String(details ?? "");
  } catch {
    // Whatever else a proxy says.
    return said.trimStart().startsWith("<") ? "" : said;
  }
}

function causeOf(code: string): Cause | undefined {
  return causes.find(({ pattern }) => pattern.test(code));
}

function codeOf(error: unknown): string | undefined {
  for (let each = error; each instanceof Error; each = each.cause) {
    const { code } = each as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
    // Of several addresses none answered.
    if (each instanceof AggregateError) return codeOf(each.errors[0]);
  }
  return undefined;
}

function retryAfterOf(header: string | undefined): number | undefined {
  const seconds = Number(header);
  return header !== undefined && seconds >= 0 ? seconds * 1000 : undefined;
}

function failure(code: ErrorCode, message: string, hint?: string): SandboxesError {
  return new SandboxesError(code, message, { hint });
}
