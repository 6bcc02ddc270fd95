#!/usr/bin/env bash
# Makes `pulumi` on PATH recent enough: the system's, else the cached one, else the official release, else built from
# source through the Go module proxy, which takes minutes once.
. "$(dirname "$0")/../prelude.sh"

folder="$sandboxesCacheDir/pulumi/$pulumiPinned"
link="$sandboxesCacheDir/bin/pulumi"

system="$(PATH="${PATH#"$sandboxesCacheDir/bin:"}" command -v pulumi)" || system=
if [ -n "$system" ] && atLeast "$pulumiMinimum" "$("$system" version 2>/dev/null | sed 's/^v//')"; then
  rm -f "$link"
  exit 0
fi

if [ ! -x "$folder/pulumi" ]; then
  oneAtATime pulumi
fi
if [ ! -x "$folder/pulumi" ]; then
  say "no Pulumi command line $pulumiMinimum or newer here: bringing $pulumiPinned"
  bash tools/setup/pulumiRelease.sh "$folder" || bash tools/setup/pulumiFromSource.sh "$folder" ||
    cannot "The Pulumi command line could be neither fetched nor built." \
      "install Pulumi $pulumiMinimum or newer: https://www.pulumi.com/docs/install/"
fi
if [ "$(readlink "$link")" != "$folder/pulumi" ]; then
  mkdir -p "$sandboxesCacheDir/bin"
  ln -sfn "$folder/pulumi" "$link"
fi
# What a build needed, if it was interrupted while it tidied up.
[ ! -e "$folder.work" ] || rm -rf "$folder.work"
