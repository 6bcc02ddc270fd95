import { EventEmitter } from "node:events";
import type { Readable } from "node:stream";

/** Kept of what one sandbox's own program prints; older output is dropped. */
const keptBytes = 256 * 1024;
/** Up to this, what follows is kept as one with what came before. */
const joinedBytes = 1024;
/** Of what a slow reader has not read yet. */
const maxWaiting = 4096;

export interface OutputPart {
  stream: "stdout" | "stderr";
  data: Buffer;
}

interface SandboxOutput {
  parts: OutputPart[];
  bytes: number;
  /** Says `part` with each, and `end` when no more will come. */
  events: EventEmitter;
}

/**
 * What the sandboxes' own programs have printed, the newest part of it. In memory: what was printed before a restart of
 * the host, or after a sandbox was stopped, is not in it.
 */
export class ProgramOutput {
  readonly #outputs = new Map<string, SandboxOutput>();

  /** Reads both streams to their ends. */
  collect(sandboxId: string, streams: { stdout: Readable; stderr: Readable }): void {
    const output = this.#of(sandboxId);
    for (const stream of ["stdout", "stderr"] as const) {
      streams[stream].on("data", (data: Buffer) => add(output, { stream, data }));
      streams[stream].on("error", () => undefined); // The connection is over; whoever waits hears it by the sandbox.
    }
  }

  /**
   * What is kept, at most the last `tailLines` lines of it, and, if that is wanted, what comes until `signal`; slow
   * readers miss what does not fit.
   */
  async *read(sandboxId: string, options: { tailLines?: number; follow: boolean; signal: AbortSignal }) {
    const { tailLines, follow, signal } = options;
    const output = this.#of(sandboxId);
    const waiting = tail(output.parts, tailLines);
    let bytes = waiting.reduce((sum, { data }) => sum + data.length, 0);
    let wake: () => void = () => undefined;
    const onPart = (part: OutputPart) => {
      waiting.push(part);
      bytes += part.data.length;
      while ((bytes > keptBytes || waiting.length > maxWaiting) && waiting.length > 1)
        bytes -= waiting.shift()?.data.length ?? 0;
      wake();
    };
    const onEnd = () => wake();
    output.events.on("part", onPart).once("end", onEnd);
    signal.addEventListener("abort", onEnd, { once: true });
    try {
      for (;;) {
        const part = waiting.shift();
        if (part) {
          bytes -= part.data.length;
          yield part;
        } else if (!follow || signal.aborted || this.#outputs.get(sandboxId) !== output) return;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      output.events.off("part", onPart).off("end", onEnd);
      signal.removeEventListener("abort", onEnd);
    }
  }

  /** A sandbox is gone for good; ends who follows it. Repeatable. */
  removed(sandboxId: string): void {
    const output = this.#outputs.get(sandboxId);
    this.#outputs.delete(sandboxId);
    output?.events.emit("end");
  }

  #of(sandboxId: string): SandboxOutput {
    const known = this.#outputs.get(sandboxId);
    if (known) return known;
    const output: SandboxOutput = { parts: [], bytes: 0, events: new EventEmitter().setMaxListeners(0) };
    this.#outputs.set(sandboxId, output);
    return output;
  }
}

function add(output: SandboxOutput, part: OutputPart): void {
  // A copy: a small part of a large buffer would keep all of it.
  const own = { ...part, data: Buffer.from(part.data) };
  const last = output.parts.at(-1);
  // A program that prints byte by byte must not make a million objects here.
  if (last?.stream === own.stream && last.data.length + own.data.length <= joinedBytes) {
    output.parts[output.parts.length - 1] = { ...own, data: Buffer.concat([last.data, own.data]) };
  } else output.parts.push(own);
  output.bytes += own.data.length;
  while (output.bytes > keptBytes && output.parts.length > 1) output.bytes -= output.parts.shift()?.data.length ?? 0;
  output.events.emit("part", own);
}

/** The last lines, over both streams as they came. */
function tail(parts: OutputPart[], lines = Number.POSITIVE_INFINITY): OutputPart[] {
  const found: OutputPart[] = [];
  let left = lines;
  for (const part of [...parts].reverse()) {
    // The end of the last line begins no other.
    let end = found.length === 0 ? part.data.length - 1 : part.data.length;
    let at = end;
    while (left > 0 && at >= 0 && end > 0) {
      at = part.data.lastIndexOf(newline, end - 1);
      if (at >= 0) left -= 1;
      end = at;
    }
    if (left <= 0) return lines > 0 ? [{ ...part, data: part.data.subarray(at + 1) }, ...found] : [];
    found.unshift(part);
  }
  return found;
}

const newline = 0x0a;
