#!/usr/bin/env bash
# Brings Azure's own Python SDKs, unmodified, for the tests that drive the host with them: a virtual environment in the
# cache, by the digest of what it holds. npm brings the one for JavaScript.
. "$(dirname "$0")/../prelude.sh"

requirements=test/sdk/python/requirements.txt
folder="$sandboxesCacheDir/azureSdks/$(sha256sum "$requirements" | cut -c 1-16)"
[ -e "$folder/.complete" ] && exit 0

oneAtATime azureSdks
[ -e "$folder/.complete" ] && exit 0

# Debian has the module that fills an environment in a package of its own.
python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  bash tools/setup/aptInstall.sh python3 python3-venv

bring() {
  rm -rf "$sandboxesCacheDir/azureSdks"
  python3 -m venv "$folder" &&
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
      --require-hashes --requirement "$requirements" &&
    touch "$folder/.complete"
}
waiting "installing Azure's Python SDKs" bring ||
  cannot "pip could not install everything." "python3 -m venv DIR && DIR/bin/pip install --requirement $requirements"
