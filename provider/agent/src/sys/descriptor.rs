use super::{c_string, check, last, Errno, Result};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::io::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// What a read or write on a non-blocking descriptor came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Io {
    Bytes(usize),
    /// End of the stream; for a virtio port: nobody is connected on the host's side.
    End,
    WouldBlock,
}

fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: every caller passes a descriptor that the kernel has just returned and nobody else holds.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

pub fn open(path: &[u8], flags: i32) -> Result<OwnedFd> {
    let path = c_string(path)?;
    // SAFETY: `path` is a terminated string that outlives the call.
    check(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) }).map(own)
}

/// Of what is in an open directory, whatever is mounted over its path meanwhile.
pub fn open_at(directory: &impl AsRawFd, name: &str, flags: i32) -> Result<OwnedFd> {
    let name = c_string(name.as_bytes())?;
    let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    // SAFETY: `name` is a terminated string that outlives the call.
    check(unsafe { libc::openat(directory.as_raw_fd(), name.as_ptr(), flags) }).map(own)
}

pub fn mkdir_at(directory: &impl AsRawFd, name: &str) -> Result<()> {
    let name = c_string(name.as_bytes())?;
    // SAFETY: a terminated string.
    check(unsafe { libc::mkdirat(directory.as_raw_fd(), name.as_ptr(), 0o755) }).map(drop)
}

/// The beginning of a file that may be anything: only of an ordinary one, and never waiting for whoever is behind it.
pub fn read_regular(path: &[u8], limit: u64) -> Result<Vec<u8>> {
    let file = File::from(open(path, libc::O_RDONLY | libc::O_NONBLOCK)?);
    if !file.metadata()?.is_file() {
        return Err(Errno(libc::EINVAL));
    }
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// Nothing, to be read. Where something else has the name of /dev/null, a pipe that nobody writes to.
pub fn empty_input() -> Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOFOLLOW;
    if let Ok(found) = open(b"/dev/null", flags).map(File::from) {
        let metadata = found.metadata()?;
        if metadata.file_type().is_char_device() && metadata.rdev() == libc::makedev(1, 3) {
            set_flags(found.as_raw_fd(), 0)?;
            return Ok(found.into());
        }
    }
    pipe().map(|(read, _)| read)
}

/// Takes over a descriptor that was inherited at start.
pub fn adopt(descriptor: RawFd) -> Result<OwnedFd> {
    set_nonblocking(descriptor)?;
    // SAFETY: fcntl on a number is harmless; a closed one answers EBADF.
    check(unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    Ok(own(descriptor))
}

pub fn set_nonblocking(descriptor: RawFd) -> Result<()> {
    // SAFETY: fcntl takes no pointer here.
    let flags = check(unsafe { libc::fcntl(descriptor, libc::F_GETFL) })?;
    set_flags(descriptor, flags | libc::O_NONBLOCK)
}

fn set_flags(descriptor: RawFd, flags: i32) -> Result<()> {
    // SAFETY: fcntl takes no pointer here.
    check(unsafe { libc::fcntl(descriptor, libc::F_SETFL, flags) }).map(drop)
}

/// A pipe as (read end, write end), both closed on exec and blocking.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok((own(ends[0]), own(ends[1])))
}

/// Reads into the spare capacity of `buffer`, at most `limit` bytes.
pub fn read_append(from: &impl AsRawFd, buffer: &mut Vec<u8>, limit: usize) -> Result<Io> {
    let length = buffer.len();
    buffer.reserve(limit);
    // SAFETY: `reserve` made `limit` bytes of room behind `length`.
    let count = unsafe { libc::read(from.as_raw_fd(), buffer.as_mut_ptr().add(length).cast(), limit) };
    if count > 0 {
        // SAFETY: the kernel has filled `count` of the reserved bytes.
        unsafe { buffer.set_len(length + count as usize) };
    }
    outcome(count)
}

pub fn write(to: &impl AsRawFd, bytes: &[u8]) -> Result<Io> {
    // SAFETY: pointer and length describe a live slice.
    outcome(unsafe { libc::write(to.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })
}

fn outcome(count: isize) -> Result<Io> {
    if count > 0 {
        return Ok(Io::Bytes(count as usize));
    }
    if count == 0 {
        return Ok(Io::End);
    }
    match last() {
        Errno(libc::EAGAIN) | Errno(libc::EINTR) => Ok(Io::WouldBlock),
        error => Err(error),
    }
}

/// Bytes that can be read at once; 0 where the kind of descriptor cannot tell.
pub fn readable_bytes(from: &impl AsRawFd) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int.
    match check(unsafe { libc::ioctl(from.as_raw_fd(), libc::FIONREAD, &mut count) }) {
        Ok(_) => count.max(0) as usize,
        Err(_) => 0,
    }
}

/// Gives an open file to a user, so that it may be opened again as /dev/stdout.
pub fn change_owner(descriptor: &impl AsRawFd, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::fchown(descriptor.as_raw_fd(), uid, gid) }).map(drop)
}

/// Makes sure that 0, 1 and 2 are open: a kernel without a console starts PID 1 without them, and a pipe that got
/// such a number would be overwritten when a program's standard streams are put in place.
pub fn fill_standard_streams() {
    while let Ok(null) = open(b"/dev/null", libc::O_RDWR) {
        if null.as_raw_fd() > 2 {
            return;
        }
        let _ = null.into_raw_fd();
    }
}

pub fn mkdir(path: &[u8], mode: u32) -> Result<()> {
    let path = c_string(path)?;
    // SAFETY: `path` is a terminated string.
    check(unsafe { libc::mkdir(path.as_ptr(), mode) }).map(drop)
}

/// Removes the file `name` in the directory, or with `directory` an empty directory; never follows a link.
pub fn unlink_at(parent: &impl AsRawFd, name: &std::ffi::CStr, directory: bool) -> Result<()> {
    let flags = if directory { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: `name` is a terminated string.
    check(unsafe { libc::unlinkat(parent.as_raw_fd(), name.as_ptr(), flags) }).map(drop)
}
