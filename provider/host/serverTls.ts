import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { SandboxesError } from "../client/errors";

const run = promisify(execFile);

/** Longest life that clients accept of a server's certificate. */
const leafDays = 397;
const caDays = 3650;
const renewBeforeMs = 30 * 24 * 3600_000;

export interface ServerTls {
  key: string;
  cert: string;
  /** The authority to trust, when it is our own. */
  caFile?: string;
}

/**
 * A certificate for the host from an authority of its own, both kept in `dir` (0700, files 0600) and made by
 * `openssl`. The same authority serves for years; the certificate is renewed when it nears its end or its names change.
 */
export async function selfSignedTls(dir: string, names: string[]): Promise<ServerTls> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  chmodSync(dir, 0o700);
  const file = (name: string) => join(dir, name);
  const [caKey, caCert, key, cert] = [file("ca.key"), file("ca.pem"), file("host.key"), file("host.pem")];
  if (!isFresh(caCert) || !existsSync(caKey)) {
    rmSync(cert, { force: true });
    await openssl([
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", caKey, "-out", caCert, "-days", String(caDays), "-subj", "/CN=sandboxes host authority"],
      ...["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
    ]);
  }
  const subjects = [...new Set([...names, "localhost", "127.0.0.1", "::1", hostname()])].map(subjectName);
  const wanted = subjects.join(",");
  if (!isFresh(cert) || !existsSync(key) || readIfThere(file("names")) !== wanted) {
    const extensions = `subjectAltName=${wanted}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n`;
    writeFileSync(file("host.ext"), extensions, { mode: 0o600 });
    await openssl([
      ...["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", key, "-out", file("host.csr"), "-subj", "/CN=sandboxes host"],
    ]);
    await openssl([
      ...["x509", "-req", "-in", file("host.csr"), "-CA", caCert, "-CAkey", caKey, "-CAcreateserial"],
      ...["-days", String(leafDays), "-extfile", file("host.ext"), "-out", cert],
    ]);
    writeFileSync(file("names"), wanted, { mode: 0o600 });
  }
  for (const path of [caKey, caCert, key, cert]) chmodSync(path, 0o600);
  return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8"), caFile: caCert };
}

async function openssl(args: string[]): Promise<void> {
  try {
    // umask: keys are born 0600, not made so afterwards.
    await run("/bin/sh", ["-c", 'umask 077; exec openssl "$@"', "sh", ...args], { timeout: 60_000 });
  } catch (cause) {
    throw new SandboxesError("HostUnavailable", "Cannot make a certificate: openssl failed or is missing", {
      hint: "install openssl, or give --tls-cert and --tls-key",
      cause,
    });
  }
}

function subjectName(name: string): string {
  if (isIP(name)) return `IP:${name}`;
  if (!/^[A-Za-z0-9*._-]+$/.test(name)) {
    throw new SandboxesError("Invalid", `Cannot make a certificate for "${name}": it is no host name`);
  }
  return `DNS:${name}`;
}

function isFresh(path: string): boolean {
  const text = readIfThere(path);
  if (!text) return false;
  return Date.parse(new X509Certificate(text).validTo) - Date.now() > renewBeforeMs;
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}
