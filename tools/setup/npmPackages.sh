#!/usr/bin/env bash
# Brings node_modules to what package-lock.json says; does nothing when it is there already.
. "$(dirname "$0")/../prelude.sh"

# npm writes this file last.
installed=node_modules/.package-lock.json
[ -e "$installed" ] && [ ! package-lock.json -nt "$installed" ] && exit 0
if [ -e "$installed" ] && typescript tools/setup/sameLock.mts package-lock.json "$installed"; then
  touch "$installed"
  exit 0
fi
waiting "installing npm packages (npm ci)" npm ci --no-audit --no-fund ||
  cannot "npm ci failed." "npm ci    # in $root, with Node.js $(node --version)"
