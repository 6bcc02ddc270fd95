import type { Readable } from "node:stream";

/** A QMP answer is a few hundred bytes; what is longer is not one. */
const maxLineBytes = 1 << 20;

/** Calls `receive` for each line of `stream`; destroys the stream at a line of more than 1 MiB or when `receive` throws. */
export function readLines(stream: Readable, receive: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    try {
      if (rest.length > maxLineBytes) throw new RangeError("a line is longer than 1 MiB");
      for (const line of lines) if (line.trim()) receive(line);
    } catch (error) {
      stream.destroy(error as Error);
    }
  });
}
