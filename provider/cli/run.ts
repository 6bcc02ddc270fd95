import { commonUsage, parseArguments } from "./arguments";
import { type Command, type CommandIo, usageError } from "./command";
import { type ProgramRequest, programOptions, programRequest, programUsage, runProgram } from "./program";
import { openTarget, type Target } from "./target";

const hint = "sandboxes run IMAGE -- PROGRAM ARGUMENT…, for example: sandboxes run python -- python3 -c 'print(1)'";

const options = {
  ...programOptions,
  cpu: { type: "string" },
  memory: { type: "string" },
  disk: { type: "string" },
} as const;

/** Silence that makes people wonder. */
const slowMs = 2_000;

/** `sandboxes run`: a sandbox for one program. */
export const runCommand: Command = {
  name: "run",
  summary: "run a program in a new sandbox, then delete the sandbox",
  usage: `sandboxes run [options] IMAGE -- PROGRAM [ARGUMENT…]

IMAGE is a public name (python), a reference (python:3.12) or the id of a disk image. The exit code is the program's.

  --cpu N            processors, 0.5 or 500m; default 1
  --memory SIZE      512Mi, 2Gi; default 512Mi
  --disk SIZE        default 10Gi
${programUsage}
${commonUsage}`,

  async run(argv, io) {
    const { values, positionals, rest } = parseArguments(argv, options, hint);
    const [image, ...others] = positionals;
    if (!image) throw usageError("No image is given", hint);
    if (others.length > 0) throw usageError(`What is "${others[0]}"? The program comes after "--"`, hint);
    const request = programRequest(values, rest, io, hint);
    const { cpu, memory, disk } = values;
    const resources = { ...(cpu && { cpu }), ...(memory && { memory }), ...(disk && { disk }) };
    const target = await openTarget(values, io);
    return runInNew(target, image, resources, request, io);
  },
};

async function runInNew(
  { group }: Target,
  image: string,
  resources: object,
  request: ProgramRequest,
  io: CommandIo,
): Promise<number> {
  const onProgress = (message: string) => io.stderr.write(`${message}\n`);
  const slow = setTimeout(onProgress, slowMs, `making a sandbox from "${image}"; the first of an image takes longer`);
  // Not given up half-way at Ctrl-C: what the host has begun would stay behind.
  const sandbox = await group.createSandbox({ image, resources, onProgress }).finally(() => clearTimeout(slow));
  try {
    io.signal.throwIfAborted();
    return await runProgram(sandbox, request, io);
  } finally {
    await sandbox.delete();
  }
}
