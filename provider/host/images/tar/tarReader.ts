import { SandboxesError } from "../../../client/errors";
import { ByteCursor } from "./byteCursor";
import { headerNumber, headerText, isZeroBlock, requireChecksum } from "./headerFields";
import { type PaxRecord, paxRecords, xattrsOf } from "./paxRecords";
import { expandSparse, oldGnuSparse, paxSparse, type SparseMap } from "./sparse";
import { blockBytes, paddingAfter, printable, type TarEntry, type TarEntryType } from "./tarEntry";

const entryTypes: Record<string, TarEntryType> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  S: "file",
  "1": "hardLink",
  "2": "symlink",
  "3": "charDevice",
  "4": "blockDevice",
  "5": "directory",
  D: "directory",
  "6": "fifo",
};

/** Tools write three at most before an entry, and one of defaults. */
const mostHeaders = 64;
/** Tools fill up to a block of at most some MiB. */
const mostPadding = 64 * 1024 * 1024;

/**
 * Reads a tar stream entry by entry: ustar, pax (byte-exact attributes), GNU long names, GNU sparse files of every
 * version, large and negative numbers. Rejects with `ImageInvalid`.
 */
export class TarReader {
  readonly #cursor: ByteCursor;
  readonly #headerBytes: number;
  #stored = 0;
  #padding = 0;
  #sparse: SparseMap | undefined;
  #entry: TarEntry | undefined;

  constructor(source: AsyncIterable<Buffer>, limits: { headerBytes: number }) {
    this.#cursor = new ByteCursor(source);
    this.#headerBytes = limits.headerBytes;
  }

  /** The next entry; the former one's body is passed over. At the end of the archive the source is read to its end. */
  async next(): Promise<TarEntry | undefined> {
    await this.#finishBody();
    let pax: PaxRecord[] = [];
    let longName: string | undefined;
    let longLink: string | undefined;
    let headers = 0;
    for (;;) {
      const header = await this.#cursor.take(blockBytes);
      if (header.length === 0 && pax.length === 0 && longName === undefined && longLink === undefined) return undefined;
      if (header.length < blockBytes) throw truncated("in a header");
      if (isZeroBlock(header)) {
        await this.#finishArchive();
        return undefined;
      }
      requireChecksum(header);
      if (++headers > mostHeaders) throw invalid(`an entry has more than ${mostHeaders} headers`);
      const flag = String.fromCharCode(header[156] as number);
      if (flag === "x") pax = paxRecords(await this.#extension(header));
      else if (flag === "L") longName = textOf(await this.#extension(header));
      else if (flag === "K") longLink = textOf(await this.#extension(header));
      // "g" holds defaults that container engines ignore, "V" a label.
      else if (flag === "g" || flag === "V") await this.#extension(header);
      else return this.#begin(header, flag, pax, longName, longLink);
    }
  }

  /** The current file's content, holes filled with zeros; may be read once, in part or not at all. */
  async *body(): AsyncGenerator<Buffer> {
    if (this.#sparse) yield* expandSparse(this.#sparse, this.#content());
    else yield* this.#content();
  }

  /** Frees the source before its end. */
  close(): Promise<void> {
    return this.#cursor.close();
  }

  async #begin(
    header: Buffer,
    flag: string,
    pax: PaxRecord[],
    longName: string | undefined,
    longLink: string | undefined,
  ): Promise<TarEntry> {
    const records = new Map(pax);
    const path = records.get("GNU.sparse.name") ?? records.get("path") ?? longName ?? headerPath(header);
    let type = entryTypes[flag];
    if (!type) throw invalid(`entry ${printable(path)} has the unknown type ${printable(flag)}`);
    // Before POSIX a directory was a file whose name ends so.
    if (type === "file" && path.endsWith("/")) type = "directory";
    const size = paxNumber(records, "size") ?? headerNumber(header, 124, 12);
    if (!Number.isSafeInteger(size) || size < 0)
      throw invalid(`entry ${printable(path)} has the impossible size ${size}`);
    // As Go's reader does, whose images these are: a size on anything but a file means nothing.
    this.#stored = type === "file" ? size : 0;
    this.#padding = paddingAfter(this.#stored);
    this.#sparse = undefined;
    if (flag === "S") {
      this.#sparse = await oldGnuSparse(header, this.#cursor, this.#stored, this.#headerBytes);
    } else if (type === "file" && pax.some(([key]) => key.startsWith("GNU.sparse."))) {
      const { map, consumed } = await paxSparse(pax, this.#cursor, this.#stored, this.#headerBytes);
      this.#sparse = map;
      this.#stored -= consumed;
    }
    const xattrs = xattrsOf(pax);
    this.#entry = {
      path,
      type,
      mode: headerNumber(header, 100, 8) & 0o7777,
      uid: paxNumber(records, "uid") ?? headerNumber(header, 108, 8),
      gid: paxNumber(records, "gid") ?? headerNumber(header, 116, 8),
      mtime: Math.floor(paxNumber(records, "mtime") ?? headerNumber(header, 136, 12)),
      size: this.#sparse?.realSize ?? this.#stored,
      linkTarget: records.get("linkpath") ?? longLink ?? headerText(header, 157, 100),
      ...(xattrs && { xattrs }),
    };
    return this.#entry;
  }

  async #extension(header: Buffer): Promise<Buffer> {
    const size = headerNumber(header, 124, 12);
    if (!(size >= 0 && size <= this.#headerBytes)) {
      throw invalid(`an extended header has ${size} bytes; at most ${this.#headerBytes} are allowed`);
    }
    const data = await this.#cursor.take(size);
    const padding = paddingAfter(size);
    if (data.length < size || (await this.#cursor.skip(padding)) < padding) throw truncated("in an extended header");
    return data;
  }

  async *#content(): AsyncGenerator<Buffer> {
    while (this.#stored > 0) {
      let any = false;
      for await (const part of this.#cursor.chunks(this.#stored)) {
        this.#stored -= part.length;
        any = true;
        yield part;
      }
      if (!any) throw this.#truncatedBody();
    }
  }

  async #finishBody(): Promise<void> {
    const rest = this.#stored + this.#padding;
    if (rest > 0 && (await this.#cursor.skip(rest)) < rest) throw this.#truncatedBody();
    this.#stored = 0;
    this.#padding = 0;
  }

  /** To the end of the source, whose digest counts padding too. */
  async #finishArchive(): Promise<void> {
    if ((await this.#cursor.skip(mostPadding + 1)) <= mostPadding) return;
    throw invalid(`the tar stream goes on for more than ${mostPadding} bytes after its end`);
  }

  #truncatedBody(): SandboxesError {
    return truncated(`in the content of ${printable(this.#entry?.path ?? "")}`);
  }
}

function headerPath(header: Buffer): string {
  const name = headerText(header, 0, 100);
  // Only POSIX headers have a prefix; GNU's put times there.
  const isPosix = header.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isPosix ? headerText(header, 345, 155) : "";
  return prefix ? `${prefix}/${name}` : name;
}

function paxNumber(records: Map<string, string>, key: string): number | undefined {
  const text = records.get(key);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw invalid(`an extended header's ${key} is ${printable(text)}`);
  return value;
}

function textOf(data: Buffer): string {
  const end = data.indexOf(0);
  return data.toString("latin1", 0, end < 0 ? data.length : end);
}

function truncated(where: string): SandboxesError {
  return invalid(`the tar stream ends ${where}`);
}

function invalid(message: string): SandboxesError {
  return new SandboxesError("ImageInvalid", message);
}
