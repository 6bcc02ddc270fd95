# shellcheck shell=bash disable=SC2034
# Versions that the set-up scripts hold to: `minimum` is what is accepted from the system, `pinned` what is fetched.

# Node: `node:sqlite` and type stripping of .ts files without flags. The pinned one is in tools/node.
nodeMinimum=22.19.0

# Pulumi: what the end-to-end tests were run with; older command lines lack `--run-program` or were never tried.
# The pinned one is also in tools/pulumi/go.mod.
pulumiMinimum=3.200.0
pulumiPinned=3.259.0

# Rust: Debian 12's own.
rustMinimum=1.63.0

# Go builds the Pulumi command line where its releases cannot be reached. A Go that can change its own version brings
# the right one; for older ones the toolchain is a module like any other.
goPinned=1.25.11
goSelfUpdating=1.21.0
