import type { Socket } from "node:net";
import * as z from "zod";
import { SandboxesError } from "../../../client/errors";
import { readLines } from "./lines";

export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
}

/** QEMU's control channel. Commands may be issued at once after the connect; QEMU answers them in order. */
export interface Qmp {
  /** Rejects with `GuestFailed` when QEMU is gone, or does not answer in time and is given up. */
  execute(command: string, args?: Record<string, unknown>): Promise<unknown>;
  onEvent(listener: (event: QmpEvent) => void): void;
  /** Resolves with the first event of that name for which `accept` says yes; rejects when QEMU is gone. */
  waitFor(event: string, accept: (data: QmpEvent["data"]) => boolean): Promise<void>;
  /** Settles when the channel is closed, by whichever side; never rejects. Says why where it was given up. */
  readonly closed: Promise<string | undefined>;
  close(): void;
}

/** Commands take milliseconds, on a machine under heavy load a second. */
const defaultAnswerLimitMs = 30_000;

const message = z.union([
  z.object({ return: z.unknown(), id: z.number() }),
  z.object({ error: z.object({ class: z.string(), desc: z.string() }), id: z.number().optional() }),
  z.object({ event: z.string(), data: z.record(z.string(), z.unknown()).default({}) }),
  z.object({ QMP: z.unknown() }),
]);

/** Takes the connected socket over. */
export function openQmp(socket: Socket, answerLimitMs = defaultAnswerLimitMs): Qmp {
  const pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const listeners = new Set<(event: QmpEvent) => void>();
  let lastId = 0;
  let isClosed = false;
  let givenUp: string | undefined;

  const settle = (id: number | undefined, answer: { return: unknown } | { error: { desc: string } }): void => {
    const request = pending.get(id ?? -1);
    pending.delete(id ?? -1);
    if ("error" in answer) request?.reject(new SandboxesError("Internal", `QEMU refused: ${answer.error.desc}`));
    else request?.resolve(answer.return);
  };

  readLines(socket, (line) => {
    const parsed = message.parse(JSON.parse(line));
    if ("event" in parsed) for (const listener of [...listeners]) listener(parsed);
    else if (!("QMP" in parsed)) settle(parsed.id, parsed);
  });
  // Told by "close", which always follows.
  socket.on("error", () => {});
  const closed = new Promise<string | undefined>((resolve) => {
    socket.once("close", () => {
      isClosed = true;
      for (const request of pending.values()) request.reject(gone(givenUp));
      pending.clear();
      resolve(givenUp);
    });
  });

  const execute = (command: string, args: Record<string, unknown> = {}): Promise<unknown> => {
    if (isClosed) return Promise.reject(gone(givenUp));
    const id = ++lastId;
    socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    const tooLate = setTimeout(() => {
      givenUp ??= `QEMU did not answer "${command}" within ${answerLimitMs} ms`;
      socket.destroy();
    }, answerLimitMs);
    const answer = new Promise((resolve, reject) => pending.set(id, { resolve, reject }));
    return answer.finally(() => clearTimeout(tooLate));
  };

  return {
    execute,
    onEvent: (listener) => void listeners.add(listener),
    waitFor(name, accept) {
      return new Promise((resolve, reject) => {
        const listener = (event: QmpEvent): void => {
          if (event.event !== name || !accept(event.data)) return;
          listeners.delete(listener);
          resolve();
        };
        listeners.add(listener);
        void closed.then((why) => reject(gone(why)));
      });
    },
    closed,
    close: () => void socket.destroy(),
  };
}

function gone(why = "the virtual machine is gone"): SandboxesError {
  return new SandboxesError("GuestFailed", why);
}
