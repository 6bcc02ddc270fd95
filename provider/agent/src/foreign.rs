//! File systems that programs of the guest serve or mounted: whoever touches one may wait for ever, for a program that
//! sleeps, is frozen, or waits for us.

use crate::sys;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// A table beyond this is taken to have one.
const MAX_TABLE_BYTES: u64 = 256 * 1024;

pub struct ForeignMounts {
    /// None outside of a guest, where mounts are the machine's that the agent runs on.
    table: Option<File>,
    found: bool,
}

impl ForeignMounts {
    pub fn new(is_guest: bool) -> Self {
        let table = sys::open(b"/proc/self/mounts", libc::O_RDONLY).map(File::from);
        ForeignMounts {
            table: table.ok().filter(|_| is_guest),
            found: false,
        }
    }

    /// Whether one was added since the start: for a copy of the agent, which is there to wait, none. The table is read
    /// only when the kernel says that it has changed.
    pub fn any(&mut self) -> bool {
        let table = match &mut self.table {
            Some(table) if sys::has_priority_event(table) => table,
            _ => return self.found,
        };
        let mut text = Vec::new();
        let read = table
            .seek(SeekFrom::Start(0))
            .and_then(|_| table.take(MAX_TABLE_BYTES).read_to_end(&mut text));
        self.found = read.map_or(true, |count| count as u64 == MAX_TABLE_BYTES) || lists_foreign(&text);
        self.found
    }
}

/// Spaces within fields are escaped; the third one is the type.
fn lists_foreign(table: &[u8]) -> bool {
    table.split(|byte| *byte == b'\n').any(|line| {
        let kind = line.split(|byte| *byte == b' ').nth(2).unwrap_or(b"");
        kind.starts_with(b"fuse") || kind.starts_with(b"nfs") || [&b"autofs"[..], b"9p", b"cifs"].contains(&kind)
    })
}

#[cfg(test)]
mod tests {
    use super::lists_foreign;

    #[test]
    fn only_the_type_of_a_mount_tells_that_somebody_serves_it() {
        let own = b"overlay / overlay rw 0 0\nfuse /nfs tmpfs fuse 0 0\nproc /a\\040fuse proc rw 0 0\n";
        assert!(!lists_foreign(own));
        assert!(!lists_foreign(b""));
        for kind in ["fuse", "fuse.sshfs", "fuseblk", "nfs4", "autofs"] {
            let line = format!("x /mnt {} rw 0 0\n", kind);
            assert!(lists_foreign(&[own, line.as_bytes()].concat()), "{}", kind);
        }
    }
}
