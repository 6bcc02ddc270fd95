import { SandboxesError } from "../../../client/errors";

/** Key and value in the order of the header, as latin1: values may be binary, keys may repeat. */
export type PaxRecord = [key: string, value: string];

const xattrPrefix = "SCHILY.xattr.";

/** Parses an extended header: records of `LENGTH KEY=VALUE\n`, the length counting itself. */
export function paxRecords(data: Buffer): PaxRecord[] {
  const records: PaxRecord[] = [];
  let offset = 0;
  // Some writers pad with NUL.
  while (offset < data.length && data[offset] !== 0) {
    const space = data.indexOf(0x20, offset);
    const digits = space < 0 ? "" : data.toString("latin1", offset, space);
    const end = offset + Number(digits);
    const equals = data.indexOf(0x3d, space);
    if (
      !/^[1-9][0-9]{0,8}$/.test(digits) ||
      end > data.length ||
      data[end - 1] !== 0x0a ||
      equals < 0 ||
      equals >= end
    ) {
      throw new SandboxesError("ImageInvalid", "an extended header has a malformed record");
    }
    records.push([data.toString("latin1", space + 1, equals), data.toString("latin1", equals + 1, end - 1)]);
    offset = end;
  }
  return records;
}

/** The extended attributes among the records. */
export function xattrsOf(records: PaxRecord[]): ReadonlyMap<string, string> | undefined {
  let xattrs: Map<string, string> | undefined;
  for (const [key, value] of records) {
    if (!key.startsWith(xattrPrefix)) continue;
    xattrs ??= new Map();
    xattrs.set(key.slice(xattrPrefix.length), value);
  }
  return xattrs;
}

/** The bytes of one extended header for `records`. */
export function encodePaxRecords(records: PaxRecord[]): Buffer {
  return Buffer.from(records.map(([key, value]) => encodeRecord(key, value)).join(""), "latin1");
}

/** The record of an extended attribute. */
export function xattrRecord(name: string, value: string): PaxRecord {
  return [xattrPrefix + name, value];
}

function encodeRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}
