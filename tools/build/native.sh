#!/usr/bin/env bash
# Builds the guest agent and the spawner as static executables into dist/native; skipped when nothing changed.
. "$(dirname "$0")/../prelude.sh"
. tools/build/cargo.sh

out=dist/native
stamp="$out/.builtFrom"
sources() {
  find Cargo.toml Cargo.lock provider/agent provider/spawner -type f -not -path '*/target/*' | LC_ALL=C sort
}
fingerprint="$({ rustc --version && sources | xargs -d '\n' sha256sum; } | sha256sum | cut -d ' ' -f 1)"
[ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ] && exit 0

oneAtATime "cargo-$(basename "$cargoTarget")"
triple="$(uname -m)-unknown-linux-gnu"
# Static, so that the agent runs in any image, also an empty one; `--target` keeps the flag from build scripts.
build() {
  RUSTFLAGS="-C target-feature=+crt-static" runCargo build --release --locked --target "$triple"
}
waiting "building the guest agent and the spawner (cargo build --release)" build ||
  cannot "The native programs could not be built." "cargo build --release    # in $root"
mkdir -p "$out"
for program in agent spawner; do
  install -m 755 "$cargoTarget/$triple/release/$program" "$out/$program.new"
  mv "$out/$program.new" "$out/$program"
done
printf '%s\n' "$fingerprint" >"$stamp"
