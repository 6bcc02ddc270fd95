use super::{check, Result};
use std::os::unix::io::{AsRawFd, IntoRawFd, OwnedFd};

/// Runs `work` in a copy of this process, which ends with the number it returns; gives the copy's pid. For system calls
/// that may wait for what this process itself has to do. There is one thread, so the copy may do anything.
pub fn fork(work: impl FnOnce() -> i32) -> Result<i32> {
    // SAFETY: one thread; the copy never returns from here.
    match check(unsafe { libc::fork() })? {
        0 => {
            let code = work();
            // SAFETY: ends the copy at once: nothing of the original's may be run or dropped in it.
            unsafe { libc::_exit(code) }
        }
        pid => Ok(pid),
    }
}

/// For a copy: closes all descriptors but the one, which gets a number that is free for sure.
pub fn keep_only(descriptor: OwnedFd) -> Result<OwnedFd> {
    const KEPT: i32 = 3;
    let number = descriptor.into_raw_fd();
    if number != KEPT {
        // SAFETY: no pointers. What was open as 3 is closed, which is what this is for.
        check(unsafe { libc::dup2(number, KEPT) })?;
    }
    const SYS_CLOSE_RANGE: libc::c_long = 436;
    // SAFETY: no pointers.
    let closed = unsafe { libc::syscall(SYS_CLOSE_RANGE, KEPT as u32 + 1, u32::MAX, 0u32) };
    if closed < 0 {
        // Kernels before 5.9. Descriptors above stay open, which only costs what they refer to.
        for number in KEPT + 1..1024 {
            // SAFETY: closing what is not open is harmless.
            unsafe { libc::close(number) };
        }
    }
    super::adopt(KEPT)
}

/// Two ends of a stream socket, closed on exec and not blocking.
pub fn socket_pair() -> Result<(OwnedFd, OwnedFd)> {
    let (one, other) = std::os::unix::net::UnixStream::pair()?;
    for end in [&one, &other] {
        super::set_nonblocking(end.as_raw_fd())?;
    }
    Ok((one.into(), other.into()))
}
