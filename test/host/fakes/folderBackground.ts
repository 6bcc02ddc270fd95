import { EventEmitter, once } from "node:events";
import { SandboxesError } from "../../../provider/client/errors";
import type { ExecRequest, GuestExit, GuestProcess } from "../../../provider/host/vm/guestAgent";
import type { BackgroundState, GuestBackground } from "../../../provider/host/vm/guestBackground";

interface Job {
  startedMs: number;
  command: string[];
  process: GuestProcess;
  parts: { stream: "stdout" | "stderr"; data: Buffer }[];
  /** Place of the first byte that is kept, and how many there were. */
  start: number;
  end: number;
  ended?: GuestExit;
  news: EventEmitter;
}

const keptBytes = 256 * 1024;

/** Programs in the background as an agent has them. */
export function folderBackground(exec: (request: ExecRequest) => Promise<GuestProcess>): GuestBackground {
  const jobs = new Map<string, Job>();
  const find = (name: string): Job => {
    const job = jobs.get(name);
    if (!job) throw new SandboxesError("ProcessNotFound", `there is no "${name}"`);
    return job;
  };
  const stateOf = (name: string, { command, startedMs, start, end, ended }: Job): BackgroundState => ({
    ...{ name, command, startedMs, outputStart: start, outputEnd: end, ended },
  });
  return {
    start: async (name, request) => {
      const known = jobs.get(name);
      if (known) return stateOf(name, known);
      const process = await exec(request);
      const news = new EventEmitter().setMaxListeners(0);
      const job: Job = { startedMs: Date.now(), command: request.argv, process, parts: [], start: 0, end: 0, news };
      jobs.set(name, job);
      for (const stream of ["stdout", "stderr"] as const) {
        process[stream].on("data", (data: Buffer) => {
          job.parts.push({ stream, data });
          job.end += data.length;
          while (job.end - job.start > keptBytes) job.start += job.parts.shift()?.data.length ?? 0;
          news.emit("some");
        });
      }
      process.exit.then(
        (exit) => {
          job.ended = exit;
          news.emit("some");
        },
        () => undefined,
      );
      return stateOf(name, job);
    },
    list: async () => [...jobs].map(([name, job]) => stateOf(name, job)),
    read: async (name, from, { wait, signal } = {}) => {
      const job = find(name);
      if (from > job.end) throw new SandboxesError("Invalid", `the output of "${name}" ends before`);
      while (wait && job.end <= from && !job.ended) await once(job.news, "some", { signal });
      const parts: Job["parts"] = [];
      let at = job.start;
      for (const { stream, data } of job.parts) {
        if (at + data.length > from) parts.push({ stream, data: data.subarray(Math.max(from - at, 0)) });
        at += data.length;
      }
      return { state: stateOf(name, job), from: Math.max(from, job.start), parts, next: at };
    },
    kill: async (name, signal) => find(name).process.kill(signal),
    remove: async (name) => {
      const { process } = find(name);
      process.kill("SIGKILL");
      await process.exit;
      jobs.delete(name);
    },
  };
}
