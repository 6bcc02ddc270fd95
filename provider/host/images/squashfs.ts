import { type FileHandle, open } from "node:fs/promises";
import type { Writable } from "node:stream";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { type SquashfsRoot, writeSquashfsRoot } from "./squashfsRoot";
import { startTool, ToolFailure, type ToolProcess } from "./toolProcess";

// lz4: 98 MB and 0.5 s for 216 MB of Debian with Python, against 62 MB and 9 s with zstd; and the guest reads it fastest.
// Inodes stay uncompressed: a few hundred KB that the guest's emulated processor need not unpack.
const format = ["-comp", "lz4", "-noI", "-mkfs-time", "0", "-reproducible"];
const behaviour = ["-quiet", "-no-progress", "-exit-on-error", "-force", "-mem", "512M"];
// What waits for the tool; written at once when it has room.
const aheadBytes = 1024 * 1024;

/**
 * Writes a tar stream as a squashfs file at `path`, flushed to disk. The same tar gives the same bytes. sqfstar
 * parses what others made, so it runs as nobody with only its two ends open; the file is handed over already open.
 */
export async function packSquashfs(
  path: string,
  tar: AsyncIterable<Buffer>,
  root: SquashfsRoot,
  signal?: AbortSignal,
): Promise<void> {
  await using file = await open(path, "wx+", 0o600);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await file.chown(65534, 65534);
  const tool = startTool({
    tool: "sqfstar",
    args: [...format, ...behaviour, "/proc/self/fd/3"],
    env: { PATH: process.env.PATH },
    stdin: "pipe",
    fd3: file.fd,
    leastPrivilege: true,
    signal,
  });
  await feed(tool, tar);
  await writeSquashfsRoot(file, root);
  if (isRoot) await file.chown(0, 0);
  await seal(file);
}

/** Hands the whole stream to the tool, which may stop reading at the archive's end though padding follows. */
async function feed(tool: ToolProcess, tar: AsyncIterable<Buffer>): Promise<void> {
  const stdin = tool.child.stdin as Writable;
  const closed = new Promise<void>((resolve) => stdin.once("close", resolve));
  // The tool's own words follow with `done`.
  stdin.on("error", () => undefined);
  try {
    for await (const chunk of tar) {
      if (!stdin.writable) await tool.done;
      else if (!stdin.write(chunk) && stdin.writableLength >= aheadBytes) await Promise.race([drained(stdin), closed]);
    }
    stdin.end();
    await tool.done;
  } catch (error) {
    tool.kill();
    // Only when it has ended may its directory go.
    await tool.done.catch(() => undefined);
    throw packError(error);
  }
}

// Not events.once: it would turn a broken pipe into the error, whose cause the tool knows better.
function drained(stream: Writable): Promise<void> {
  return new Promise((resolve) => stream.once("drain", resolve));
}

async function seal(file: FileHandle): Promise<void> {
  await file.chmod(0o400);
  await file.sync();
}

function packError(error: unknown): unknown {
  if (!(error instanceof ToolFailure)) return error;
  const full = /no space left/i.test(error.stderr);
  if (full) return new SandboxesError("HostUnavailable", "the disk of the host is full: the image cannot be stored");
  return isSandboxesError(error)
    ? new SandboxesError("ImageInvalid", `the image's files cannot be packed: ${error.stderr}`, { cause: error })
    : error;
}
