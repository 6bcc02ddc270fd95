#!/usr/bin/env bash
# peers.sh prepare DIR WORKLOAD PROGRAM [ARGUMENT...] [-- WORKLOAD PROGRAM [ARGUMENT...]]...
#   makes what other sandboxes need in DIR, whose rootfs/ holds the tree that all of them run in, and prints a line for
#   each, fields separated by tabs:
#     peer     NAME  WORKLOAD  ARGUMENT...   the command that starts one; {id} in it is a name that was not used before
#     skipped  NAME  REASON
# peers.sh clean DIR
#   removes what `prepare` and the runs have left in DIR
# Needs root. Nothing is installed: what is not there is skipped. Install bubblewrap, runc, crun, podman to have them.
set -euo pipefail

action=$1
dir=$(realpath "$2")
shift 2
root=$dir/rootfs

# Asked to raise limits above the hard ones podman fails where root may not; its store stays in DIR.
containersConf=$dir/containers.conf
podman=(env "CONTAINERS_CONF=$containersConf" podman "--root=$dir/podman" "--runroot=$dir/podman-run"
  --cgroup-manager=cgroupfs --storage-driver=overlay)

# runc and crun refuse a hybrid layout of control groups: cgroup2's mount, beside the first version's, is hidden from them.
pure=()
if mountpoint -q /sys/fs/cgroup/unified; then
  pure=(unshare --mount sh -c 'umount /sys/fs/cgroup/unified && exec "$@"' sh)
fi

say() { local IFS=$'\t' && printf '%s\n' "$*"; }
has() { command -v "$1" >/dev/null; }
skip() { say skipped "$1" "$2"; }

# bundle WORKLOAD PROGRAM...: an OCI bundle of the tree, as `runc spec` makes it, with that program.
bundle() {
  local folder=$dir/bundle-$1 tool
  shift
  tool=$(command -v runc || command -v crun)
  rm -rf "$folder" && mkdir "$folder"
  (cd "$folder" && "$tool" spec)
  node -e '
    const [file, path, ...args] = process.argv.slice(1);
    const spec = JSON.parse(require("fs").readFileSync(file, "utf8"));
    Object.assign(spec.process, { terminal: false, args, rlimits: undefined });
    spec.root = { path, readonly: false };
    require("fs").writeFileSync(file, JSON.stringify(spec));
  ' "$folder/config.json" "$root" "$@"
}

peers() {
  local workload=$1
  shift
  say peer 'chroot (no isolation)' "$workload" chroot "$root" "$@"
  if has bwrap; then
    say peer bwrap "$workload" bwrap --bind "$root" / --proc /proc --dev /dev --tmpfs /tmp --unshare-all \
      --die-with-parent --new-session "$@"
  else
    skip bwrap 'not installed'
  fi
  if has runc || has crun; then bundle "$workload" "$@"; fi
  for runtime in crun runc; do
    if has "$runtime"; then
      say peer "$runtime" "$workload" "${pure[@]}" "$runtime" run -b "$dir/bundle-$workload" '{id}'
    else
      skip "$runtime" 'not installed'
    fi
  done
  if has runsc && [ -d "$dir/bundle-$workload" ]; then
    # Its output goes through a pipe: sockets, which are what we hand out, it cannot pass on.
    say peer 'gVisor (systrap)' "$workload" sh -c '"$@" | cat' sh runsc "--root=$dir/runsc" --platform=systrap \
      --network=none --ignore-cgroups run "--bundle=$dir/bundle-$workload" '{id}'
  else
    skip 'gVisor (systrap)' "$(has runsc && echo 'needs runc or crun for its bundle' || echo 'not installed')"
  fi
  if ! has podman; then
    skip 'podman (crun, no network)' 'not installed'
  elif ! has crun; then
    skip 'podman (crun, no network)' 'needs crun'
  elif "${podman[@]}" image exists bench || tar -c -C "$root" . | "${podman[@]}" import --quiet - bench >/dev/null; then
    say peer 'podman (crun, no network)' "$workload" "${pure[@]}" "${podman[@]}" --runtime=crun run --rm \
      --network=none '--name={id}' localhost/bench "$@"
  else
    skip 'podman (crun, no network)' 'cannot import the tree'
  fi
}

prepare() {
  printf '[containers]\ndefault_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]\n' >"$containersConf"
  mkdir -p "$root"/{proc,dev,sys,tmp}
  while [ $# -gt 0 ]; do
    local workload=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do workload+=("$1") && shift; done
    [ $# -eq 0 ] || shift
    peers "${workload[@]}"
  done
}

clean() {
  if has podman && [ -d "$dir/podman" ]; then "${podman[@]}" system reset --force >/dev/null 2>&1 || true; fi
  # podman leaves its store mounted.
  { grep -F " $dir/" /proc/self/mounts || true; } | cut -d ' ' -f 2 | sort -r | while read -r mount; do umount "$mount"; done
  rm -rf "$dir"/{podman,podman-run,runsc,rootfs,containers.conf} "$dir"/bundle-*
}

case $action in
  prepare) prepare "$@" ;;
  clean) clean ;;
  *) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
