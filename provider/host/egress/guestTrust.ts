import { addAbortSignal } from "node:stream";
import { rootCertificates } from "node:tls";
import { isSandboxesError } from "../../client/errors";
import type { GuestAgent, GuestFileInfo } from "../vm/guestAgent";

const folder = "/etc/sandboxes";
const authorityPath = `${folder}/egress-authority.pem`;
const bundlePath = `${folder}/ca-bundle.pem`;
/** Where Debian, Alpine, Red Hat and SUSE keep the authorities that programs trust. */
const bundles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];
/** What their tools make such files of, the next time that they do. */
const anchors = ["/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors", "/etc/pki/trust/anchors"];
const anchorName = "sandboxes-egress.crt";
/** Real ones have a quarter of a megabyte; a guest may have put anything there. */
const maxBundleBytes = 4 * 2 ** 20;
const [begin, end] = ["# begin: sandboxes egress authority", "# end: sandboxes egress authority"];

/** Tells programs of a guest where to find what they are to trust, each by the name that it looks for. */
export const trustEnvironment: Record<string, string> = {
  ...{ SSL_CERT_FILE: bundlePath, REQUESTS_CA_BUNDLE: bundlePath, CURL_CA_BUNDLE: bundlePath },
  ...{ PIP_CERT: bundlePath, GIT_SSL_CAINFO: bundlePath, AWS_CA_BUNDLE: bundlePath },
  ...{ NODE_EXTRA_CA_CERTS: authorityPath, DENO_CERT: authorityPath },
};

/** Has a guest's programs trust an authority, besides those that they trust. Repeatable. */
export async function trustInGuest(agent: GuestAgent, certificate: string, signal: AbortSignal): Promise<void> {
  const guest = new GuestFiles(agent, signal);
  let trusted: string | undefined;
  for (const path of bundles) {
    const found = await guest.bundle(path);
    if (!found) continue;
    trusted ??= withoutOurs(found.content);
    await guest.write(path, withOurs(found.content, certificate), found.mode);
  }
  for (const path of anchors) {
    if (await guest.isDirectory(path)) await guest.write(`${path}/${anchorName}`, certificate, 0o644);
  }
  await guest.write(authorityPath, certificate, 0o644);
  // An image without authorities gets those that this host's Node.js comes with, Mozilla's.
  await guest.write(bundlePath, withOurs(trusted ?? `${rootCertificates.join("\n")}\n`, certificate), 0o644);
}

function withOurs(content: string, certificate: string): string {
  const others = withoutOurs(content);
  return `${others}${others === "" || others.endsWith("\n") ? "" : "\n"}${begin}\n${certificate}${end}\n`;
}

function withoutOurs(content: string): string {
  const from = content.indexOf(begin);
  const to = content.indexOf(end, from);
  return from < 0 || to < 0 ? content : content.slice(0, from) + content.slice(to + end.length + 1);
}

/** Files of one guest; bytes are kept as they are. */
class GuestFiles {
  readonly #agent: GuestAgent;
  readonly #signal: AbortSignal;

  constructor(agent: GuestAgent, signal: AbortSignal) {
    this.#agent = agent;
    this.#signal = signal;
  }

  async isDirectory(path: string): Promise<boolean> {
    return (await this.#stat(path))?.type === "directory";
  }

  /** Undefined where there is none that could be one. A link leads to one that is in the list itself. */
  async bundle(path: string): Promise<{ content: string; mode: number } | undefined> {
    const info = await this.#stat(path);
    if (info?.type !== "file" || info.sizeBytes > maxBundleBytes) return undefined;
    const signal = this.#signal;
    const stream = addAbortSignal(signal, await this.#agent.readFile(path, { length: maxBundleBytes, signal }));
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const part of stream as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > maxBundleBytes) return undefined;
      parts.push(part);
    }
    return { content: Buffer.concat(parts).toString("latin1"), mode: info.mode };
  }

  async write(path: string, content: string, mode: number): Promise<void> {
    const source = (async function* () {
      yield Buffer.from(content, "latin1");
    })();
    await this.#agent.writeFile(path, source, { mode, createDirs: true, signal: this.#signal });
  }

  async #stat(path: string): Promise<GuestFileInfo | undefined> {
    try {
      return await this.#agent.stat(path, { signal: this.#signal });
    } catch (error) {
      if (isSandboxesError(error, "FileNotFound") || isSandboxesError(error, "FileConflict")) return undefined;
      throw error;
    }
  }
}
