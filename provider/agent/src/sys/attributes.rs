use super::{c_string, check, last, Errno, Result};
use std::mem::MaybeUninit;

/// Bytes of a file system.
pub struct Space {
    pub total: u64,
    pub free: u64,
    /// What ordinary users may still take.
    pub available: u64,
}

pub fn file_system_space(path: &[u8]) -> Result<Space> {
    let path = c_string(path)?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: a terminated string, and room for the answer.
    check(unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) })?;
    // SAFETY: the call has filled it.
    let found = unsafe { found.assume_init() };
    Ok(Space {
        total: found.f_blocks * found.f_frsize,
        free: found.f_bfree * found.f_frsize,
        available: found.f_bavail * found.f_frsize,
    })
}

/// Names of the extended attributes of the file itself (a link is not followed); none where there cannot be any.
pub fn attribute_names(path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let path = c_string(path)?;
    let names = filled(|buffer, size| {
        // SAFETY: `size` bytes of room, or a question for the size when it is 0.
        unsafe { libc::llistxattr(path.as_ptr(), buffer.cast(), size) }
    })?;
    Ok(names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

pub fn attribute(path: &[u8], name: &[u8]) -> Result<Vec<u8>> {
    let (path, name) = (c_string(path)?, c_string(name)?);
    filled(|buffer, size| {
        // SAFETY: as above.
        unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), buffer, size) }
    })
}

/// Asks for the size, then for the bytes; again when they have grown meanwhile.
fn filled(ask: impl Fn(*mut libc::c_void, usize) -> isize) -> Result<Vec<u8>> {
    loop {
        let size = ask(std::ptr::null_mut(), 0);
        if size <= 0 {
            return match last() {
                _ if size == 0 => Ok(Vec::new()),
                Errno(libc::ENOTSUP) => Ok(Vec::new()),
                error => Err(error),
            };
        }
        let mut bytes = vec![0; size as usize];
        let count = ask(bytes.as_mut_ptr().cast(), bytes.len());
        if count >= 0 {
            bytes.truncate(count as usize);
            return Ok(bytes);
        }
        match last() {
            Errno(libc::ERANGE) => {}
            error => return Err(error),
        }
    }
}
