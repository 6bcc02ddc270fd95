use super::{check, open, Result};
use std::os::unix::io::AsRawFd;

/// From linux/random.h; libc does not carry them. Same numbers on x86-64 and arm64.
const RNDADDENTROPY: libc::c_ulong = 0x4008_5203;
const RNDRESEEDCRNG: libc::c_ulong = 0x5207;

/// Mixes bytes into the kernel's pool, credits them, and makes the generator use them from the next read on. Without
/// the second step a clone goes on with its template's stream for up to minutes.
pub fn reseed(entropy: &[u8]) -> Result<()> {
    let device = open(b"/dev/urandom", libc::O_RDWR | libc::O_NONBLOCK)?;
    let mut message = Vec::with_capacity(8 + entropy.len());
    message.extend_from_slice(&((entropy.len() * 8) as i32).to_ne_bytes());
    message.extend_from_slice(&(entropy.len() as i32).to_ne_bytes());
    message.extend_from_slice(entropy);
    // SAFETY: the message is a rand_pool_info: bits, length, and as many bytes as it says.
    check(unsafe { libc::ioctl(device.as_raw_fd(), RNDADDENTROPY as _, message.as_ptr()) })?;
    // SAFETY: takes no argument.
    check(unsafe { libc::ioctl(device.as_raw_fd(), RNDRESEEDCRNG as _, 0) }).map(drop)
}

pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: pointer and length describe the array. Reads of up to 256 bytes are never short.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    bytes
}
