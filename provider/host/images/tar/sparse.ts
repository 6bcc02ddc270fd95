import { SandboxesError } from "../../../client/errors";
import type { ByteCursor } from "./byteCursor";
import { headerNumber } from "./headerFields";
import type { PaxRecord } from "./paxRecords";
import { blockBytes } from "./tarEntry";

/** Where the stored bytes of a sparse file belong; the rest are holes. */
export interface SparseMap {
  realSize: number;
  /** Ascending, apart from each other. */
  regions: { offset: number; length: number }[];
}

const zeros = Buffer.alloc(256 * 1024);

/** The map in GNU's old header (type `S`) and the blocks that continue it. */
export async function oldGnuSparse(
  header: Buffer,
  cursor: ByteCursor,
  stored: number,
  limit: number,
): Promise<SparseMap> {
  const numbers = regionFields(header, 386, 4);
  let more = header[482] !== 0;
  for (let read = 0; more; read += blockBytes) {
    const block = await cursor.take(blockBytes);
    if (block.length < blockBytes || read > limit) throw invalid("its map is too long or cut off");
    numbers.push(...regionFields(block, 0, 21));
    more = block[504] !== 0;
  }
  return checkedMap(numbers, headerNumber(header, 483, 12), stored);
}

/** The map of pax versions 0.0, 0.1 and 1.0; `consumed` counts the bytes that 1.0 keeps before the content. */
export async function paxSparse(
  records: PaxRecord[],
  cursor: ByteCursor,
  stored: number,
  limit: number,
): Promise<{ map: SparseMap; consumed: number }> {
  const last = new Map(records);
  const realSize = Number(last.get("GNU.sparse.realsize") ?? last.get("GNU.sparse.size"));
  if (last.get("GNU.sparse.major") === "1") {
    const { numbers, consumed } = await numbersBeforeContent(cursor, Math.min(stored, limit));
    return { map: checkedMap(numbers, realSize, stored - consumed), consumed };
  }
  const list = last.get("GNU.sparse.map");
  const numbers = list === undefined ? repeatedRecords(records) : list.split(",").filter(Boolean).map(Number);
  return { map: checkedMap(numbers, realSize, stored), consumed: 0 };
}

/** The file's content, holes filled with zeros. */
export async function* expandSparse(map: SparseMap, content: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let position = 0;
  let held: Buffer = Buffer.alloc(0);
  for (const { offset, length } of map.regions) {
    yield* hole(offset - position);
    let missing = length;
    while (missing > 0) {
      if (held.length === 0) {
        const next = await content.next();
        if (next.done) throw invalid("its content is cut off");
        held = next.value;
      }
      const part = held.subarray(0, missing);
      held = held.subarray(part.length);
      missing -= part.length;
      yield part;
    }
    position = offset + length;
  }
  yield* hole(map.realSize - position);
}

function* hole(length: number): Generator<Buffer> {
  for (let missing = length; missing > 0; missing -= zeros.length)
    yield zeros.subarray(0, Math.min(missing, zeros.length));
}

function regionFields(block: Buffer, offset: number, count: number): number[] {
  const numbers: number[] = [];
  for (let index = 0; index < count; index++) {
    const at = offset + index * 24;
    if (block[at] === 0) break;
    numbers.push(headerNumber(block, at, 12), headerNumber(block, at + 12, 12));
  }
  return numbers;
}

function repeatedRecords(records: PaxRecord[]): number[] {
  return records
    .filter(([key]) => key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes")
    .map(([, value]) => Number(value));
}

/** Decimal lines at the start of the content, their count first, padded to whole blocks. */
async function numbersBeforeContent(
  cursor: ByteCursor,
  limit: number,
): Promise<{ numbers: number[]; consumed: number }> {
  const numbers: number[] = [];
  let rest = "";
  let consumed = 0;
  for (;;) {
    if (consumed + blockBytes > limit) throw invalid("its map is too long or cut off");
    const lines = (rest + (await cursor.take(blockBytes)).toString("latin1")).split("\n");
    consumed += blockBytes;
    rest = lines.pop() ?? "";
    numbers.push(...lines.map(Number));
    const count = numbers[0];
    if (count === undefined) continue;
    if (!(Number.isSafeInteger(count) && count >= 0)) throw invalid("its map is malformed");
    if (numbers.length > count * 2) return { numbers: numbers.slice(1, 1 + count * 2), consumed };
  }
}

function checkedMap(numbers: number[], realSize: number, stored: number): SparseMap {
  const regions: SparseMap["regions"] = [];
  let position = 0;
  let total = 0;
  for (let index = 0; index < numbers.length; index += 2) {
    const offset = numbers[index] as number;
    const length = numbers[index + 1] ?? Number.NaN;
    if (!(offset >= position && length >= 0)) throw invalid("its map is malformed");
    position = offset + length;
    total += length;
    if (length > 0) regions.push({ offset, length });
  }
  if (!Number.isSafeInteger(realSize) || position > realSize || total !== stored) {
    throw invalid("its map does not fit its content");
  }
  return { realSize, regions };
}

function invalid(message: string): SandboxesError {
  return new SandboxesError("ImageInvalid", `a sparse file cannot be read: ${message}`);
}
