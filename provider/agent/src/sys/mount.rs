use super::{c_string, check, Result};
use std::os::unix::io::AsRawFd;

pub fn mount(source: &[u8], target: &[u8], kind: &[u8], flags: libc::c_ulong, options: &[u8]) -> Result<()> {
    let (source, target) = (c_string(source)?, c_string(target)?);
    let (kind, options) = (c_string(kind)?, c_string(options)?);
    // SAFETY: four terminated strings that outlive the call.
    check(unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    })
    .map(drop)
}

pub fn bind_mount(source: &[u8], target: &[u8]) -> Result<()> {
    mount(source, target, b"", libc::MS_BIND, b"")
}

/// Takes a mount out of sight whatever still uses it.
pub fn unmount(target: &[u8]) -> Result<()> {
    let target = c_string(target)?;
    // SAFETY: a terminated string.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

pub fn change_directory(path: &[u8]) -> Result<()> {
    let path = c_string(path)?;
    // SAFETY: a terminated string.
    check(unsafe { libc::chdir(path.as_ptr()) }).map(drop)
}

pub fn change_root(path: &[u8]) -> Result<()> {
    let path = c_string(path)?;
    // SAFETY: a terminated string.
    check(unsafe { libc::chroot(path.as_ptr()) }).map(drop)
}

pub fn load_module(file: &impl AsRawFd) -> Result<()> {
    // SAFETY: the parameters are an empty terminated string.
    let result = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), b"\0".as_ptr(), 0) };
    check(result as i32).map(drop)
}

/// Ends the machine: QEMU started with `-no-reboot` exits, which the host sees at once. Does not return.
pub fn reboot() -> ! {
    // SAFETY: no pointers. Everything in the machine is meant to end.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_AUTOBOOT);
        libc::_exit(1)
    }
}
