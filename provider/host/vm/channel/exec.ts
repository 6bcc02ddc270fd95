import { constants } from "node:os";
import { Writable } from "node:stream";
import { SandboxesError } from "../../../client/errors";
import type { ExecRequest, GuestExit, GuestProcess } from "../guestAgent";
import type { GuestChannel } from "./channel";
import { failureOf } from "./failures";
import { type Fields, FieldWriter } from "./fields";
import { OutputReadable } from "./output";
import { tag } from "./protocol";
import type { GuestStream } from "./stream";

/** Starts a program; see `GuestAgent.exec`. */
export async function exec(channel: GuestChannel, request: ExecRequest): Promise<GuestProcess> {
  const { signal } = request;
  signal?.throwIfAborted();
  const fields = encodeRequest(request);
  return new Promise<GuestProcess>((resolve, reject) => {
    let stream!: GuestStream;
    const stdout = new OutputReadable(() => stream, 0);
    const stderr = new OutputReadable(() => stream, 1);
    const exit = deferredExit();
    const abort = () => {
      stream.reset();
      fail(signal?.reason);
    };
    const fail = (error: unknown) => {
      signal?.removeEventListener("abort", abort);
      const cause = error instanceof Error ? error : undefined;
      stdout.destroy(cause);
      stderr.destroy(cause);
      reject(error);
      exit.reject(error);
    };
    stream = channel.open("exec", fields, {
      opened: () => {
        const stdin = request.stdin || request.tty ? createStdin(() => stream) : undefined;
        resolve({
          stdin,
          stdout,
          stderr,
          exit: exit.promise,
          kill: (name) => stream.control(new FieldWriter().number(tag.signal, signalNumber(name))),
          resize: (columns, rows) => stream.control(new FieldWriter().bytes(tag.terminal, encodeSize(columns, rows))),
        });
      },
      data: (output, bytes) => (output === 0 ? stdout : stderr).accept(bytes),
      eof: (output) => (output === 0 ? stdout : stderr).complete(),
      ended: (result) => {
        const failure = failureOf(result, `Starting "${request.argv[0]}"`);
        if (failure) return fail(failure);
        signal?.removeEventListener("abort", abort);
        stdout.complete();
        stderr.complete();
        exit.resolve(decodeExit(result));
      },
      lost: fail,
    });
    signal?.addEventListener("abort", abort);
  });
}

function encodeRequest(request: ExecRequest): FieldWriter {
  const fields = encodeProgram(request).flag(tag.stdin, request.stdin);
  if (request.tty) fields.bytes(tag.terminal, encodeSize(request.tty.columns, request.tty.rows));
  return fields;
}

/** What a program is started with, wherever its streams go. */
export function encodeProgram(request: Pick<ExecRequest, "argv" | "env" | "cwd" | "user" | "timeoutMs">): FieldWriter {
  const fields = new FieldWriter();
  for (const argument of request.argv) fields.bytes(tag.argument, withoutNul(argument, "argv"));
  for (const [name, value] of Object.entries(request.env ?? {})) {
    if (name === "" || name.includes("=")) throw invalid("env", `"${name}" is not a name of a variable`);
    fields.bytes(tag.variable, withoutNul(`${name}=${value}`, "env"));
  }
  if (request.argv.length === 0) throw invalid("argv", "it is empty");
  if (request.cwd !== undefined) {
    if (!request.cwd.startsWith("/")) throw invalid("cwd", `"${request.cwd}" is not absolute`);
    fields.bytes(tag.cwd, withoutNul(request.cwd, "cwd"));
  }
  if (request.user !== undefined) fields.bytes(tag.user, withoutNul(request.user, "user"));
  if (request.timeoutMs !== undefined) fields.number(tag.timeoutMs, Math.ceil(request.timeoutMs));
  return fields;
}

function withoutNul(text: string, field: string): string {
  if (text.includes("\0")) throw invalid(field, "it holds a NUL character");
  return text;
}

function invalid(field: string, state: string): SandboxesError {
  return new SandboxesError("Invalid", `Starting a program: ${state}`, { field });
}

function encodeSize(columns: number, rows: number): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt16BE(clampSize(columns), 0);
  size.writeUInt16BE(clampSize(rows), 2);
  return size;
}

function clampSize(count: number): number {
  return Math.min(Math.max(Math.trunc(count) || 0, 0), 0xffff);
}

function createStdin(stream: () => GuestStream): Writable {
  const stdin = new Writable({
    write: (chunk: Buffer, _encoding, done) => stream().send(chunk, () => done()),
    final: (done) => {
      stream().sendEof();
      done();
    },
    destroy: (error, done) => {
      if (!stdin.writableFinished) stream().sendEof();
      done(error);
    },
  });
  stdin.on("error", () => {}); // a destroyed stdin is the caller's doing, and `exit` tells the rest
  return stdin;
}

function deferredExit() {
  let resolve!: (exit: GuestExit) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<GuestExit>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(() => {}); // a caller that only reads the output need not wait for it
  return { promise, resolve, reject };
}

/** How a program ended, from an answer that says so. */
export function decodeExit(fields: Fields): GuestExit {
  const signal = fields.number(tag.signal);
  return {
    exitCode: signal === undefined ? fields.requiredNumber(tag.exitCode) & 0xff : null,
    signal: signal === undefined ? null : signalName(signal),
    timedOut: fields.get(tag.timedOut) !== undefined,
    durationMs: fields.requiredNumber(tag.durationMs),
  };
}

/** Throws `Invalid` for a name that is none. */
export function signalNumber(name: string): number {
  const number = (constants.signals as Record<string, number>)[name];
  if (number === undefined) throw new SandboxesError("Invalid", `Signalling a program: "${name}" is not a signal`);
  return number;
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, candidate]) => candidate === number);
  return found?.[0] ?? `SIG${number}`;
}
