import type { Command } from "./command";

/** A command by name; its file is loaded when it is called, since a daemon's start and a quick `ls` share this list. */
export interface CommandEntry {
  name: string;
  load: () => Promise<Command>;
}

/** All commands, in the order of the help page. */
export const commands: CommandEntry[] = [
  { name: "run", load: async () => (await import("./run.js")).runCommand },
  { name: "exec", load: async () => (await import("./exec.js")).execCommand },
  { name: "cp", load: async () => (await import("./cp.js")).cpCommand },
  { name: "ls", load: async () => (await import("./ls.js")).lsCommand },
  { name: "image", load: async () => (await import("./image.js")).imageCommand },
  { name: "doctor", load: async () => (await import("./doctor.js")).doctorCommand },
  { name: "host", load: async () => (await import("./host.js")).hostCommand },
];
