#!/usr/bin/env bash
# Gives the Pulumi command line its Node.js language host where it has none: a command line that was built from source
# comes alone. Both files go beside the executable, where it looks first.
. "$(dirname "$0")/../prelude.sh"

executable="$(readlink -f "$(command -v pulumi)")"
beside="$(dirname "$executable")"
case "$beside" in
  "$sandboxesCacheDir"/*) ;;
  *)
    # Not ours to write to. A host that is only on PATH works too, with a warning.
    [ -x "$beside/pulumi-language-nodejs" ] && exit 0
    beside="$sandboxesCacheDir/bin"
    command -v pulumi-language-nodejs >/dev/null && [ ! -e "$beside/pulumi-language-nodejs" ] && exit 0
    ;;
esac

place() {
  if ! cmp -s "$1" "$beside/$2"; then
    install -D -m 755 "$1" "$beside/$2.new"
    mv "$beside/$2.new" "$beside/$2"
  fi
}
# The release's own host is a binary; ours starts with `#!`.
if [ ! -e "$beside/pulumi-language-nodejs" ] || [ "$(head -c 2 "$beside/pulumi-language-nodejs")" = '#!' ]; then
  place tools/languageHost/pulumi-language-nodejs pulumi-language-nodejs
  place node_modules/@pulumi/pulumi/pulumi-resource-pulumi-nodejs pulumi-resource-pulumi-nodejs
fi
