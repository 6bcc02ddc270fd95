use super::{check, last, open, Result};
use std::ffi::{CStr, CString};
use std::os::unix::io::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// A directory that is read entry by entry.
pub struct Directory(*mut libc::DIR);

impl Directory {
    pub fn open(path: &[u8]) -> Result<Self> {
        Self::from_descriptor(open(path, libc::O_RDONLY | libc::O_DIRECTORY)?)
    }

    /// A directory in this one; refuses a symbolic link.
    pub fn open_below(&self, name: &CStr) -> Result<Self> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: `name` is a terminated string; the descriptor is fresh.
        let descriptor = check(unsafe { libc::openat(self.as_raw_fd(), name.as_ptr(), flags) })?;
        Self::from_descriptor(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }

    fn from_descriptor(descriptor: OwnedFd) -> Result<Self> {
        // SAFETY: an open descriptor of a directory, given away only when that succeeds.
        let stream = unsafe { libc::fdopendir(descriptor.as_raw_fd()) };
        if stream.is_null() {
            return Err(last());
        }
        let _ = descriptor.into_raw_fd();
        Ok(Directory(stream))
    }

    /// The next name but `.` and `..`; `None` at the end and when reading fails.
    pub fn next_entry(&mut self) -> Option<CString> {
        loop {
            // SAFETY: the stream is open; the entry is valid until the next call and copied before.
            let name = unsafe {
                let entry = libc::readdir(self.0);
                if entry.is_null() {
                    return None;
                }
                CStr::from_ptr(std::ptr::addr_of!((*entry).d_name).cast()).to_owned()
            };
            if name.as_bytes() != b"." && name.as_bytes() != b".." {
                return Some(name);
            }
        }
    }

    /// Starts over; true if there is an entry.
    pub fn rewind(&mut self) -> bool {
        // SAFETY: the stream is open.
        unsafe { libc::rewinddir(self.0) };
        let found = self.next_entry().is_some();
        // SAFETY: as above.
        unsafe { libc::rewinddir(self.0) };
        found
    }
}

impl AsRawFd for Directory {
    fn as_raw_fd(&self) -> RawFd {
        // SAFETY: the stream is open.
        unsafe { libc::dirfd(self.0) }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: closed once, here.
        unsafe { libc::closedir(self.0) };
    }
}
