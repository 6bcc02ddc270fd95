//! A directory's entries, streamed unsorted so that its size needs no memory here; the host sorts.

use super::{info, path};
use crate::protocol::{frame, tag};
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::tlv::{Failure, Fields, Request};
use std::fs::{self, ReadDir};
use std::os::unix::ffi::OsStrExt;

/// A frame ends with the entry that passes this. An entry is below 5 KiB: a name of 255 bytes, a target of 4095.
const FRAME_BYTES: usize = 8 * 1024;
const CREDIT_NEEDED: u32 = 16 * 1024;
/// Entries looked up in one step; some ms under emulation.
const ENTRIES_PER_STEP: usize = 64;

struct List {
    entries: ReadDir,
    cancelled: bool,
}

pub fn open(request: &Request) -> Result<Opened, Failure> {
    let entries = fs::read_dir(path(request.path(tag::PATH)?))?;
    Ok(Opened::Stream(Box::new(List {
        entries,
        cancelled: false,
    })))
}

impl Stream for List {
    fn pump(&mut self, context: &mut Context) -> Progress {
        if self.cancelled {
            context.end(&Fields::new());
            return Progress::Done;
        }
        if context.credit[0] < CREDIT_NEEDED {
            return Progress::Wait;
        }
        let mut batch = Fields::new();
        for _ in 0..ENTRIES_PER_STEP {
            let entry = match self.entries.next() {
                Some(Ok(entry)) => entry,
                end => {
                    send(&batch, context);
                    context.end(&match end {
                        Some(Err(error)) => Failure::from(error).fields(),
                        _ => Fields::new(),
                    });
                    return Progress::Done;
                }
            };
            // Gone between reading the directory and here: not an entry.
            if let Ok(metadata) = entry.metadata() {
                let fields = info::describe(&entry.path(), &metadata).bytes(tag::NAME, entry.file_name().as_bytes());
                batch = batch.bytes(tag::ENTRY, fields.as_slice());
            }
            if batch.as_slice().len() >= FRAME_BYTES {
                break;
            }
        }
        send(&batch, context);
        Progress::Again
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.cancelled = true;
    }
}

fn send(batch: &Fields, context: &mut Context) {
    if !batch.as_slice().is_empty() {
        context.credit[0] -= batch.as_slice().len() as u32;
        context.out.fields(context.id, frame::DATA, batch);
    }
}
