# shellcheck shell=bash
# Puts the tools that `make` fetched or built on PATH and points Pulumi at the quickstart's local state.
# For scripts, and for people: `. tools/env.sh && pulumi stack output`.

sandboxesCacheDir="${XDG_CACHE_HOME:-$HOME/.cache}/pulumi-sandboxes"
sandboxesDataDir="${SANDBOXES_DATA_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/pulumi-sandboxes}"

case ":$PATH:" in
  *":$sandboxesCacheDir/bin:"*) ;;
  # rustup's and Go's own folders come last: a tool that is already on PATH wins.
  *) export PATH="$sandboxesCacheDir/bin:$PATH:$HOME/.cargo/bin:/usr/local/go/bin" ;;
esac

# The quickstart's state belongs to this machine's host, so it stays beside that host's data, whatever account the
# user is logged in to elsewhere. Set PULUMI_BACKEND_URL to keep it somewhere else.
if [ -z "${PULUMI_BACKEND_URL:-}" ]; then
  export PULUMI_BACKEND_URL="file://$sandboxesDataDir/pulumi"
  export PULUMI_HOME="${PULUMI_HOME:-$sandboxesDataDir/pulumi/home}"
fi
if [ -z "${PULUMI_CONFIG_PASSPHRASE_FILE:-}" ]; then
  export PULUMI_CONFIG_PASSPHRASE="${PULUMI_CONFIG_PASSPHRASE:-}"
fi
export PULUMI_SKIP_UPDATE_CHECK=1
