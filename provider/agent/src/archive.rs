//! A directory tree as a tar stream (pax, https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html): what a
//! disk image is made of. Other file systems mounted in the tree are empty directories in it. Programs stand still
//! meanwhile, so that the files fit together, unless one is started.

mod header;

use crate::protocol::{frame, tag, GUEST_FRAME_BYTES};
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::sys::{Errno, Io};
use crate::tlv::{Failure, Fields, Request};
use header::{Entry, Kind, BLOCK};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Files up to this travel in one frame with their neighbours.
const SMALL_BYTES: u64 = 16 * 1024;
const FRAME_BYTES: usize = GUEST_FRAME_BYTES - 64;
/// Entries looked at in one step; some ms under emulation.
const ENTRIES_PER_STEP: usize = 32;

struct Archive {
    root: PathBuf,
    device: u64,
    /// Per directory on the way down: names still to come, last first.
    waiting: Vec<(PathBuf, Vec<OsString>)>,
    /// Of files with several names: the name that was sent.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// Made and not yet sent.
    ready: Vec<u8>,
    /// Of the file whose content is being sent: what is left, and the padding behind it.
    content: Option<(File, u64, usize)>,
    finished: bool,
    cancelled: bool,
}

pub fn open(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let root = PathBuf::from(OsStr::from_bytes(request.path(tag::PATH)?));
    let metadata = fs::metadata(&root)?;
    let names = names(&root)?;
    context.machine.cgroups.freeze();
    context.out.frame(context.id, frame::OPENED, &[]);
    Ok(Opened::Stream(Box::new(Archive {
        device: metadata.dev(),
        waiting: vec![(root.clone(), names)],
        root,
        links: HashMap::new(),
        ready: Vec::new(),
        content: None,
        finished: false,
        cancelled: false,
    })))
}

/// Sorted backwards, so that the first comes off the end.
fn names(folder: &Path) -> Result<Vec<OsString>, Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

impl Archive {
    /// Makes bytes ready until there is a frame's worth, or a large file begins.
    fn advance(&mut self) -> Result<(), Failure> {
        for _ in 0..ENTRIES_PER_STEP {
            if self.finished || self.content.is_some() || self.ready.len() >= FRAME_BYTES {
                break;
            }
            match self.waiting.last_mut() {
                None => {
                    self.ready.extend_from_slice(&[0; 2 * BLOCK]);
                    self.finished = true;
                }
                Some((folder, names)) => match names.pop() {
                    Some(name) => {
                        let path = folder.join(name);
                        self.entry(path)?;
                    }
                    None => {
                        self.waiting.pop();
                    }
                },
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: PathBuf) -> Result<(), Failure> {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(_) => return Ok(()), // gone between reading the directory and here
        };
        let name = self.name(&path);
        let file_type = metadata.file_type();
        if file_type.is_dir() {
            let same = metadata.dev() == self.device;
            let below = if same { names(&path)? } else { Vec::new() };
            self.head(&path, &metadata, Kind::Directory, &[name, b"/".to_vec()].concat(), b"")?;
            self.waiting.push((path, below));
            return Ok(());
        }
        if file_type.is_socket() {
            return Ok(()); // nothing of it can be kept
        }
        if metadata.nlink() > 1 {
            let identity = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&identity).cloned() {
                return self.head(&path, &metadata, Kind::Link, &name, &first);
            }
            self.links.insert(identity, name.clone());
        }
        if file_type.is_symlink() {
            let target = fs::read_link(&path)?;
            return self.head(&path, &metadata, Kind::Symlink, &name, target.as_os_str().as_bytes());
        }
        if !file_type.is_file() {
            let kind = if file_type.is_fifo() {
                Kind::Fifo
            } else if file_type.is_char_device() {
                Kind::CharacterDevice
            } else {
                Kind::BlockDevice
            };
            return self.head(&path, &metadata, kind, &name, b"");
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)?;
        self.head(&path, &metadata, Kind::File, &name, b"")?;
        self.begin_content(file, metadata.len())
    }

    fn begin_content(&mut self, file: File, size: u64) -> Result<(), Failure> {
        let padding = (BLOCK - (size % BLOCK as u64) as usize) % BLOCK;
        if size > SMALL_BYTES {
            self.content = Some((file, size, padding));
            return Ok(());
        }
        let mut left = size as usize;
        while left > 0 {
            match crate::sys::read_append(&file, &mut self.ready, left)? {
                Io::Bytes(count) => left -= count,
                _ => break, // it has become shorter
            }
        }
        self.ready.resize(self.ready.len() + left + padding, 0);
        Ok(())
    }

    /// Relative to the root of the tree.
    fn name(&self, path: &Path) -> Vec<u8> {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        relative.as_os_str().as_bytes().to_vec()
    }

    fn head(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        kind: Kind,
        name: &[u8],
        target: &[u8],
    ) -> Result<(), Failure> {
        let entry = Entry {
            kind,
            name,
            target,
            metadata,
            attributes: header::attributes(path.as_os_str().as_bytes(), kind)?,
        };
        entry.write(&mut self.ready);
        Ok(())
    }

    /// Sends one frame; false when there is nothing to send.
    fn send(&mut self, context: &mut Context) -> Result<bool, Errno> {
        let credit = context.credit[0] as usize;
        if !self.ready.is_empty() {
            let count = self.ready.len().min(FRAME_BYTES).min(credit);
            context.out.frame(context.id, frame::DATA, &self.ready[..count]);
            self.ready.drain(..count);
            context.credit[0] -= count as u32;
            return Ok(true);
        }
        let (file, left, padding) = match &mut self.content {
            Some(content) => (&content.0, &mut content.1, content.2),
            None => return Ok(false),
        };
        let limit = (*left).min(credit as u64) as usize;
        match context.out.read_frame(context.id, frame::DATA, file, limit)? {
            Io::Bytes(count) => {
                context.credit[0] -= count as u32;
                *left -= count as u64;
            }
            _ => {
                // It has become shorter than its head says.
                let count = (*left).min(FRAME_BYTES as u64);
                self.ready.resize(count as usize, 0);
                *left -= count;
            }
        }
        if *left == 0 {
            self.ready.resize(self.ready.len() + padding, 0);
            self.content = None;
        }
        Ok(true)
    }

    fn step(&mut self, context: &mut Context) -> Result<Progress, Failure> {
        if context.credit[0] == 0 {
            return Ok(Progress::Wait);
        }
        if !self.finished && self.content.is_none() && self.ready.len() < FRAME_BYTES {
            self.advance()?;
        }
        if !self.send(context)? && self.finished {
            context.end(&Fields::new());
            return Ok(Progress::Done);
        }
        Ok(Progress::Again)
    }
}

impl Stream for Archive {
    fn pump(&mut self, context: &mut Context) -> Progress {
        if self.cancelled {
            context.end(&Fields::new());
            return Progress::Done;
        }
        self.step(context).unwrap_or_else(|failure| {
            context.end(&failure.fields());
            Progress::Done
        })
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.cancelled = true;
    }

    fn release(&mut self, machine: &mut Machine) {
        machine.cgroups.thaw();
    }
}
