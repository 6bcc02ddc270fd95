//! The ways to the host: a virtio port in a VM, sockets outside of one.

use crate::sys::{self, Errno, Result};
use std::fs;
use std::os::unix::io::OwnedFd;
use std::os::unix::net::UnixListener;

/// The port's name on QEMU's command line.
const PORT_NAME: &str = "agent";
pub enum Port {
    /// Stays open while hosts come and go; a read of nothing means that none is there.
    Virtio(OwnedFd),
    /// One connection at a time; a new one replaces the old one.
    Listener {
        listener: UnixListener,
        connection: Option<OwnedFd>,
    },
    /// Ends with its peer.
    Socket(OwnedFd),
}

/// Opens the port of our name once it is there.
pub fn find_virtio(wait_ms: u64) -> Result<Port> {
    for _ in 0..wait_ms {
        for entry in fs::read_dir("/sys/class/virtio-ports").into_iter().flatten().flatten() {
            let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim_end() == PORT_NAME {
                let device = [b"/dev/", entry.file_name().to_string_lossy().as_bytes()].concat();
                return sys::open(&device, libc::O_RDWR | libc::O_NONBLOCK).map(Port::Virtio);
            }
        }
        sys::sleep_ms(1);
    }
    Err(Errno(libc::ENODEV))
}

pub fn listen(path: &str) -> Result<Port> {
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(Port::Listener {
        listener,
        connection: None,
    })
}

pub fn inherit(descriptor: i32) -> Result<Port> {
    sys::adopt(descriptor).map(Port::Socket)
}

impl Port {
    /// Where bytes go now; none while a listener has no connection.
    pub fn connection(&self) -> Option<&OwnedFd> {
        match self {
            Port::Virtio(descriptor) | Port::Socket(descriptor) => Some(descriptor),
            Port::Listener { connection, .. } => connection.as_ref(),
        }
    }
}
