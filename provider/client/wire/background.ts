import { z } from "zod";

/** The name that the program of the sandbox itself has among those in the background. */
export const ownProgramId = "main";

/** Chosen by the caller, so that a start whose answer was lost can be repeated. */
export const backgroundId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/, "must be 1 to 64 letters, digits and hyphens");

const startShape = {
  command: z.array(z.string()).min(1),
  environment: z.record(z.string(), z.string()).nullish(),
  workingDirectory: z.string().nullish(),
  /** `name`, `uid`, `name:group`, `uid:gid`. */
  user: z.string().nullish(),
  /** Kills the whole process tree; enforced in the guest. Absent: no limit. */
  timeoutMs: z.number().int().positive().nullish(),
  /** `Manual` or `OnDemand` (resumes a stopped sandbox). */
  activationMode: z.string().nullish(),
};

/** `PUT …/backgroundProcesses/{id}`. This and all below is this host's own: Azure has no such calls. */
export const startBackgroundContent = z.looseObject(startShape);
export type StartBackgroundContent = z.input<z.ZodObject<typeof startShape>>;

const viewShape = {
  id: z.string(),
  /** The first arguments, some 250 bytes of them. */
  command: z.array(z.string()),
  state: z.string(),
  /** By the sandbox's clock. */
  startedAt: z.string(),
  /** Of all bytes that it has printed: the place of the first that is kept, and how many there were. */
  outputStart: z.number().int().nonnegative(),
  outputEnd: z.number().int().nonnegative(),
  /** From here on, once it has ended, as `execResultView` says it. */
  exitCode: z.number().int().nullish(),
  signal: z.string().nullish(),
  timedOut: z.boolean().nullish(),
  durationMs: z.number().nullish(),
};

/** `Running` or `Exited`. */
export const backgroundView = z.looseObject(viewShape);
export type BackgroundView = z.output<z.ZodObject<typeof viewShape>>;

const outputShape = {
  process: backgroundView,
  /** Place of the first byte; later than asked for where older output was dropped. */
  from: z.number().int().nonnegative(),
  /** Where to read on. */
  next: z.number().int().nonnegative(),
  parts: z.array(z.looseObject({ stream: z.enum(["stdout", "stderr"]), data: z.base64() })),
};

/** `GET …/backgroundProcesses/{id}/output`. */
export const backgroundOutputView = z.looseObject(outputShape);
export type BackgroundOutputView = z.output<z.ZodObject<typeof outputShape>>;

/** `GET …/backgroundProcesses`, all of them. */
export const backgroundList = z.looseObject({ value: z.array(backgroundView) });

/** Longest that a reader may ask the host to wait for news. */
export const maxOutputWaitMs = 60_000;
