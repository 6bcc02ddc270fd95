#!/usr/bin/env bash
# Undoes `make up`: destroys the quickstart's resources, removes its stack and stops the sandbox host.
. "$(dirname "$0")/prelude.sh"

if ! command -v pulumi >/dev/null || [ ! -e dist/cli/main.js ]; then
  say "nothing to undo: this checkout is not set up"
  exit 0
fi
bash tools/setup.sh node languageHost

. tools/stack.sh
if stackExists; then
  say "pulumi destroy"
  pulumi destroy --yes --skip-preview --non-interactive --suppress-progress
  pulumi stack rm "$stack" --yes --non-interactive
fi
node dist/cli/main.js host stop
say "nothing of the quickstart is left running"
