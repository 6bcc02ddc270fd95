import { createHash, type Hash } from "node:crypto";
import { existsSync } from "node:fs";
import { SandboxesError } from "../../client/errors";
import { createChrootDirectory } from "./chrootDirectory";
import type { DebianSources } from "./debianSources";
import type { Recipe } from "./recipes";
import { packSquashfs } from "./squashfs";
import { startTool, type ToolCommand, ToolFailure } from "./toolProcess";

// Bump when the same packages shall give another image.
const recipeVersion = 1;
// Later times are set back to this one: 2025-01-01, so that equal packages give equal images.
const latestFileTime = "1735689600";
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

// SOURCE_DATE_EPOCH makes Python compile modules that are checked against their source's hash at each import; without
// the check (flag 2 of PEP 552) they load as fast as always, and whoever edits the source compiles it anew.
const uncheckedBytecode = [
  "import glob",
  'for name in glob.glob("/usr/lib/python3*/**/*.pyc",recursive=True):',
  '  with open(name,"r+b") as file:',
  '    if file.read(8)[4:]==b"\\3\\0\\0\\0": file.seek(4); file.write(b"\\1")',
].join("\n");

const hooks = [
  // mmdebstrap's apt options (the host's) and caches that hold times and inode numbers.
  'rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/var/cache/ldconfig/aux-cache"',
  // What Debian's slim container images leave out too; dpkg could do it, but mmdebstrap then takes twice the time.
  'find "$1/usr/share/doc" -type f ! -name copyright -delete; find "$1/usr/share/doc" -depth -type d -empty -delete',
  'rm -rf "$1/usr/share/man" "$1/usr/share/info" "$1/usr/share/lintian" "$1/usr/share/locale"',
  `test ! -x "$1/usr/bin/python3" || chroot "$1" python3 -c '${uncheckedBytecode}'`,
];

/** Tells apart what differs in more than the packages' versions: two equal keys mean the same recipe. */
export function recipeKey(recipe: Recipe, { suite, lines }: DebianSources): string {
  const parts = [recipeVersion, recipe, suite, lines, hooks];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/**
 * Makes the recipe's squashfs at `path` with mmdebstrap, whose tar never touches the disk, and returns the tar's
 * digest. As root mmdebstrap uses chroot, as a user a user namespace (package uidmap, an entry in /etc/subuid).
 */
export async function buildDebianImage(
  path: string,
  recipe: Recipe,
  sources: DebianSources,
  options: { tempDir: string; signal: AbortSignal; progress(message: string): void },
): Promise<string> {
  await using chroot = await createChrootDirectory(options.tempDir);
  const tool = startTool({
    ...(await apart({ tool: "mmdebstrap", args: mmdebstrapArguments(recipe, sources) }, options.signal)),
    env: { ...process.env, ...sources.proxyEnv, SOURCE_DATE_EPOCH: latestFileTime, TMPDIR: chroot.path },
    stdin: "pipe",
    stdout: "pipe",
    signal: options.signal,
    onStderr: progressOf(options.progress),
  });
  tool.child.stdin?.on("error", () => undefined).end(`${sources.lines.join("\n")}\n`);
  const hash = createHash("sha256");
  try {
    await packSquashfs(path, hashed(tool.child.stdout as AsyncIterable<Buffer>, hash), rootDirectory, options.signal);
  } catch (error) {
    tool.kill();
    // A tar that breaks off is the consequence, what mmdebstrap said is the cause.
    await tool.done.catch((failure: unknown) => {
      if (failure instanceof ToolFailure) throw buildError(recipe, failure);
    });
    throw error;
  }
  await tool.done.catch((error: unknown) => {
    throw buildError(recipe, error);
  });
  return `sha256:${hash.digest("hex")}`;
}

/**
 * As root mmdebstrap mounts the host's /dev/shm, /proc and /sys in its chroot. In namespaces of its own the mounts and
 * all its processes end with it; in the host's they would outlive a kill, and whoever removed the chroot then would
 * empty /dev/shm.
 */
async function apart(command: ToolCommand, signal: AbortSignal): Promise<ToolCommand> {
  // Without root mmdebstrap makes such namespaces itself.
  if (process.getuid?.() !== 0) return { ...command, deathSignal: "SIGTERM" };
  const unshare = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=SIGKILL", "--"];
  const works = await startTool({ tool: "unshare", args: [...unshare, "true"], signal }).done.then(
    () => true,
    () => false,
  );
  signal.throwIfAborted();
  // Where namespaces are forbidden so are mounts, and mmdebstrap does without.
  if (!works) return { ...command, deathSignal: "SIGTERM" };
  return { tool: "unshare", args: [...unshare, command.tool, ...command.args] };
}

const rootDirectory = { mode: 0o755, uid: 0, gid: 0, mtime: 0 };

function mmdebstrapArguments(recipe: Recipe, { suite, lines, aptOptions }: DebianSources): string[] {
  return [
    "--variant=minbase",
    "--format=tar",
    // The guest's kernel brings its own /dev.
    "--skip=output/dev",
    ...(recipe.packages.length > 0 ? [`--include=${recipe.packages.join(",")}`] : []),
    '--aptopt=Acquire::Languages "none"',
    ...aptOptions.map((option) => `--aptopt=${option}`),
    ...hooks.map((hook) => `--customize-hook=${hook}`),
    // Only Debian trusts Debian's keys without being told.
    ...(lines.length === 0 && existsSync(keyring) ? [`--keyring=${keyring}`] : []),
    suite,
    "-",
    ...(lines.length > 0 ? ["-"] : []),
  ];
}

async function* hashed(source: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}

/** Passes on mmdebstrap's own account of its steps, `I: installing packages...`. */
function progressOf(progress: (message: string) => void): (text: string) => void {
  let rest = "";
  return (text) => {
    const lines = (rest + text).split(/[\r\n]/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, step] = /^I: ((?:downloading|extracting|installing|creating) .*?)\.*$/.exec(line) ?? [];
      if (step) progress(step);
    }
  };
}

function buildError(recipe: Recipe, error: unknown): unknown {
  if (!(error instanceof ToolFailure)) return error;
  const lines = error.stderr.split(/[\r\n]+/).filter((line) => /^(E|W|Err|mmdebstrap|N):? ?/.test(line));
  const said = (lines.length > 0 ? lines.slice(-4) : error.stderr.split("\n").slice(-2)).join("; ").slice(0, 600);
  const unreachable = /temporary failure|could not (connect|resolve)|failed to fetch|connection (refused|timed out)/i;
  if (unreachable.test(error.stderr)) {
    return new SandboxesError("RegistryFailed", `image ${recipe.name}: Debian's packages cannot be fetched: ${said}`, {
      hint: "check that apt-get update works on the host; its mirrors and proxy are used",
    });
  }
  const isUser = process.getuid?.() !== 0;
  return new SandboxesError("HostUnavailable", `image ${recipe.name} cannot be made: ${said}`, {
    ...(isUser && { hint: "without root this needs user namespaces: package uidmap and an entry in /etc/subuid" }),
  });
}
