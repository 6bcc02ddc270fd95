//! Makes a clone an individual. Whatever two copies of one memory image would share and may not is replaced here,
//! before the host hands the machine out.

use crate::protocol::tag;
use crate::stream::{Machine, Opened};
use crate::sys::{self, Result};
use crate::tlv::{Failure, Fields, Request};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// The file that is mounted over the kernel's boot id.
const OUR_BOOT_ID: &str = "/run/.boot_id";
/// Marks an /etc/hosts that we wrote and may write again; an image's own is left alone.
const HOSTS_MARK: &str = "# written by the sandbox at each start\n";

pub fn refresh(request: &Request, machine: &Machine) -> std::result::Result<Opened, Failure> {
    if machine.is_guest {
        // Randomness first: everything after it may draw from it.
        if let Some(entropy) = request.get(tag::ENTROPY) {
            sys::reseed(entropy)?;
        }
        if let Some(ms) = request.number(tag::CLOCK_MS)? {
            sys::set_wall_clock(ms)?;
        }
        if let Some(name) = request.get(tag::HOSTNAME) {
            set_name(name)?;
        }
        if let Some(id) = request.get(tag::MACHINE_ID) {
            write_file("/etc/machine-id", &[id, b"\n"].concat())?;
        }
        replace_boot_id()?;
    }
    Ok(Opened::Reply(Fields::new()))
}

fn set_name(name: &[u8]) -> Result<()> {
    sys::set_hostname(name)?;
    write_file("/etc/hostname", &[name, b"\n"].concat())?;
    let ours = match fs::read("/etc/hosts") {
        Ok(text) => text.is_empty() || text.starts_with(HOSTS_MARK.as_bytes()),
        Err(_) => true,
    };
    if ours {
        let text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 ";
        write_file(
            "/etc/hosts",
            &[HOSTS_MARK.as_bytes(), text.as_bytes(), name, b"\n"].concat(),
        )?;
    }
    Ok(())
}

/// Never follows a link: the image may have made the file one to anywhere.
fn write_file(path: &str, content: &[u8]) -> Result<()> {
    if overwrite(path, content).is_ok() {
        return Ok(());
    }
    let _ = fs::create_dir("/etc"); // there already, but in the barest images
    let temporary = format!("{}.sandbox", path);
    fs::write(&temporary, content)?;
    Ok(fs::rename(&temporary, path)?)
}

/// A clone finds the files that its template wrote. Writing over them is a fraction of the kernel's code that making
/// and renaming others is, all of which an emulated clone would have to translate.
fn overwrite(path: &str, content: &[u8]) -> std::io::Result<()> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK; // nor wait for the reader of a pipe
    let mut file = fs::OpenOptions::new().write(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() != 1 {
        return Err(std::io::ErrorKind::Other.into());
    }
    file.write_all(content)?;
    if found.len() > content.len() as u64 {
        file.set_len(content.len() as u64)?;
    }
    Ok(())
}

fn replace_boot_id() -> Result<()> {
    let first = !std::path::Path::new(OUR_BOOT_ID).exists();
    fs::write(OUR_BOOT_ID, format!("{}\n", uuid(sys::random_bytes())))?;
    if first {
        sys::bind_mount(OUR_BOOT_ID.as_bytes(), BOOT_ID.as_bytes())?;
    }
    Ok(())
}

/// A random (version 4) UUID.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02x}", byte));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_uuid_has_its_version_and_shape() {
        assert_eq!(super::uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
