export interface CpioEntry {
  path: string;
  /** File type and permission bits, `0o100755`. */
  mode: number;
  content?: Uint8Array;
}

/** A cpio archive of the form the kernel unpacks at boot ("newc"); the same entries give the same bytes. */
export function packCpio(entries: CpioEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  const add = (entry: CpioEntry, inode: number): void => {
    const content = entry.content ?? new Uint8Array();
    const name = Buffer.from(`${entry.path}\0`);
    const fields = [inode, entry.mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
    parts.push(Buffer.from(header), name, padding(header.length + name.length), content, padding(content.length));
  };
  for (const [index, entry] of entries.entries()) add(entry, index + 1);
  add({ path: "TRAILER!!!", mode: 0 }, 0);
  return Buffer.concat(parts);
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}
