//! A file's bytes to the host.

use super::path;
use crate::protocol::{failure, frame, tag};
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::sys::{Errno, Io};
use crate::tlv::{Failure, Fields, Request};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

struct Read {
    file: File,
    left: u64,
    cancelled: bool,
}

pub fn open(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let path = path(request.path(tag::PATH)?);
    // Not blocking: opening a named pipe would wait for its writer.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Errno(libc::EISDIR).into());
    }
    if !metadata.is_file() {
        return Err(Failure {
            kind: failure::NOT_A_FILE,
            errno: 0,
        });
    }
    if let Some(offset) = request.number(tag::OFFSET)? {
        file.seek(SeekFrom::Start(offset))?;
    }
    let left = request.number(tag::LENGTH)?.unwrap_or(u64::MAX);
    context
        .out
        .fields(context.id, frame::OPENED, &Fields::new().u64(tag::SIZE, metadata.len()));
    Ok(Opened::Stream(Box::new(Read {
        file,
        left,
        cancelled: false,
    })))
}

impl Stream for Read {
    fn pump(&mut self, context: &mut Context) -> Progress {
        if self.cancelled || self.left == 0 {
            context.end(&Fields::new());
            return Progress::Done;
        }
        if context.credit[0] == 0 {
            return Progress::Wait;
        }
        let limit = self.left.min(u64::from(context.credit[0])) as usize;
        match context.out.read_frame(context.id, frame::DATA, &self.file, limit) {
            Ok(Io::Bytes(count)) => {
                context.credit[0] -= count as u32;
                self.left -= count as u64;
                Progress::Again
            }
            Ok(_) => {
                self.left = 0;
                Progress::Again
            }
            Err(error) => {
                context.end(&Failure::from(error).fields());
                Progress::Done
            }
        }
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.cancelled = true;
    }
}
