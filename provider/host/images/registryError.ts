import { type ErrorCode, SandboxesError } from "../../client/errors";
import type { RegistryReference } from "./imageReference";
import { ToolFailure } from "./toolProcess";

interface Cause {
  pattern: RegExp;
  code: ErrorCode;
  reason: string;
  hint?: string;
}

const credentialsHint =
  "give credentials, or log in on the host with `skopeo login`; Docker Hub also answers so for names that do not exist";

// The wording of containers/image and of the registries, most specific first.
const causes: Cause[] = [
  {
    pattern: /toomanyrequests|too many requests|\b429\b/i,
    code: "RegistryFailed",
    reason: "the registry limits requests",
    hint: "wait, or give credentials",
  },
  {
    pattern: /manifest unknown|name unknown|repository name not known|manifest for .* not found|\bnot found\b|\b404\b/i,
    code: "ImageNotFound",
    reason: "the registry has no such image or tag",
  },
  {
    pattern: /invalid username\/password|incorrect username or password/i,
    code: "RegistryFailed",
    reason: "the registry refused the credentials",
    hint: "check user name and password or token",
  },
  {
    pattern: /unauthorized|authentication required|access .*denied|\bdenied\b|forbidden|\b40[13]\b/i,
    code: "RegistryFailed",
    reason: "the registry does not let these credentials read the image",
    hint: credentialsHint,
  },
  {
    pattern: /no such host|temporary failure in name resolution|server misbehaving/i,
    code: "RegistryFailed",
    reason: "the registry's name cannot be resolved",
    hint: "check the name, and whether the host reaches it (proxy: HTTPS_PROXY of the host process)",
  },
  {
    pattern: /x509|certificate|server gave HTTP response to HTTPS client|tls:/i,
    code: "RegistryFailed",
    reason: "no trusted TLS connection to the registry can be made",
    hint: "only registries on this machine may do without; else add the registry's CA under /etc/containers/certs.d",
  },
  {
    pattern: /connection refused|i\/o timeout|no route to host|network is unreachable|dial tcp|deadline exceeded/i,
    code: "RegistryFailed",
    reason: "the registry cannot be reached",
    hint: "check the name, and whether the host reaches it (proxy: HTTPS_PROXY of the host process)",
  },
  {
    pattern: /policy\.json/i,
    code: "HostUnavailable",
    reason: "the host's policy for images is missing",
    hint: "create /etc/containers/policy.json: apt-get install --reinstall golang-github-containers-common",
  },
  {
    pattern: /no space left/i,
    code: "HostUnavailable",
    reason: "the disk of the host is full",
  },
  {
    pattern: /digest did not match|does not match digest|doesn't match|unexpected EOF/i,
    code: "RegistryFailed",
    reason: "the registry sent something else than it announced",
  },
];

/** What skopeo's failure means for the caller: which image, why, and what mends it. Other errors pass unchanged. */
export function registryError(reference: RegistryReference, error: unknown): unknown {
  if (!(error instanceof ToolFailure)) return error;
  const said = condensed(error.stderr);
  const cause = causes.find(({ pattern }) => pattern.test(said));
  const message = `image ${reference.canonical}: ${cause?.reason ?? "it cannot be fetched"}: ${said}`;
  return new SandboxesError(cause?.code ?? "RegistryFailed", message, { ...(cause?.hint && { hint: cause.hint }) });
}

/** skopeo's last word, without its log format, and without what addresses may carry: user names, signed queries. */
export function condensed(stderr: string): string {
  const lines = stderr.trim().split("\n");
  const fatal = lines.findLast((line) => /level=(fatal|error)/.test(line)) ?? lines.at(-1) ?? "";
  const [, quoted] = /msg="((?:[^"\\]|\\.)*)"/.exec(fatal) ?? [];
  const text =
    quoted === undefined ? fatal : quoted.replace(/\\(.)/g, (_, char: string) => (char === "n" ? " " : char));
  return text
    .replace(/(https?:\/\/)[^/\s"@]*@/g, "$1")
    .replace(/(https?:\/\/[^\s"?]*)\?[^\s"]*/g, "$1")
    .slice(0, 500);
}
