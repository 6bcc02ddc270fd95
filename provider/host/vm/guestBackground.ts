import type { CallOptions, ExecRequest, GuestExit } from "./guestAgent";

/**
 * Programs of the machine itself: they have a name, go on whoever connects and leaves, and are asked for later. The agent
 * keeps the newest 256 KiB of what each prints and how it ended, of the newest 64 of them. All calls reject with
 * `ProcessNotFound` for a name that is not known, or not any more.
 */
export interface GuestBackground {
  /**
   * Resolves once it runs; rejects as `exec` does, and with `CapacityExceeded` when 64 run. Repeatable: where one of
   * that name was started before, nothing is, and that one is told of.
   */
  start(name: string, request: BackgroundRequest, options?: CallOptions): Promise<BackgroundState>;
  /** In the order of their starts. */
  list(options?: CallOptions): Promise<BackgroundState[]>;
  /**
   * A piece of what it printed, from that place on, and its state; `wait` for something new: more output, or its end.
   * `Invalid` for a place beyond the end.
   */
  read(name: string, from: number, options?: CallOptions & { wait?: boolean }): Promise<BackgroundOutput>;
  /** To the whole tree, `SIGTERM`. Without effect on one that has ended. */
  kill(name: string, signal: string, options?: CallOptions): Promise<void>;
  /** Kills the whole tree and forgets it. */
  remove(name: string, options?: CallOptions): Promise<void>;
}

export type BackgroundRequest = Pick<ExecRequest, "argv" | "env" | "cwd" | "user" | "timeoutMs">;

export interface BackgroundState {
  name: string;
  /** Its first arguments, some 250 bytes of them. */
  command: string[];
  /** By the guest's clock, ms since the epoch. */
  startedMs: number;
  /** Of all bytes that it has printed, the first that is kept, and how many there were. */
  outputStart: number;
  outputEnd: number;
  /** Undefined while it runs. */
  ended?: GuestExit;
}

export interface BackgroundOutput {
  state: BackgroundState;
  /** Place of the first byte: later than asked for where older output was dropped. */
  from: number;
  parts: { stream: "stdout" | "stderr"; data: Buffer }[];
  /** Place behind the last byte. */
  next: number;
}
