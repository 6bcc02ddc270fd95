//! Removing a file or a tree, a few entries at a time. The tree is walked by open directories, never by path: a link
//! that somebody puts in the way meanwhile leads nowhere.

use super::path;
use crate::protocol::tag;
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::sys::{self, Directory, Errno};
use crate::tlv::{Failure, Fields, Request};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// Entries removed in one step; some ms under emulation.
const ENTRIES_PER_STEP: usize = 64;

struct Remove {
    /// The directory that holds the root of the tree, then each directory on the way down to the present one.
    open: Vec<Directory>,
    /// Names of those below the first.
    names: Vec<CString>,
    cancelled: bool,
}

pub fn open(request: &Request) -> Result<Opened, Failure> {
    let path = path(request.path(tag::PATH)?);
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        fs::remove_file(path)?;
        return Ok(Opened::Reply(Fields::new()));
    }
    if !request.has(tag::RECURSIVE) {
        fs::remove_dir(path)?;
        return Ok(Opened::Reply(Fields::new()));
    }
    // `/a/..` has no name of its own; refusing it beats guessing.
    let (parent, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => (parent, sys::c_string(name.as_bytes())?),
        _ => return Err(Errno(libc::EBUSY).into()),
    };
    let parent = Directory::open(parent.as_os_str().as_bytes())?;
    let root = parent.open_below(&name)?;
    Ok(Opened::Stream(Box::new(Remove {
        open: vec![parent, root],
        names: vec![name],
        cancelled: false,
    })))
}

impl Remove {
    /// Removes one entry or goes one level down or up; false once the root is gone.
    fn step(&mut self) -> sys::Result<bool> {
        let (current, name) = match (self.open.last_mut(), self.names.last()) {
            (Some(current), Some(name)) => (current, name),
            _ => return Ok(false),
        };
        if let Some(entry) = current.next_entry() {
            match sys::unlink_at(current, &entry, false) {
                Err(Errno(libc::EISDIR)) | Err(Errno(libc::EPERM)) => {
                    let below = current.open_below(&entry)?;
                    self.open.push(below);
                    self.names.push(entry);
                }
                Ok(()) | Err(Errno(libc::ENOENT)) => {}
                Err(error) => return Err(error),
            }
            return Ok(true);
        }
        let parent = &self.open[self.open.len() - 2];
        match sys::unlink_at(parent, name, true) {
            // Entries that were made meanwhile, or skipped because others before them went.
            Err(Errno(libc::ENOTEMPTY)) if current_has_entries(&mut self.open) => return Ok(true),
            Ok(()) | Err(Errno(libc::ENOENT)) => {}
            Err(error) => return Err(error),
        }
        self.open.pop();
        self.names.pop();
        Ok(!self.names.is_empty())
    }
}

fn current_has_entries(open: &mut [Directory]) -> bool {
    open.last_mut().map_or(false, Directory::rewind)
}

impl Stream for Remove {
    fn pump(&mut self, context: &mut Context) -> Progress {
        for _ in 0..ENTRIES_PER_STEP {
            let fields = match self.step() {
                Ok(true) if !self.cancelled => continue,
                Ok(_) => Fields::new(),
                Err(error) => Failure::from(error).fields(),
            };
            context.end(&fields);
            return Progress::Done;
        }
        Progress::Again
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.cancelled = true;
    }
}
