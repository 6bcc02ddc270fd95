# shellcheck shell=bash
# What every script here starts with: strict mode, the checkout's root as cwd, PATH, and the few ways to speak.

set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"
. "$root/tools/env.sh"
. "$root/tools/versions.sh"

say() { printf '==> %s\n' "$*"; }

# typescript FILE...: runs a TypeScript file as it is. The package has no "type", about which Node would warn each time.
typescript() { node --disable-warning=MODULE_TYPELESS_PACKAGE_JSON "$@"; }

# cannot WHAT DO: this step cannot succeed by itself; says what a person has to do, and ends the script.
cannot() {
  printf '\n*** %s\n' "$1" >&2
  printf '    Do this by hand, then run the same command again:\n%s\n\n' "$(printf '%s' "$2" | sed 's/^/      /')" >&2
  exit 1
}

# waiting WHAT COMMAND...: runs the command quietly, says every 15 s what is being waited for, and shows the end of
# its output when it fails.
waiting() {
  local what="$1" log started ticker rc=0
  shift
  mkdir -p "$sandboxesCacheDir/logs"
  log="$sandboxesCacheDir/logs/$(basename "${0%.sh}").$$.log"
  started=$SECONDS
  say "$what"
  (
    # The sleep too: it would hold this script's output open.
    trap 'kill $! 2>/dev/null; exit 0' TERM
    while sleep 15 & wait $! && kill -0 $$ 2>/dev/null; do
      printf '    still waiting: %s (%d s; log: %s)\n' "$what" $((SECONDS - started)) "$log"
    done
  ) &
  ticker=$!
  "$@" >"$log" 2>&1 </dev/null || rc=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  if [ "$rc" -eq 0 ]; then
    rm -f "$log"
  else
    printf '    failed after %d s (exit code %d); the end of %s:\n' $((SECONDS - started)) "$rc" "$log" >&2
    tail -n 25 "$log" | sed 's/^/    | /' >&2
  fi
  return "$rc"
}

# oneAtATime NAME: waits until no other run on this machine holds NAME, then holds it until this script ends.
oneAtATime() {
  mkdir -p "$sandboxesCacheDir/locks"
  exec 9>"$sandboxesCacheDir/locks/$1"
  if ! flock -n 9; then
    say "another run is busy with the same step ($1): waiting for it"
    flock 9
  fi
}

# atLeast WANTED FOUND: true when version FOUND is WANTED or newer.
atLeast() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }
