#!/usr/bin/env bash
# Everything that can be said without running the project: types, lint and import rules, formatting, generated files.
# Goes on after a failure, so that one run tells all of them.
. "$(dirname "$0")/prelude.sh"

bash tools/setup.sh node npmPackages
. tools/build/cargo.sh
failed=()
step() {
  local name="$1"
  shift
  if ! "$@"; then
    failed+=("$name")
  fi
}

step types node_modules/.bin/tsc --noEmit
step lint node_modules/.bin/biome check --error-on-warnings .
step "generated files" typescript tools/generate.mts --check
step links typescript tools/checkLinks.mts
if cargo fmt --version >/dev/null 2>&1; then
  step rustfmt cargo fmt --all --check
else
  say "skipped: rust formatting (cargo fmt is not installed)"
fi
if cargo clippy --version >/dev/null 2>&1; then
  # Debian's clippy is older and knows other lints: warnings count only where the toolchain is ours to choose.
  step clippy runCargo clippy --quiet --locked --all-targets -- -D warnings
else
  say "skipped: rust lint (cargo clippy is not installed)"
fi
if command -v shellcheck >/dev/null; then
  step shellcheck shellcheck tools/*.sh tools/*/*.sh .ci/run
fi

if [ "${#failed[@]}" -gt 0 ]; then
  say "check failed: ${failed[*]}"
  exit 1
fi
say "check passed"
