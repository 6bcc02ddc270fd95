#!/usr/bin/env bash
# Builds everything that runs: native programs and compiled TypeScript, into dist/.
. "$(dirname "$0")/prelude.sh"

bash tools/setup.sh systemPackages node npmPackages rust
bash tools/build/native.sh
bash tools/build/typescript.sh
