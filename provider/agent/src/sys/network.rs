use super::{check, Errno, Result};
use std::mem::{size_of, zeroed};
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd};

const NONBLOCKING: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
/// Connections that wait to be taken.
const BACKLOG: i32 = 128;

fn socket(family: i32, kind: i32) -> Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is fresh.
    check(unsafe { libc::socket(family, kind, 0) }).map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Begins a TCP connection to this machine's loopback address; it is up when the socket is writable without an error.
pub fn connect_loopback(port: u16, ipv6: bool) -> Result<OwnedFd> {
    let family = if ipv6 { libc::AF_INET6 } else { libc::AF_INET };
    let socket = socket(family, libc::SOCK_STREAM | NONBLOCKING)?;
    // SAFETY: zero is a valid value of these plain C structures, and each length is its structure's.
    let result = unsafe {
        if ipv6 {
            let mut address: libc::sockaddr_in6 = zeroed();
            address.sin6_family = family as u16;
            address.sin6_port = port.to_be();
            address.sin6_addr.s6_addr[15] = 1;
            let length = size_of::<libc::sockaddr_in6>() as u32;
            libc::connect(
                socket.as_raw_fd(),
                (&address as *const libc::sockaddr_in6).cast(),
                length,
            )
        } else {
            let mut address: libc::sockaddr_in = zeroed();
            address.sin_family = family as u16;
            address.sin_port = port.to_be();
            address.sin_addr.s_addr = u32::from_be_bytes([127, 0, 0, 1]).to_be();
            let length = size_of::<libc::sockaddr_in>() as u32;
            libc::connect(
                socket.as_raw_fd(),
                (&address as *const libc::sockaddr_in).cast(),
                length,
            )
        }
    };
    match check(result) {
        Ok(_) | Err(Errno(libc::EINPROGRESS)) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// Listens on this machine's 127.0.0.1; port 0 is any free one.
pub fn listen_loopback(port: u16) -> Result<OwnedFd> {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM | NONBLOCKING)?;
    let enabled: libc::c_int = 1;
    // SAFETY: zero is a valid sockaddr_in, and each pointer comes with the length of what it points to.
    unsafe {
        // Connections of an earlier host may linger on the port.
        check(libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_REUSEADDR,
            (&enabled as *const libc::c_int).cast(),
            size_of::<libc::c_int>() as u32,
        ))?;
        let mut address: libc::sockaddr_in = zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_port = port.to_be();
        address.sin_addr.s_addr = u32::from_be_bytes([127, 0, 0, 1]).to_be();
        check(libc::bind(
            socket.as_raw_fd(),
            (&address as *const libc::sockaddr_in).cast(),
            size_of::<libc::sockaddr_in>() as u32,
        ))?;
        check(libc::listen(socket.as_raw_fd(), BACKLOG))?;
    }
    Ok(socket)
}

pub fn local_port(socket: &impl AsRawFd) -> Result<u16> {
    // SAFETY: the kernel writes no more than the length it is told, and into plain memory.
    unsafe {
        let mut address: libc::sockaddr_in = zeroed();
        let mut length = size_of::<libc::sockaddr_in>() as u32;
        check(libc::getsockname(
            socket.as_raw_fd(),
            (&mut address as *mut libc::sockaddr_in).cast(),
            &mut length,
        ))?;
        Ok(u16::from_be(address.sin_port))
    }
}

/// A waiting connection; none if there is none now.
pub fn accept(socket: &impl AsRawFd) -> Result<Option<OwnedFd>> {
    // SAFETY: no address is asked for; the descriptor is fresh.
    let result = check(unsafe {
        libc::accept4(
            socket.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            NONBLOCKING,
        )
    });
    match result {
        Ok(descriptor) => Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) })),
        Err(Errno(libc::EAGAIN)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The error that an asynchronous connect ended in, if any.
pub fn socket_error(socket: &impl AsRawFd) -> Result<()> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as u32;
    // SAFETY: value and length describe one int.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&mut value as *mut libc::c_int).cast(),
            &mut length,
        )
    })?;
    if value == 0 {
        Ok(())
    } else {
        Err(Errno(value))
    }
}

pub fn shutdown_write(socket: &impl AsRawFd) {
    // SAFETY: no pointers. Fails only when the peer is gone already, which reads will tell.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) };
}

/// Brings up `lo`; the kernel gives it 127.0.0.1 and ::1 by itself.
pub fn loopback_up() -> Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC)?;
    // SAFETY: zero is a valid ifreq; both calls get one that outlives them.
    unsafe {
        let mut request: libc::ifreq = zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &mut request))?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request))?;
    }
    Ok(())
}
