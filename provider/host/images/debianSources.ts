import { readFile } from "node:fs/promises";
import { toolOutput } from "./toolProcess";

/** From where a Debian image is made. */
export interface DebianSources {
  /** `bookworm`. */
  suite: string;
  /** Lines of a sources.list; none means Debian's own mirrors. */
  lines: string[];
  /** Options of the machine's apt that a download needs, `NAME "VALUE"`, without secrets. */
  aptOptions: string[];
  /** Proxies, for the environment: they may hold a password, and command lines are seen by everyone. */
  proxyEnv: Record<string, string>;
}

// What a machine that is not a Debian builds. Python 3.11; supported by Debian's LTS until June 2028.
const defaultSuite = "bookworm";
const outputBytes = 1024 * 1024;

/** The suite, mirrors and proxies of this machine's apt where it is a Debian; other vendors' sources are left out. */
export async function debianSources(signal?: AbortSignal): Promise<DebianSources> {
  const suite = await hostSuite();
  const [lines, options] = await Promise.all([suite ? sourceLines(suite, signal) : [], aptOptions(signal)]);
  return { suite: suite ?? defaultSuite, lines, ...options };
}

async function hostSuite(): Promise<string | undefined> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(release)?.[1];
  return field("ID") === "debian" ? field("VERSION_CODENAME") : undefined;
}

async function sourceLines(suite: string, signal: AbortSignal | undefined): Promise<string[]> {
  // Origin is known only where lists were downloaded, which container images remove.
  const format = "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(ORIGIN)";
  const args = ["indextargets", "--no-release-info", "--format", format, "Created-By: Packages"];
  const known = await apt("apt-get", ["indextargets", "--format", format, "Created-By: Packages"], signal);
  const text = known.trim() === "" ? await apt("apt-get", args, signal) : known;
  const suites = [suite, `${suite}-updates`, `${suite}-security`];
  const found = text.split("\n").flatMap((line) => {
    const [uri = "", release = "", component = "", origin = ""] = line.split("\t");
    const isDebian = origin.startsWith("$(") ? /debian/.test(uri) : origin === "Debian";
    // A mirror with a password in its address must not end up in an image.
    const usable = isDebian && component === "main" && suites.includes(release) && !uri.includes("@");
    return usable ? [{ release, line: `deb ${uri.replace(/\/$/, "")} ${release} main` }] : [];
  });
  if (!found.some(({ release }) => release === suite)) return [];
  return [...new Set(found.map(({ line }) => line))];
}

async function aptOptions(signal: AbortSignal | undefined): Promise<Pick<DebianSources, "aptOptions" | "proxyEnv">> {
  const dump = await apt("apt-config", ["dump", "Acquire"], signal);
  const options = new Map<string, string>();
  for (const [, name, value] of dump.matchAll(/^Acquire::(\S+) "(.*)";$/gm)) {
    if (name !== undefined && value) options.set(name, value);
  }
  const proxyEnv: Record<string, string> = {};
  for (const scheme of ["http", "https"]) {
    const proxy = options.get(`${scheme}::Proxy`);
    if (proxy && proxy !== "DIRECT") proxyEnv[`${scheme}_proxy`] = proxy;
  }
  const needed = /^(Check-Valid-Until|Check-Date|Retries|ForceIPv[46]|https?::(Timeout|Proxy::.*))$/;
  const kept = [...options].filter(([name, value]) => needed.test(name) && !value.includes("@"));
  return { aptOptions: kept.map(([name, value]) => `Acquire::${name} "${value}"`), proxyEnv };
}

/** What an apt tool prints; nothing where there is no apt, since mmdebstrap also runs elsewhere. */
async function apt(tool: string, args: string[], signal: AbortSignal | undefined): Promise<string> {
  try {
    return (await toolOutput({ tool, args, signal }, outputBytes)).toString();
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof Error) return "";
    throw error;
  }
}
