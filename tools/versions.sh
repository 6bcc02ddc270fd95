# shellcheck shell=bash
# Versions that the set-up scripts hold to: `minimum` is what is accepted from the system, `pinned` what is fetched.

# Node: `node:sqlite` and type stripping of .ts files without flags. The pinned one is in tools/node.
# shellcheck disable=SC2034
nodeMinimum=22.19.0

# Pulumi: what the end-to-end tests were run with; older command lines lack `--run-program` or were never tried.
# The pinned one is also in tools/pulumi/go.mod.
# shellcheck disable=SC2034
pulumiMinimum=3.200.0
# shellcheck disable=SC2034
pulumiPinned=3.259.0

# Rust: Debian 12's own.
# shellcheck disable=SC2034
rustMinimum=1.63.0

# Go builds the Pulumi command line where its releases cannot be reached. A Go that can change its own version brings
# the right one; for older ones the toolchain is a module like any other.
# shellcheck disable=SC2034
goPinned=1.25.11
# shellcheck disable=SC2034
goSelfUpdating=1.21.0
