import { z } from "zod";

const environment = z.record(z.string(), z.string());

const commonShape = {
  environment: environment.nullish(),
  workingDirectory: z.string().nullish(),
  /** `name`, `uid`, `name:group`, `uid:gid`. */
  user: z.string().nullish(),
  /** `Manual` or `OnDemand` (resumes a stopped sandbox). */
  activationMode: z.string().nullish(),
  /** Extension: kills the whole process tree; enforced in the guest. */
  timeoutMs: z.number().int().positive().nullish(),
  /** Extension: base64. Absent: stdin is empty. */
  stdin: z.base64().nullish(),
  /** Extension: limit of stdout and of stderr, each; the rest is dropped and `truncated` is true. */
  maxOutputBytes: z.number().int().nonnegative().nullish(),
};

const commandShape = {
  command: z.string().min(1),
  args: z.array(z.string()).nullish(),
  ...commonShape,
};

/** `POST …/executeCommand`. */
export const executeCommandContent = z.looseObject(commandShape);
export type ExecuteCommandContent = z.input<z.ZodObject<typeof commandShape>>;

const shellShape = {
  command: z.string(),
  /** Default `/bin/sh`. */
  shell: z.string().nullish(),
  ...commonShape,
};

/** `POST …/executeShellCommand`. */
export const executeShellCommandContent = z.looseObject(shellShape);
export type ExecuteShellCommandContent = z.input<z.ZodObject<typeof shellShape>>;

const resultShape = {
  /** A program ended by a signal has 128 plus its number, as shells say it: Azure's SDKs read a missing code as 0. */
  exitCode: z.number().int().nullish(),
  stdout: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
  stderr: z
    .string()
    .nullish()
    .transform((value) => value ?? ""),
  executionTimeMs: z.number().nullish(),
  /** Extensions from here. `SIGKILL`; null when the program exited by itself. */
  signal: z.string().nullish(),
  timedOut: z.boolean().nullish(),
  truncated: z.boolean().nullish(),
  durationMs: z.number().nullish(),
};

/** Answer of both exec calls; a non-zero exit is still HTTP 200. */
export const execResultView = z.looseObject(resultShape);
export type ExecResultView = z.output<z.ZodObject<typeof resultShape>>;

const startShape = {
  command: z.array(z.string()).min(1),
  environment: environment.nullish(),
  tty: z.boolean().nullish(),
  /** False: the program's stdin is empty. */
  stdin: z.boolean().nullish(),
  /** Rows and columns of the terminal; 0 from clients that have none. */
  height: z.number().int().nonnegative().nullish(),
  width: z.number().int().nonnegative().nullish(),
  /** Extensions. */
  workingDirectory: z.string().nullish(),
  user: z.string().nullish(),
  timeoutMs: z.number().int().positive().nullish(),
};

export const execStart = z.looseObject(startShape);
export type ExecStart = z.input<z.ZodObject<typeof startShape>>;

/** Frames to the server on `…/exec/stream`; the first must be `start`. All but `start` and `stdin` are extensions. */
export const execClientFrame = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("start"), start: execStart }),
  z.looseObject({ type: z.literal("stdin"), data: z.base64() }),
  z.looseObject({ type: z.literal("stdin_close") }),
  z.looseObject({ type: z.literal("signal"), signal: z.string() }),
  z.looseObject({
    type: z.literal("resize"),
    height: z.number().int().nonnegative(),
    width: z.number().int().nonnegative(),
  }),
]);
export type ExecClientFrame =
  | { type: "start"; start: ExecStart }
  | { type: "stdin"; data: string }
  | { type: "stdin_close" }
  | { type: "signal"; signal: string }
  | { type: "resize"; height: number; width: number };

/** Frames from the server; `exit_code` or `error` is the last. Unknown types are ignored by the client. */
export const execServerFrame = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("stdout"), data: z.string() }),
  z.looseObject({ type: z.literal("stderr"), data: z.string() }),
  z.looseObject({
    type: z.literal("exit_code"),
    /** As in `execResultView`. */
    exitCode: z.number().int().nullish(),
    signal: z.string().nullish(),
    timedOut: z.boolean().nullish(),
    durationMs: z.number().nullish(),
  }),
  z.looseObject({ type: z.literal("error"), code: z.string().nullish(), message: z.string().nullish() }),
]);
export type ExecServerFrame =
  | { type: "stdout"; data: string }
  | { type: "stderr"; data: string }
  | {
      type: "exit_code";
      exitCode?: number | null;
      signal?: string | null;
      timedOut?: boolean | null;
      durationMs?: number | null;
    }
  | { type: "error"; code?: string | null; message?: string | null };
