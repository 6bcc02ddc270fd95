#!/usr/bin/env bash
# Brings the programs that run sandboxes and build this project; with `test`, also those that only tests use.
. "$(dirname "$0")/../prelude.sh"

missing=()

# Each needed program or file, and the Debian package that has it. Looking for files is fast and works on any system.
program() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || missing+=("$2"); }
file() { [ -e "$1" ] || missing+=("$2"); }

program qemu-system-x86_64 qemu-system-x86
program sqfstar squashfs-tools
program mmdebstrap mmdebstrap
program skopeo skopeo
file /etc/containers/policy.json golang-github-containers-common
program lz4 lz4
program mke2fs e2fsprogs
program zstd zstd
program xz xz-utils
program openssl openssl
program curl curl
program git git
program make make
program gcc gcc
program flock util-linux
program setpriv util-linux
program fuser psmisc
file /etc/ssl/certs/ca-certificates.crt ca-certificates
file /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
file "/usr/lib/$(uname -m)-linux-gnu/libc.a" libc6-dev
[ "$(id -u)" -eq 0 ] || program newuidmap uidmap

if [ "${1:-}" = test ]; then
  program docker-registry docker-registry
  program umoci umoci
  program busybox busybox-static
fi

if [ "${#missing[@]}" -gt 0 ]; then
  bash tools/setup/aptInstall.sh "${missing[@]}"
fi

# The guests' kernel is a package too, which the host fetches when it first needs one: for that apt must have its lists.
if [ "$(uname -m)" = x86_64 ] && [ -z "${SANDBOXES_KERNEL:-}" ] && command -v apt-cache >/dev/null &&
  ! compgen -G "$sandboxesCacheDir/kernels/*/kernel.json" >/dev/null &&
  ! compgen -G "/var/lib/apt/lists/*_Packages*" >/dev/null; then
  bash tools/setup/aptInstall.sh
fi
