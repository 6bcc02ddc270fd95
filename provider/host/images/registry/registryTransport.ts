import { readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { Agent, type Dispatcher, EnvHttpProxyAgent } from "undici";
import { isLoopback } from "./authorization";

const connectMs = 20_000;

/**
 * Connections for one registry and the places it redirects to: through the proxy that the environment names, trusting
 * the authorities of Node, of the system, and of `certs.d` for this registry. The caller closes it.
 */
export function registryDispatcher(host: string): Dispatcher {
  // Unverified TLS only where nobody can listen in, as Docker does; nor is there a proxy on the way.
  if (isLoopback(host))
    return new Agent({ allowH2: false, connect: { timeout: connectMs, rejectUnauthorized: false } });
  const { authorities, ...client } = registryCertificates(host);
  const ca = [...tls.getCACertificates("default"), ...tls.getCACertificates("system"), ...authorities];
  const secure = { ca, timeout: connectMs, allowH2: false };
  return new EnvHttpProxyAgent({
    allowH2: false,
    connect: { ...secure, ...client },
    requestTls: { ...secure, ...client },
  });
}

/** What an operator has put aside for a registry, as podman, skopeo and Docker read it: containers-certs.d(5). */
function registryCertificates(host: string): { authorities: string[]; cert?: string; key?: string } {
  const folders = [join(homedir(), ".config/containers/certs.d"), "/etc/containers/certs.d", "/etc/docker/certs.d"];
  for (const folder of folders.map((each) => join(each, host))) {
    const names = filesIn(folder);
    if (names.length === 0) continue;
    const read = (name: string | undefined) =>
      name === undefined ? undefined : readFileSync(join(folder, name), "utf8");
    const cert = read(names.find((name) => name.endsWith(".cert")));
    const key = read(names.find((name) => name.endsWith(".key")));
    const authorities = names.filter((name) => name.endsWith(".crt")).map((name) => read(name) as string);
    return { authorities, ...(cert !== undefined && key !== undefined && { cert, key }) };
  }
  return { authorities: [] };
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return []; // Most registries have none.
  }
}
