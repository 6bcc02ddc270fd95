import { SandboxesError } from "../../client/errors";
import type { GuestAgent } from "./guestAgent";

const refusal = (): SandboxesError =>
  new SandboxesError("NotRunning", "the sandbox is paused and has not been resumed by this host");
const refuse = (): Promise<never> => Promise.reject(refusal());

/** Stands in for the agent of a paused VM that was adopted: a frozen guest cannot say hello. */
export const unconnectedAgent: GuestAgent = {
  ping: refuse,
  refresh: refuse,
  exec: refuse,
  readFile: refuse,
  writeFile: refuse,
  stat: refuse,
  list: refuse,
  mkdir: refuse,
  remove: refuse,
  archive: refuse,
  space: refuse,
  connectPort: refuse,
  listen: refuse,
  mount: refuse,
  background: { start: refuse, list: refuse, read: refuse, kill: refuse, remove: refuse },
  closed: Promise.resolve(refusal()),
  close() {},
};
