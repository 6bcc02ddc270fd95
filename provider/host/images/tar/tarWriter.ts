import { encodePaxRecords, type PaxRecord, xattrRecord } from "./paxRecords";
import { blockBytes, paddingAfter, type TarEntry, type TarEntryType } from "./tarEntry";

const typeFlags: Record<TarEntryType, string> = {
  file: "0",
  hardLink: "1",
  symlink: "2",
  charDevice: "3",
  blockDevice: "4",
  directory: "5",
  fifo: "6",
};
const largestSize = 0o77777777777;
const largestId = 0o7777777;

/**
 * The header blocks of an entry: plain ustar where it fits, else with a pax header in front. Targets of links go into
 * GNU's header: of one in a pax header sqfstar 4.5 loses the first slash.
 */
export function encodeTarHeader(entry: TarEntry): Buffer {
  const records: PaxRecord[] = [];
  if (entry.path.length > 100) records.push(["path", entry.path]);
  if (entry.size > largestSize) records.push(["size", String(entry.size)]);
  if (entry.uid > largestId) records.push(["uid", String(entry.uid)]);
  if (entry.gid > largestId) records.push(["gid", String(entry.gid)]);
  for (const [name, value] of entry.xattrs ?? []) records.push(xattrRecord(name, value));
  const header = ustarHeader(entry, typeFlags[entry.type]);
  const blocks = records.length === 0 ? [] : extension("pax", "x", encodePaxRecords(records));
  if (entry.linkTarget.length > 100) {
    blocks.push(...extension("././@LongLink", "K", Buffer.from(`${entry.linkTarget}\0`, "latin1")));
  }
  return blocks.length === 0 ? header : Buffer.concat([...blocks, header]);
}

function extension(path: string, flag: string, data: Buffer): Buffer[] {
  const header = ustarHeader({ ...emptyEntry, path, size: data.length }, flag);
  return [header, data, Buffer.alloc(paddingAfter(data.length))];
}

/** The two zero blocks that end an archive. */
export const tarEnd: Buffer = Buffer.alloc(2 * blockBytes);

const emptyEntry: TarEntry = { path: "", type: "file", mode: 0o644, uid: 0, gid: 0, mtime: 0, size: 0, linkTarget: "" };

function ustarHeader(entry: TarEntry, flag: string): Buffer {
  const header = Buffer.alloc(blockBytes);
  header.write(entry.path.slice(0, 100), 0, "latin1");
  header.write(octal(entry.mode, 7), 100, "latin1");
  header.write(octal(Math.min(entry.uid, largestId), 7), 108, "latin1");
  header.write(octal(Math.min(entry.gid, largestId), 7), 116, "latin1");
  header.write(octal(Math.min(entry.size, largestSize), 11), 124, "latin1");
  header.write(octal(entry.mtime, 11), 136, "latin1");
  header.write(" ".repeat(8) + flag, 148, "latin1");
  header.write(entry.linkTarget.slice(0, 100), 157, "latin1");
  header.write("ustar\0" + "00", 257, "latin1");
  let sum = 0;
  for (let index = 0; index < blockBytes; index++) sum += header[index] as number;
  header.write(`${octal(sum, 6)}\0 `, 148, "latin1");
  return header;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}
