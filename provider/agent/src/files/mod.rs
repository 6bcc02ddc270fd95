//! Files of the guest. Single-threaded and in small steps: no call may hold up the others for long.

pub mod info;
pub mod list;
pub mod read;
pub mod remove;
pub mod write;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path as received; any bytes are fine.
fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
