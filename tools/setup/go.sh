#!/usr/bin/env bash
# Prints the path of a Go that can build tools/pulumi: the system's, else a toolchain brought as a Go module.
. "$(dirname "$0")/../prelude.sh"

command -v go >/dev/null || bash tools/setup/aptInstall.sh golang-go >&2
current="$(go env GOVERSION | sed 's/^go//; s/ .*//')"
if atLeast "$goSelfUpdating" "$current"; then
  command -v go
  exit 0
fi

case "$(uname -m)" in
  x86_64) architecture=amd64 ;;
  aarch64) architecture=arm64 ;;
  *) cannot "Go $goPinned is needed." "install it from https://go.dev/dl/" >&2 ;;
esac
folder="$sandboxesCacheDir/go/$goPinned"
if [ ! -x "$folder/bin/go" ]; then
  module="golang.org/toolchain@v0.0.1-go$goPinned.linux-$architecture"
  scratch="$folder.partial"
  rm -rf "$scratch"
  mkdir -p "$scratch"
  # An older Go treats the toolchain as any module; its checksum is asked of the checksum database.
  download() { (cd "$scratch" && GO111MODULE=on GOFLAGS=-modcacherw GOMODCACHE="$scratch/modules" go mod download "$module"); }
  waiting "fetching Go $goPinned (this system has $current)" download >&2 ||
    cannot "Go $goPinned could not be fetched." "install it from https://go.dev/dl/" >&2
  mv "$scratch/modules/$module" "$folder.unpacked"
  # Module files carry no permissions.
  chmod -R u+w "$folder.unpacked"
  chmod +x "$folder.unpacked"/bin/* "$folder.unpacked"/pkg/tool/*/*
  rm -rf "$folder" "$scratch"
  mv "$folder.unpacked" "$folder"
fi
printf '%s\n' "$folder/bin/go"
