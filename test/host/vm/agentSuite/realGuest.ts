import type { Template, VmDriver } from "../../../../provider/host/vm/driver";
import type { GuestAgent } from "../../../../provider/host/vm/guestAgent";

/** A machine of busybox that all parts of the suite share, and what makes others like it. */
export interface RealGuest {
  agent: GuestAgent;
  driver: VmDriver;
  template: Template;
  /** Where the driver keeps its files, on the host. */
  dataDirectory: string;
}

let marks = 0;

/** Seconds for a `sleep` that nothing else in the guest runs, about 98 thousand. */
export function sleepMark(): string {
  marks += 1;
  return `98${String(marks).padStart(3, "0")}`;
}

export async function* bytesOf(...chunks: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}
