#!/usr/bin/env bash
# Removes what was built or installed in the checkout. What was fetched stays in the cache, the host's data where it is.
. "$(dirname "$0")/prelude.sh"

rm -rf dist node_modules bench/results test/.work
say "clean. The cache of fetched tools and images is left: $sandboxesCacheDir"
