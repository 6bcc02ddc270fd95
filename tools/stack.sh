# shellcheck shell=bash
# The quickstart's stack, for the scripts that create and remove it.

export PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true
stack="${SANDBOXES_STACK:-dev}"

# A local state folder has to exist before Pulumi uses it.
case "$PULUMI_BACKEND_URL" in
  file:///*) mkdir -p "${PULUMI_BACKEND_URL#file://}" ;;
esac

selectStack() { pulumi stack select --create "$stack" --non-interactive >/dev/null; }
stackExists() { pulumi stack select "$stack" --non-interactive >/dev/null 2>&1; }
