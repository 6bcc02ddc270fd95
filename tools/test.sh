#!/usr/bin/env bash
# Runs every check and test and ends with one line `N passed, N failed`. A runner that breaks counts as a failure.
# Arguments are handed to vitest: `tools/test.sh test/client`.
. "$(dirname "$0")/prelude.sh"

bash tools/setup.sh testPackages node npmPackages rust pulumi languageHost
bash tools/build.sh

reports="$(mktemp -d)"
trap 'rm -rf "$reports"' EXIT
broken=()

bash tools/check.sh || broken+=(check)

. tools/build/cargo.sh
say "cargo test"
runCargo test --locked 2>&1 |
  tee "$reports/cargo.txt" || broken+=("cargo test")

say "vitest"
node_modules/.bin/vitest run --reporter=default --reporter=json --outputFile.json="$reports/vitest.json" "$@" ||
  broken+=(vitest)

typescript tools/testing/testTotals.mts --vitest "$reports/vitest.json" --cargo "$reports/cargo.txt" "${broken[@]}"
