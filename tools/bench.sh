#!/usr/bin/env bash
# Measures, prints tables and writes bench/results/latest.jsonl.
. "$(dirname "$0")/prelude.sh"

bash tools/build.sh
typescript bench/run.ts "$@"
