#!/usr/bin/env bash
# Installs the named Debian/Ubuntu packages, without recommended ones and without starting their services. Without names
# only the package lists are read anew.
. "$(dirname "$0")/../prelude.sh"

byHand="apt-get update${*:+ && apt-get install --no-install-recommends $*}"
if ! command -v apt-get >/dev/null; then
  cannot "This needs programs that are not installed, and there is no apt-get." \
    "install what your system calls these Debian packages: $*"
fi
asRoot=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null || { ! sudo -n true 2>/dev/null && [ ! -t 0 ]; }; then
    cannot "System packages are missing, and this is neither root nor may it ask sudo." "as root: $byHand"
  fi
  say "sudo is needed for: $byHand"
  sudo -v || cannot "sudo was refused." "as root: $byHand"
  asRoot=(sudo)
fi
oneAtATime apt

asAdmin() { "${asRoot[@]}" env DEBIAN_FRONTEND=noninteractive "$@"; }

# Some packages would start a daemon at once; only their program is wanted. 101: "forbidden by policy".
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${asRoot[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | asAdmin tee "$policy" >/dev/null
  asAdmin chmod 755 "$policy"
fi

update() {
  # The lists have a lock of their own that apt does not wait for.
  local try
  for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
    asAdmin apt-get -o Acquire::Retries=3 update && return 0
    fuser /var/lib/apt/lists/lock >/dev/null 2>&1 || [ "$try" -lt 3 ] || return 1
    sleep 10
  done
  return 1
}
updated="$sandboxesCacheDir/.aptUpdated"
if [ -z "$(find "$updated" -mmin -60 2>/dev/null)" ] || [ -z "$(ls /var/lib/apt/lists 2>/dev/null)" ]; then
  waiting "reading the package lists (apt-get update)" update || cannot "apt-get update failed." "as root: $byHand"
  touch "$updated"
fi
[ $# -gt 0 ] || exit 0
waiting "installing with apt-get: $*" \
  asAdmin apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 install -y --no-install-recommends "$@" ||
  cannot "apt-get could not install everything." "as root: $byHand"
