#!/usr/bin/env bash
# Compiles provider/ into dist/; skipped when nothing changed. Compiled files whose source is gone are removed.
. "$(dirname "$0")/../prelude.sh"

stamp=dist/.builtFrom
fingerprint="$({ find provider -name '*.ts' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum &&
  sha256sum tsconfig.json tsconfig.build.json package-lock.json; } | sha256sum | cut -d ' ' -f 1)"
[ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ] && exit 0

oneAtATime "typescript-$(printf '%s' "$root" | sha256sum | cut -c 1-16)"
waiting "compiling TypeScript (tsc)" node_modules/.bin/tsc -p tsconfig.build.json ||
  cannot "The TypeScript sources do not compile." "npx tsc -p tsconfig.build.json    # in $root"
find dist -type f \( -name '*.js' -o -name '*.js.map' -o -name '*.d.ts' \) -print | while read -r compiled; do
  source="provider/${compiled#dist/}"
  source="${source%.map}"
  source="${source%.d.ts}"
  [ -e "${source%.js}.ts" ] || rm -f "$compiled"
done
[ -e dist/cli/main.js ] && chmod +x dist/cli/main.js
printf '%s\n' "$fingerprint" >"$stamp"
