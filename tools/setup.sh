#!/usr/bin/env bash
# Runs the set-up steps named, in order; each does nothing, fast, when what it brings is there.
. "$(dirname "$0")/prelude.sh"

for step in "$@"; do
  case "$step" in
    testPackages) bash tools/setup/systemPackages.sh test ;;
    systemPackages | node | npmPackages | rust | pulumi | languageHost | azureSdks) bash "tools/setup/$step.sh" ;;
    *) cannot "unknown set-up step \"$step\"" "see tools/setup.sh" ;;
  esac
done
