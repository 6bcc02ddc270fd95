#!/usr/bin/env bash
# Builds the Pulumi command line from its Go modules, held by tools/pulumi/go.sum, into the folder named.
. "$(dirname "$0")/../prelude.sh"

folder="$1"
goCommand="$(bash tools/setup/go.sh)"
scratch="$folder.partial"
rm -rf "$scratch"
mkdir -p "$scratch"
trap 'rm -rf "$scratch"' EXIT

# Downloads and objects, 3 GB: kept only until the build has succeeded, so that an interrupted one goes on.
work="$folder.work"

module=github.com/pulumi/pulumi
build() {
  # `go install` refuses a module that replaces others, so tools/pulumi is a module that requires it.
  cd "$root/tools/pulumi" || return
  GOTOOLCHAIN=auto GOFLAGS="-mod=readonly -modcacherw" CGO_ENABLED=0 GOMODCACHE="$work/modules" GOCACHE="$work/objects" \
    "$goCommand" build -trimpath -tags osusergo,grpcnotrace \
    -ldflags "-w -s -X $module/sdk/v3/go/common/version.Version=v$pulumiPinned" \
    -o "$scratch/pulumi" "$module/pkg/v3/cmd/pulumi"
}
waiting "building the Pulumi command line $pulumiPinned from source (about 7 minutes, once)" build
"$scratch/pulumi" version >/dev/null
mkdir -p "$folder"
mv "$scratch/pulumi" "$folder/pulumi"
rm -rf "$work"
