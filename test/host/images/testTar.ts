import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { paddingAfter, type TarEntry, type TarEntryType } from "../../../provider/host/images/tar/tarEntry";
import { TarReader } from "../../../provider/host/images/tar/tarReader";
import { encodeTarHeader, tarEnd } from "../../../provider/host/images/tar/tarWriter";

export interface TestEntry {
  path: string;
  type?: TarEntryType;
  data?: string | Buffer;
  mode?: number;
  uid?: number;
  gid?: number;
  mtime?: number;
  link?: string;
  xattrs?: Record<string, string>;
}

export function file(path: string, data: string | Buffer = path, more: Partial<TestEntry> = {}): TestEntry {
  return { path, data, ...more };
}

export function directory(path: string, more: Partial<TestEntry> = {}): TestEntry {
  return { path, type: "directory", mode: 0o755, ...more };
}

export function symlink(path: string, link: string): TestEntry {
  return { path, type: "symlink", mode: 0o777, link };
}

export function hardLink(path: string, link: string): TestEntry {
  return { path, type: "hardLink", link };
}

/** A tar of the entries, as they are: nothing is checked or put right. */
export function tarOf(entries: TestEntry[]): Buffer {
  const blocks = entries.flatMap((entry) => {
    const data = Buffer.from(entry.data ?? "");
    return [encodeTarHeader(tarEntryOf(entry, data.length)), data, Buffer.alloc(paddingAfter(data.length))];
  });
  return Buffer.concat([...blocks, tarEnd]);
}

/** A tar of one sparse file without any content, as GNU tar writes it. */
export function sparseTar(size: number, format: "gnu" | "pax" = "pax"): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "sparse-"));
  try {
    writeFileSync(join(folder, "holes"), "");
    truncateSync(join(folder, "holes"), size);
    return execFileSync("tar", ["-c", "--sparse", `--format=${format}`, "-C", folder, "holes"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** All entries of a tar with their contents, by our own reader. */
export async function readTar(tar: Buffer, chunkBytes = 1000): Promise<(TarEntry & { data: Buffer })[]> {
  const reader = new TarReader(chunksOf(tar, chunkBytes), { headerBytes: 1024 * 1024 });
  const entries: (TarEntry & { data: Buffer })[] = [];
  for (let entry = await reader.next(); entry; entry = await reader.next()) {
    const parts: Buffer[] = [];
    for await (const part of reader.body()) parts.push(part);
    entries.push({ ...entry, data: Buffer.concat(parts) });
  }
  return entries;
}

export async function* chunksOf(bytes: Buffer, chunkBytes: number): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) yield bytes.subarray(offset, offset + chunkBytes);
}

function tarEntryOf(entry: TestEntry, size: number): TarEntry {
  return {
    path: Buffer.from(entry.path).toString("latin1"),
    type: entry.type ?? "file",
    mode: entry.mode ?? 0o644,
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    mtime: entry.mtime ?? 1_700_000_000,
    size,
    linkTarget: Buffer.from(entry.link ?? "").toString("latin1"),
    ...(entry.xattrs && { xattrs: new Map(Object.entries(entry.xattrs)) }),
  };
}
