#!/usr/bin/env bash
# Fetches the pinned official release of the Pulumi command line into the folder named; fails fast where the release
# cannot be reached. The checksums come from another place than the archive.
. "$(dirname "$0")/../prelude.sh"

folder="$1"
case "$(uname -m)" in
  x86_64) architecture=x64 ;;
  aarch64) architecture=arm64 ;;
  *) exit 1 ;;
esac
archive="pulumi-v$pulumiPinned-linux-$architecture.tar.gz"
archives="${PULUMI_RELEASES_URL:-https://get.pulumi.com/releases/sdk}"
checksums="${PULUMI_CHECKSUMS_URL:-https://github.com/pulumi/pulumi/releases/download/v$pulumiPinned}"
scratch="$folder.partial"
rm -rf "$scratch"
mkdir -p "$scratch"
trap 'rm -rf "$scratch"' EXIT

get() { curl --fail --silent --show-error --location --connect-timeout 5 --retry 2 --retry-connrefused "$@"; }

if ! get --max-time 30 -o "$scratch/checksums" "$checksums/pulumi-$pulumiPinned-checksums.txt" 2>/dev/null; then
  say "the official release cannot be reached"
  exit 1
fi
waiting "fetching the Pulumi command line $pulumiPinned" get --max-time 900 -o "$scratch/$archive" "$archives/$archive" || exit 1
if ! (cd "$scratch" && grep -F "  $archive" checksums | sha256sum --check --strict --status); then
  say "the fetched archive does not match its checksum: not used"
  exit 1
fi
tar -xzf "$scratch/$archive" -C "$scratch"
mkdir -p "$(dirname "$folder")"
rm -rf "$folder"
mv "$scratch/pulumi" "$folder"
