use super::{check, Result};
use std::os::unix::io::{FromRawFd, OwnedFd};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exited(i32),
    Signaled(i32),
}

/// Collects one dead child, adopted orphans included; `None` when no more are dead.
pub fn reap() -> Option<(i32, Ended)> {
    let mut status = 0;
    // SAFETY: `status` is one int.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    if pid <= 0 {
        return None;
    }
    let ended = if libc::WIFSIGNALED(status) {
        Ended::Signaled(libc::WTERMSIG(status))
    } else {
        Ended::Exited(libc::WEXITSTATUS(status))
    };
    Some((pid, ended))
}

/// A negative pid means the process group.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Blocks the signals that the loop reads from the returned descriptor: SIGCHLD, and SIGTERM and SIGINT, which ask a
/// serving agent outside of a VM to end. SIGPIPE is blocked too: a closed pipe is an error code here. Programs start
/// with an empty mask, see `spawn`.
pub fn signal_descriptor() -> Result<OwnedFd> {
    // SAFETY: the sets are initialised by sigemptyset before any other use.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT] {
            libc::sigaddset(&mut set, signal);
        }
        let mut blocked = set;
        libc::sigaddset(&mut blocked, libc::SIGPIPE);
        check(libc::sigprocmask(libc::SIG_BLOCK, &blocked, std::ptr::null_mut()))?;
        check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)).map(|fd| OwnedFd::from_raw_fd(fd))
    }
}

/// The signal numbers that are waiting in the descriptor.
pub fn pending_signals(descriptor: &OwnedFd) -> Vec<i32> {
    let size = std::mem::size_of::<libc::signalfd_siginfo>();
    let mut bytes = Vec::new();
    let _ = super::read_append(descriptor, &mut bytes, size * 8);
    bytes
        .chunks_exact(size)
        .map(|info| u32::from_ne_bytes([info[0], info[1], info[2], info[3]]) as i32)
        .collect()
}

/// Orphans of programs become this process's children, as they are PID 1's in a VM.
pub fn become_subreaper() {
    // SAFETY: no pointers. Without it only the reaping of stray processes differs.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

pub fn process_id() -> i32 {
    // SAFETY: always succeeds.
    unsafe { libc::getpid() }
}

pub fn is_root() -> bool {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() == 0 }
}

pub fn set_file_mask(mask: u32) {
    // SAFETY: always succeeds.
    unsafe { libc::umask(mask) };
}

/// Raises the limit of open files of this process.
pub fn allow_open_files(count: u64) {
    let limit = libc::rlimit {
        rlim_cur: count,
        rlim_max: count,
    };
    // SAFETY: `limit` outlives the call. Refused: the old limit holds, and calls beyond it say so.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
}
