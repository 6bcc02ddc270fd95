#!/usr/bin/env bash
# Builds the guest agent and the spawner as static executables into dist/native; skipped when nothing changed.
. "$(dirname "$0")/../prelude.sh"

out=dist/native
stamp="$out/.builtFrom"
sources() {
  find Cargo.toml Cargo.lock provider/agent provider/spawner -type f -not -path '*/target/*' | LC_ALL=C sort
}
fingerprint="$({ rustc --version && sources | xargs -d '\n' sha256sum; } | sha256sum | cut -d ' ' -f 1)"
[ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ] && exit 0

# One target folder per checkout: two of them would take turns invalidating each other's.
target="$sandboxesCacheDir/cargo/$(printf '%s' "$root" | sha256sum | cut -c 1-16)"
oneAtATime "cargo-$(basename "$target")"
# Static, so that the agent runs in any image, also an empty one; `--target` keeps the flag from build scripts.
build() {
  RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols" \
    cargo build --release --locked --target "$(uname -m)-unknown-linux-gnu" --target-dir "$target"
}
waiting "building the guest agent and the spawner (cargo build --release)" build ||
  cannot "The native programs could not be built." "cargo build --release    # in $root"
mkdir -p "$out"
for program in agent spawner; do
  install -m 755 "$target/$triple/release/$program" "$out/$program.new"
  mv "$out/$program.new" "$out/$program"
done
printf '%s\n' "$fingerprint" >"$stamp"
