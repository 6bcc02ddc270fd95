#!/usr/bin/env bash
# Makes cargo and rustc on PATH recent enough to build the guest agent and the spawner: rustup's, else Debian's.
. "$(dirname "$0")/../prelude.sh"

version() { rustc --version 2>/dev/null | cut -d ' ' -f 2; }

if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
  bash tools/setup/aptInstall.sh cargo rustc
fi
current="$(version)" || current=
if [ -z "$current" ] || ! atLeast "$rustMinimum" "${current%%-*}"; then
  cannot "rustc ${current:-that works} was found on PATH, $rustMinimum or newer is needed." "rustup update stable"
fi
