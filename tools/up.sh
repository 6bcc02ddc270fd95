#!/usr/bin/env bash
# Deploys the quickstart with Pulumi onto a sandbox host on this machine and runs code in the sandbox it made.
. "$(dirname "$0")/prelude.sh"

bash tools/build.sh
bash tools/setup.sh pulumi languageHost

. tools/stack.sh
selectStack
say "pulumi up"
pulumi up --yes --skip-preview --non-interactive --suppress-progress
say "code in the deployed sandbox"
typescript examples/quickstart/run.ts
say "done. See it: . tools/env.sh && npx sandboxes ls --group \"\$(pulumi stack output groupId)\""
say "Once more: make up. Remove everything: make down"
