use super::{check, open, Result};
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd};

/// From asm-generic/ioctls.h; opens the other side of a terminal without a path, so it works in any mount namespace.
const TIOCGPTPEER: libc::c_ulong = 0x5441;

/// A pseudo terminal as (our side, the program's side), of the given size.
pub fn open_terminal(columns: u16, rows: u16) -> Result<(OwnedFd, OwnedFd)> {
    // Not waiting: a line whose other end has to answer first may have that name.
    let ours = open(b"/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK)?;
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int.
    check(unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK as _, &unlock) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: takes flags, returns a fresh descriptor.
    let theirs = check(unsafe { libc::ioctl(ours.as_raw_fd(), TIOCGPTPEER as _, flags) })?;
    // SAFETY: as above.
    let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
    resize_terminal(&ours, columns, rows)?;
    Ok((ours, theirs))
}

/// The kernel sends SIGWINCH to the programs in front.
pub fn resize_terminal(terminal: &impl AsRawFd, columns: u16, rows: u16) -> Result<()> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCSWINSZ reads one winsize.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ as _, &size) }).map(drop)
}
