use super::{check, Errno, Result};
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd};

/// Readiness of many descriptors. Everything is edge-triggered: a descriptor that nobody wants to read costs nothing,
/// above all the port while the host is away, which stays "readable" with nothing to read.
pub struct Epoll(OwnedFd);

#[derive(Clone, Copy)]
pub struct Event {
    pub token: u64,
    pub readable: bool,
    pub writable: bool,
}

impl Epoll {
    pub fn new() -> Result<Self> {
        // SAFETY: no pointers; the descriptor is fresh.
        check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
            .map(|descriptor| Epoll(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Watches until the descriptor is closed.
    pub fn add(&self, descriptor: &impl AsRawFd, token: u64) -> Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, token)
    }

    /// The same for a descriptor that may be watched already, then under another token.
    pub fn watch(&self, descriptor: &impl AsRawFd, token: u64) -> Result<()> {
        match self.control(libc::EPOLL_CTL_MOD, descriptor, token) {
            Err(Errno(libc::ENOENT)) => self.add(descriptor, token),
            changed => changed,
        }
    }

    fn control(&self, operation: i32, descriptor: &impl AsRawFd, token: u64) -> Result<()> {
        let interest = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event {
            events: interest as u32,
            u64: token,
        };
        // SAFETY: `event` lives through the call.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, descriptor.as_raw_fd(), &mut event) }).map(drop)
    }

    /// Waits for events; `None` waits for ever.
    pub fn wait(&self, into: &mut Vec<Event>, timeout_ms: Option<i32>) -> Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 32];
        // SAFETY: the array has as many elements as the call is told.
        let count = match check(unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.as_mut_ptr(),
                events.len() as i32,
                timeout_ms.unwrap_or(-1),
            )
        }) {
            Ok(count) => count as usize,
            Err(Errno(libc::EINTR)) => 0,
            Err(error) => return Err(error),
        };
        into.clear();
        let input = (libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLRDHUP | libc::EPOLLERR) as u32;
        let output = (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) as u32;
        into.extend(events[..count].iter().map(|event| Event {
            token: event.u64,
            readable: event.events & input != 0,
            writable: event.events & output != 0,
        }));
        Ok(())
    }
}

/// True if the kernel has something exceptional to say of a file: for a table of mounts, that it has changed since this
/// was asked last. Never waits.
pub fn has_priority_event(descriptor: &impl AsRawFd) -> bool {
    let mut asked = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLPRI,
        revents: 0,
    };
    // SAFETY: one structure, and the count says so.
    let count = unsafe { libc::poll(&mut asked, 1, 0) };
    count > 0 && asked.revents & libc::POLLPRI != 0
}
