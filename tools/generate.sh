#!/usr/bin/env bash
# Writes the generated files anew.
. "$(dirname "$0")/prelude.sh"

bash tools/setup.sh node npmPackages
typescript tools/generate.mts
