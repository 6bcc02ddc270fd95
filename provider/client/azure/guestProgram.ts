/** What Azure's API has no word for when it starts a program, and a shell in the guest does in its place. */
export interface GuestStart {
  /** Absolute. */
  workingDirectory?: string | null;
  /** Kills the program and, where the image has `setsid`, all it started. */
  timeoutMs?: number | null;
  /** A file in the guest that is the program's input, and is removed. */
  inputFile?: string;
}

/** Above this Azure ends the call by itself, so that nothing has to watch the time in the guest. */
const serviceLimitMs = 600_000;

/**
 * Directory, limit in seconds, input; then the program. A background program of a shell has no input unless it gets it
 * by another number, hence the 3. The nap is ended with its watch, so that none is left when the program ends in time.
 */
const script = `
directory=$1 limit=$2 input=$3; shift 3
if [ -n "$directory" ]; then cd "$directory" || exit 126; fi
if [ -n "$input" ]; then exec <"$input" || exit 126; rm -f "$input"; fi
[ -n "$limit" ] || exec "$@"
exec 3<&0
if command -v setsid >/dev/null 2>&1; then setsid "$@" <&3 3<&- & else "$@" <&3 3<&- & fi
program=$!
( trap 'kill "$nap"; exit' TERM; sleep "$limit" & nap=$!; wait "$nap"; kill -KILL "-$program" || kill -KILL "$program" ) \\
  </dev/null >/dev/null 2>&1 3<&- &
watch=$!
wait "$program"; code=$?
kill "$watch" 2>/dev/null
exit "$code"
`.trim();

/** The program as the guest's shell has to be asked for it; itself where nothing is asked that Azure cannot do. */
export function wrapProgram(argv: readonly string[], start: GuestStart): string[] {
  const { workingDirectory, inputFile } = start;
  const limitMs = watchedMs(start.timeoutMs);
  if (!workingDirectory && !inputFile && limitMs === undefined) return [...argv];
  const limit = limitMs === undefined ? "" : String(limitMs / 1000);
  return ["/bin/sh", "-c", script, "sh", workingDirectory ?? "", limit, inputFile ?? "", ...argv];
}

/** True when the watch in the guest must have ended the program: shells say 137 of SIGKILL. */
export function wasTimedOut(exitCode: number | null | undefined, ranMs: number, timeoutMs?: number | null): boolean {
  const limitMs = watchedMs(timeoutMs);
  return exitCode === 137 && limitMs !== undefined && ranMs >= limitMs;
}

function watchedMs(timeoutMs: number | null | undefined): number | undefined {
  return timeoutMs && timeoutMs < serviceLimitMs ? timeoutMs : undefined;
}
