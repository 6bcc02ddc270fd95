# shellcheck shell=bash
# How cargo is run here, for the scripts that need it.

# Outside the checkout, and one per checkout: two of them would take turns invalidating each other's.
cargoTarget="$sandboxesCacheDir/cargo/$(printf '%s' "$root" | sha256sum | cut -c 1-16)"

# runCargo COMMAND ARGUMENTS...
runCargo() {
  local command="$1" from=()
  shift
  # Before 1.68 cargo reads the registry's index through git only, from a place that may be out of reach. Its way over
  # HTTP was there already, for those who ask as nightly compilers may.
  if ! atLeast 1.68.0 "$(cargo --version | cut -d ' ' -f 2)"; then
    RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_SPARSE_REGISTRY=true cargo vendor --quiet --locked "$cargoTarget/vendor" >/dev/null
    from=(--offline --config 'source.crates-io.replace-with="vendored"'
      --config "source.vendored.directory=\"$cargoTarget/vendor\"")
  fi
  CARGO_TERM_COLOR=never cargo "$command" --target-dir "$cargoTarget" "${from[@]}" "$@"
}
