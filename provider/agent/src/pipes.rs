//! Bytes between descriptors and the channel, with credit in both directions.

use crate::protocol::{frame, HOST_WINDOW};
use crate::stream::Context;
use crate::sys::{self, Io};
use crate::tlv::Failure;
use std::os::unix::io::{AsRawFd, OwnedFd};

/// Credit is returned in quarters of a window: seldom enough to cost little, early enough that the host never stalls.
const CREDIT_STEP: u32 = HOST_WINDOW / 4;

/// A descriptor whose bytes go to the host.
pub struct Source {
    descriptor: OwnedFd,
    kind: u8,
    channel: u8,
    pub ready: bool,
}

pub enum Moved {
    Bytes(usize),
    /// Nothing to read now, or no credit.
    Nothing,
    Ended,
}

impl Source {
    pub fn new(descriptor: OwnedFd, channel: u8, context: &Context) -> sys::Result<Self> {
        sys::set_nonblocking(descriptor.as_raw_fd())?;
        context.machine.poll.add(&descriptor, context.token(channel + 1))?;
        let kind = if channel == 0 { frame::DATA } else { frame::DATA_ERROR };
        Ok(Source {
            descriptor,
            kind,
            channel,
            ready: true,
        })
    }

    /// Sends one frame's worth; at the end of the stream EOF.
    pub fn pump(&mut self, context: &mut Context) -> Moved {
        let credit = &mut context.credit[self.channel as usize];
        if !self.ready || *credit == 0 || !context.out.has_room() {
            return Moved::Nothing;
        }
        match context
            .out
            .read_frame(context.id, self.kind, &self.descriptor, *credit as usize)
        {
            Ok(Io::Bytes(count)) => {
                *credit -= count as u32;
                Moved::Bytes(count)
            }
            Ok(Io::WouldBlock) => {
                self.ready = false;
                Moved::Nothing
            }
            // A terminal answers EIO once no program holds its other side; a reset connection ends likewise.
            Ok(Io::End) | Err(_) => {
                context.out.frame(context.id, frame::EOF, &[self.channel]);
                Moved::Ended
            }
        }
    }

    pub fn can_move(&self, context: &Context) -> bool {
        self.ready && context.credit[self.channel as usize] > 0
    }

    pub fn waiting_bytes(&self) -> usize {
        sys::readable_bytes(&self.descriptor)
    }
}

/// A descriptor that takes bytes from the host.
pub struct Sink {
    /// None once the reader is gone or all was written and ended.
    descriptor: Option<OwnedFd>,
    buffer: Vec<u8>,
    ended: bool,
    /// Bytes taken off the buffer since the last CREDIT.
    owed: u32,
    at_end: AtEnd,
}

/// How the reader learns that no more comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    Close,
    /// A terminal has no end: the character that means it, Ctrl-D.
    Terminal,
    ShutDown,
}

impl Sink {
    pub fn new(descriptor: OwnedFd, at_end: AtEnd, context: &Context) -> sys::Result<Self> {
        sys::set_nonblocking(descriptor.as_raw_fd())?;
        context.machine.poll.add(&descriptor, context.token(0))?;
        Ok(Sink {
            descriptor: Some(descriptor),
            buffer: Vec::new(),
            ended: false,
            owed: 0,
            at_end,
        })
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.ended || self.buffer.len() + bytes.len() > HOST_WINDOW as usize {
            return Err(Failure::INVALID);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    pub fn end(&mut self) {
        if !self.ended && self.at_end == AtEnd::Terminal {
            self.buffer.push(4);
        }
        self.ended = true;
    }

    pub fn pump(&mut self, context: &mut Context) {
        let before = self.buffer.len();
        if let Some(descriptor) = &self.descriptor {
            let mut written = 0;
            while written < before {
                match sys::write(descriptor, &self.buffer[written..]) {
                    Ok(Io::Bytes(count)) => written += count,
                    Ok(_) => break,
                    Err(_) => {
                        // Nobody reads any more. The rest is thrown away, so that the host's writer is not stuck.
                        self.descriptor = None;
                        break;
                    }
                }
            }
            self.buffer.drain(..written);
        }
        if self.descriptor.is_none() {
            self.buffer = Vec::new();
        }
        self.owed += (before - self.buffer.len()) as u32;
        if self.ended && self.buffer.is_empty() && self.at_end != AtEnd::Terminal {
            if let (Some(descriptor), AtEnd::ShutDown) = (&self.descriptor, self.at_end) {
                sys::shutdown_write(descriptor);
            }
            self.descriptor = None;
        }
        if self.owed >= CREDIT_STEP && !self.ended {
            send_credit(context, self.owed);
            self.owed = 0;
        }
    }

    pub fn is_closed(&self) -> bool {
        self.descriptor.is_none()
    }
}

/// Lets the host send so many bytes more on the stream's input.
pub fn send_credit(context: &mut Context, bytes: u32) {
    let [a, b, c, d] = bytes.to_be_bytes();
    context.out.frame(context.id, frame::CREDIT, &[0, a, b, c, d]);
}

/// Counts what a reader without a descriptor has taken, and returns it to the host.
#[derive(Default)]
pub struct Taken(u32);

impl Taken {
    pub fn add(&mut self, bytes: usize) {
        self.0 += bytes as u32;
    }

    pub fn pump(&mut self, context: &mut Context) {
        if self.0 >= CREDIT_STEP {
            send_credit(context, std::mem::take(&mut self.0));
        }
    }
}
