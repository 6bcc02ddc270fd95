//! What a program says on its standard output and error, kept in a file of bounded size. The program cannot write the
//! file itself: its only limit would be the one of all files that it writes, and its disk is one of them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// For people who look for the reason of a crash; a guest that can make its QEMU talk cannot fill the disk.
const MAX_BYTES: usize = 1 << 20;

pub struct Log {
    /// Of the program that speaks.
    pub pid: libc::pid_t,
    source: File,
    file: File,
    left: usize,
}

impl Log {
    /// `source` does not block.
    pub fn new(pid: libc::pid_t, source: OwnedFd, file: OwnedFd) -> Self {
        Log {
            pid,
            source: source.into(),
            file: file.into(),
            left: MAX_BYTES,
        }
    }

    pub fn descriptor(&self) -> RawFd {
        self.source.as_raw_fd()
    }

    /// Moves what is there; false once no more can come.
    pub fn pump(&mut self) -> bool {
        let mut chunk = [0u8; 16384];
        loop {
            match self.source.read(&mut chunk) {
                Ok(0) => return false,
                Ok(count) => {
                    let kept = count.min(self.left);
                    self.left -= kept;
                    // On a full disk the log ends; the program goes on.
                    let _ = self.file.write_all(&chunk[..kept]);
                }
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    }
}

/// Two ends of a pipe, to read from and to write to, neither of which blocks: a program never waits for its log.
pub fn pipe() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0 as RawFd; 2];
    // SAFETY: room for two descriptors, which are ours alone afterwards.
    unsafe {
        match libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) {
            0 => Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_beginning_and_drops_what_is_beyond_the_limit() {
        let path = std::env::temp_dir().join(format!("spawner-log-{}", std::process::id()));
        let (source, sink) = pipe().unwrap();
        let mut log = Log::new(1, source, File::create(&path).unwrap().into());
        let mut sink = File::from(sink);
        for _ in 0..100 {
            sink.write_all(&[b'x'; 16384]).unwrap();
            assert!(log.pump());
        }
        drop(sink);
        assert!(!log.pump());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), MAX_BYTES as u64);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_program_whose_log_nobody_moves_is_not_held_up() {
        let (_source, sink) = pipe().unwrap();
        let mut sink = File::from(sink);
        while sink.write(&[b'x'; 16384]).is_ok() {}
        assert_eq!(sink.write(b"x").unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}
