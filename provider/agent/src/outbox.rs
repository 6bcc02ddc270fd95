//! Frames on their way to the host, in one buffer, so that what one turn of the loop produces leaves in one write.

use crate::frames::header;
use crate::protocol::{GUEST_FRAME_BYTES, HEADER_BYTES};
use crate::sys::{self, Io, Result};
use crate::tlv::Fields;
use std::os::unix::io::AsRawFd;

/// Beyond this, output is left where it is (in pipes and files) until the host has taken what waits. Two of the
/// largest frames: one travels while the next is filled.
const FULL_BYTES: usize = 2 * GUEST_FRAME_BYTES;

#[derive(Default)]
pub struct Outbox {
    buffer: Vec<u8>,
    sent: usize,
}

impl Outbox {
    pub fn has_room(&self) -> bool {
        self.buffer.len() - self.sent < FULL_BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.len() == self.sent
    }

    pub fn clear(&mut self) {
        self.buffer = Vec::new();
        self.sent = 0;
    }

    pub fn frame(&mut self, stream: u32, kind: u8, payload: &[u8]) {
        self.buffer.extend_from_slice(&header(stream, kind, payload.len()));
        self.buffer.extend_from_slice(payload);
    }

    pub fn fields(&mut self, stream: u32, kind: u8, fields: &Fields) {
        self.frame(stream, kind, fields.as_slice());
    }

    /// Reads from `source` straight into a frame; no frame unless bytes came.
    pub fn read_frame(&mut self, stream: u32, kind: u8, source: &impl AsRawFd, limit: usize) -> Result<Io> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; HEADER_BYTES]);
        let limit = limit.min(GUEST_FRAME_BYTES - HEADER_BYTES);
        let outcome = sys::read_append(source, &mut self.buffer, limit);
        match outcome {
            Ok(Io::Bytes(count)) => {
                self.buffer[start..start + HEADER_BYTES].copy_from_slice(&header(stream, kind, count))
            }
            _ => self.buffer.truncate(start),
        }
        outcome
    }

    /// Hands over the frames, kind and payload, and forgets them; for one that is not on its way to a port.
    pub fn drain(&mut self, mut take: impl FnMut(u8, &[u8])) {
        let mut rest = &self.buffer[self.sent..];
        while let Some(header) = rest.get(..HEADER_BYTES) {
            let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
            take(header[8], &rest[HEADER_BYTES..HEADER_BYTES + length]);
            rest = &rest[HEADER_BYTES + length..];
        }
        self.clear();
    }

    /// Writes until all is gone or the port is full.
    pub fn flush(&mut self, port: &impl AsRawFd) -> Result<()> {
        while !self.is_empty() {
            let end = self.buffer.len().min(self.sent + GUEST_FRAME_BYTES);
            match sys::write(port, &self.buffer[self.sent..end])? {
                Io::Bytes(count) => self.sent += count,
                Io::End | Io::WouldBlock => break,
            }
        }
        if self.is_empty() {
            self.buffer.clear();
            self.sent = 0;
        } else if self.sent >= GUEST_FRAME_BYTES {
            self.buffer.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }
}
