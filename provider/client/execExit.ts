/** How a program ended. */
export interface ExecExit {
  /** Null when a signal ended it, or the service does not tell. */
  exitCode: number | null;
  /** `SIGKILL`; null when it exited. */
  signal: string | null;
  timedOut: boolean;
  durationMs: number;
}

interface WireExit {
  exitCode?: number | null;
  signal?: string | null;
  timedOut?: boolean | null;
  durationMs?: number | null;
  executionTimeMs?: number | null;
}

/** Reads an end from the wire, where a program ended by a signal also carries the code that a shell would say. */
export function readExit(wire: WireExit): ExecExit {
  const signal = wire.signal ?? null;
  return {
    // Azure was seen to leave the code out; that is not a zero.
    exitCode: signal === null ? (wire.exitCode ?? null) : null,
    signal,
    timedOut: wire.timedOut ?? false,
    durationMs: wire.durationMs ?? wire.executionTimeMs ?? 0,
  };
}
