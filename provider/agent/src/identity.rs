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
            put("/etc/machine-id", &[id, b"\n"].concat());
        }
        replace_boot_id()?;
    }
    Ok(Opened::Reply(Fields::new()))
}

fn set_name(name: &[u8]) -> Result<()> {
    sys::set_hostname(name)?;
    put("/etc/hostname", &[name, b"\n"].concat());
    if may_write_hosts("/etc/hosts") {
        let text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 ";
        put(
            "/etc/hosts",
            &[HOSTS_MARK.as_bytes(), text.as_bytes(), name, b"\n"].concat(),
        );
    }
    Ok(())
}

/// True unless it is an image's or a user's own.
fn may_write_hosts(path: &str) -> bool {
    match sys::read_regular(path.as_bytes(), HOSTS_MARK.len() as u64) {
        Ok(text) => text.is_empty() || text == HOSTS_MARK.as_bytes(),
        Err(_) => true,
    }
}

/// A directory in the file's place, a full disk: what the guest's own root or image brought about is theirs to live
/// with, and no reason to lose the machine.
fn put(path: &str, content: &[u8]) {
    let _ = write_file(path, content);
}

/// Never follows a link and never waits: the image or the guest's root may have put anything there.
fn write_file(path: &str, content: &[u8]) -> std::io::Result<()> {
    if overwrite(path, content).is_ok() {
        return Ok(());
    }
    let _ = fs::create_dir("/etc"); // there already, but in the barest images
    let temporary = format!("{}.{:016x}", path, u64::from_ne_bytes(sys::random_bytes()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let written = file.write_all(content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary); // what failed is told
    }
    written
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
    let written = write_file(OUR_BOOT_ID, format!("{}\n", uuid(sys::random_bytes())).as_bytes());
    if written.is_err() || is_same_file(OUR_BOOT_ID, BOOT_ID) {
        return Ok(()); // as with `put`
    }
    let _ = sys::unmount(BOOT_ID.as_bytes()); // one of ours that was removed since; mostly there is none
    sys::bind_mount(OUR_BOOT_ID.as_bytes(), BOOT_ID.as_bytes())
}

fn is_same_file(one: &str, other: &str) -> bool {
    match (fs::symlink_metadata(one), fs::symlink_metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
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
    use super::*;
    use std::ffi::CString;
    use std::path::PathBuf;

    /// A directory of its own, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let name = format!("agent-identity-{:016x}", u64::from_ne_bytes(sys::random_bytes()));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Folder(path)
        }

        fn path(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_string()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn make_pipe(path: &str) {
        let path = CString::new(path).unwrap();
        // SAFETY: a terminated string.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    }

    #[test]
    fn a_uuid_has_its_version_and_shape() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_file_takes_the_place_of_a_pipe_or_a_link_and_leads_nowhere() {
        let folder = Folder::new();
        let (pipe, link, victim) = (folder.path("pipe"), folder.path("link"), folder.path("victim"));
        make_pipe(&pipe);
        fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        put(&pipe, b"ours");
        put(&link, b"ours");
        for path in [&pipe, &link] {
            assert!(fs::symlink_metadata(path).unwrap().is_file());
            assert_eq!(fs::read(path).unwrap(), b"ours");
        }
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    }

    #[test]
    fn a_directory_in_the_place_stays_and_nothing_is_left_beside_it() {
        let folder = Folder::new();
        fs::create_dir_all(folder.path("name/full")).unwrap();
        put(&folder.path("name"), b"ours");
        assert!(fs::metadata(folder.path("name/full")).unwrap().is_dir());
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn hosts_are_ours_to_write_unless_a_file_has_something_else() {
        let folder = Folder::new();
        let path = folder.path("hosts");
        assert!(may_write_hosts(&path));
        make_pipe(&path);
        assert!(may_write_hosts(&path));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(may_write_hosts(&path));
        fs::remove_file(&path).unwrap();
        fs::write(&path, [HOSTS_MARK, "127.0.0.1 x\n"].concat()).unwrap();
        assert!(may_write_hosts(&path));
        fs::write(&path, "10.0.0.1 db\n").unwrap();
        assert!(!may_write_hosts(&path));
    }
}
