//! A file's bytes from the host, into a temporary file beside it that then takes its place: readers see the old
//! content or the new, never a part, and a write that is broken off leaves nothing.

use super::path;
use crate::pipes::Taken;
use crate::protocol::{failure, frame, tag};
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::sys::{self, Errno};
use crate::tlv::{Failure, Fields, Request};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const NEW_FILE_MODE: u32 = 0o644;
/// As the kernel's own limit.
const MAX_LINKS: usize = 40;

struct Write {
    file: File,
    temporary: Option<PathBuf>,
    target: PathBuf,
    written: u64,
    taken: Taken,
    ended: bool,
    cancelled: bool,
    failed: Option<Failure>,
}

pub fn open(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let wanted = path(request.path(tag::PATH)?);
    let mode = request.number(tag::MODE)?.map(|mode| mode as u32 & 0o7777);
    let target = follow_links(wanted)?;
    let folder = target.parent().ok_or(Errno(libc::EISDIR))?.to_path_buf();
    if request.has(tag::CREATE_DIRS) {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&folder)?;
    }
    let old = match fs::symlink_metadata(&target) {
        Ok(old) if old.is_dir() => return Err(Errno(libc::EISDIR).into()),
        Ok(old) if !old.is_file() => {
            return Err(Failure {
                kind: failure::NOT_A_FILE,
                errno: 0,
            })
        }
        Ok(old) => Some(old),
        Err(_) => None,
    };
    let temporary = folder.join(format!(".sandbox-{:016x}", u64::from_ne_bytes(sys::random_bytes())));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let write = Write {
        file,
        temporary: Some(temporary),
        target,
        written: 0,
        taken: Taken::default(),
        ended: false,
        cancelled: false,
        failed: None,
    };
    if let Some(old) = &old {
        let _ = sys::change_owner(&write.file, old.uid(), old.gid()); // only root can, and only root needs to
    }
    // After the owner: changing that clears the set-user-id bits.
    let mode = mode
        .or_else(|| old.map(|old| old.mode() & 0o7777))
        .unwrap_or(NEW_FILE_MODE);
    write.file.set_permissions(Permissions::from_mode(mode))?;
    context.out.frame(context.id, frame::OPENED, &[]);
    Ok(Opened::Stream(Box::new(write)))
}

/// Where a link leads, also to a file that is not there yet: the link stays, its target is written.
fn follow_links(path: &Path) -> Result<PathBuf, Failure> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = path.parent().unwrap_or_else(|| Path::new("/")).join(link),
            Err(_) => return Ok(path),
        }
    }
    Err(Errno(libc::ELOOP).into())
}

impl Write {
    fn finish(&mut self) -> Result<Fields, Failure> {
        if let Some(failure) = self.failed {
            return Err(failure);
        }
        if self.cancelled {
            return Err(Failure {
                kind: failure::CANCELLED,
                errno: 0,
            });
        }
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.target)?;
        }
        self.temporary = None;
        Ok(Fields::new().u64(tag::SIZE, self.written))
    }
}

impl Stream for Write {
    fn pump(&mut self, context: &mut Context) -> Progress {
        if self.ended || self.cancelled || self.failed.is_some() {
            let fields = self.finish().unwrap_or_else(Failure::fields);
            context.end(&fields);
            return Progress::Done;
        }
        self.taken.pump(context);
        Progress::Wait
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.file.write_all(bytes) {
            Ok(()) => self.written += bytes.len() as u64,
            Err(error) => self.failed = Some(error.into()),
        }
        self.taken.add(bytes.len());
        Ok(())
    }

    fn eof(&mut self) {
        self.ended = true;
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.cancelled = true;
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary); // its directory may be gone already
        }
    }
}
