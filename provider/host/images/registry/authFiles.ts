import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { SandboxesError } from "../../../client/errors";
import type { RegistryReference } from "../imageReference";
import { credentialsFromHelper } from "./credentialHelper";

/** What a registry is told of who asks: a password, or the token that a login left instead of one. */
export type RegistryLogin = { username: string; password: string } | { identityToken: string };

const entrySchema = z.looseObject({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
});
const fileSchema = z.looseObject({
  auths: z.record(z.string(), entrySchema).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish(),
});
type AuthFile = z.infer<typeof fileSchema>;

/**
 * What this user's auth files hold for the image: those of podman and skopeo, then Docker's; the first that knows the
 * registry decides. Source: containers-auth.json(5), `docker login`.
 */
export async function loginFromFiles(
  reference: RegistryReference,
  signal: AbortSignal,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<RegistryLogin | undefined> {
  for (const path of authFilePaths(environment)) {
    const file = await readAuthFile(path, path === environment.REGISTRY_AUTH_FILE);
    const login = file && (await loginIn(path, file, reference, signal));
    if (login) return login;
  }
  return undefined;
}

function authFilePaths(environment: NodeJS.ProcessEnv): string[] {
  const { REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, XDG_CONFIG_HOME, DOCKER_CONFIG, HOME } = environment;
  if (REGISTRY_AUTH_FILE) return [REGISTRY_AUTH_FILE];
  const home = HOME || homedir();
  const ofSession = XDG_RUNTIME_DIR ? join(XDG_RUNTIME_DIR, "containers") : `/run/containers/${process.getuid?.()}`;
  return [
    join(ofSession, "auth.json"),
    join(XDG_CONFIG_HOME || join(home, ".config"), "containers", "auth.json"),
    join(DOCKER_CONFIG || join(home, ".docker"), "config.json"),
  ];
}

async function readAuthFile(path: string, isRequired: boolean): Promise<AuthFile | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!isRequired && (code === "ENOENT" || code === "ENOTDIR")) return undefined;
    throw unusable(path, `it cannot be read (${code})`);
  }
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch {
    // Not the parser's own words: they would repeat what is in the file.
    throw unusable(path, "it is no JSON of the form that `docker login` writes");
  }
}

async function loginIn(
  path: string,
  { auths, credHelpers, credsStore }: AuthFile,
  reference: RegistryReference,
  signal: AbortSignal,
): Promise<RegistryLogin | undefined> {
  const entries = new Map(Object.entries(auths ?? {}).map(([key, value]) => [normalised(key), { key, value }]));
  for (const name of namesOf(reference)) {
    const helper = credHelpers?.[name];
    const fromHelper = helper && (await credentialsFromHelper(helper, name, signal));
    if (fromHelper) return fromHelper;
    const entry = entries.get(name);
    const login = entry && loginOf(path, entry.value);
    if (login) return login;
    // With a store the entries are there, but empty, and the store knows them by their names as written.
    if (credsStore && entry) {
      const stored = await credentialsFromHelper(credsStore, entry.key, signal);
      if (stored) return stored;
    }
  }
  return undefined;
}

/** The image's own path first, then those above it, the host last; Docker Hub has names of its own. */
function namesOf({ host, repository }: RegistryReference): string[] {
  const parts = `${host}/${repository}`.split("/");
  const paths = parts.map((_, index) => parts.slice(0, parts.length - index).join("/"));
  return host === "docker.io" ? [...paths, "index.docker.io", "registry-1.docker.io"] : paths;
}

/** `https://index.docker.io/v1/` is how Docker writes `index.docker.io`. */
function normalised(key: string): string {
  const withoutScheme = key.replace(/^https?:\/\//, "");
  return withoutScheme === key ? key.replace(/\/$/, "") : withoutScheme.replace(/\/.*$/, "");
}

function loginOf(path: string, entry: z.infer<typeof entrySchema>): RegistryLogin | undefined {
  if (entry.identitytoken) return { identityToken: entry.identitytoken };
  if (entry.auth) {
    const decoded = Buffer.from(entry.auth, "base64").toString("utf8").replace(/\0+$/, "");
    const colon = decoded.indexOf(":");
    if (colon <= 0) throw unusable(path, "one of its entries is no base64 of user:password");
    return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
  }
  if (entry.username && entry.password !== undefined) return { username: entry.username, password: entry.password };
  return undefined;
}

function unusable(path: string, why: string): SandboxesError {
  return new SandboxesError("HostUnavailable", `the host's file of registry credentials ${path}: ${why}`, {
    hint: "mend or remove it on the host, or give credentials with the image",
  });
}
