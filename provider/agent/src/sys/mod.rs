//! System calls as safe functions. The only place with `unsafe`: each wrapper owns the proof for its one call.

mod attributes;
mod descriptor;
mod directory;
mod epoll;
mod fork;
mod mount;
mod network;
mod process;
mod random;
mod spawn;
mod terminal;
mod time;

pub use attributes::*;
pub use descriptor::*;
pub use directory::*;
pub use epoll::*;
pub use fork::*;
pub use mount::*;
pub use network::*;
pub use process::*;
pub use random::*;
pub use spawn::*;
pub use terminal::*;
pub use time::*;

use std::ffi::CString;

/// A kernel error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

pub type Result<T> = std::result::Result<T, Errno>;

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", std::io::Error::from_raw_os_error(self.0))
    }
}

fn last() -> Errno {
    std::io::Error::last_os_error().into()
}

fn check(result: i32) -> Result<i32> {
    if result < 0 {
        Err(last())
    } else {
        Ok(result)
    }
}

/// Bytes as the kernel wants strings. Callers have refused NUL before; a late one reads as "no such file".
pub fn c_string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Errno(libc::ENOENT))
}
