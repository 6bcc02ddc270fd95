//! Bytes from the host to frames. The host is trusted, a broken connection is not: a new host may begin in the middle
//! of the frame that an earlier one left unfinished. It repeats its HELLO behind a run of padding; whatever the rest
//! of the old frame swallows, the decoder is at a boundary or lost after it, and when lost it looks for HELLO.

use crate::protocol::{frame, HEADER_BYTES, MAGIC, MAX_PAYLOAD, NONCE_BYTES, PADDING};

/// Payload of HELLO: magic, flags (u8), version (u8), nonce.
pub const HELLO_BYTES: usize = MAGIC.len() + 2 + NONCE_BYTES;

pub struct Frame<'a> {
    pub stream: u32,
    pub kind: u8,
    pub payload: &'a [u8],
}

#[derive(Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes at the front that were handed out already.
    used: usize,
    lost: bool,
}

/// Longest read at once: as much as virtio-serial has in a buffer, four times.
const READ_BYTES: usize = 16 * 1024;

impl Decoder {
    /// Where received bytes are appended, and how many at most.
    pub fn space(&mut self) -> (&mut Vec<u8>, usize) {
        self.buffer.drain(..self.used);
        self.used = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * READ_BYTES {
            self.buffer.shrink_to(READ_BYTES);
        }
        (&mut self.buffer, READ_BYTES)
    }

    /// Forgets an unfinished frame.
    pub fn reset(&mut self) {
        *self = Decoder::default();
    }

    /// The next complete frame.
    pub fn next(&mut self) -> Option<Frame<'_>> {
        loop {
            if self.lost && !self.find_hello() {
                return None;
            }
            while self.buffer.get(self.used) == Some(&PADDING) {
                self.used += 1;
            }
            let header = self.buffer.get(self.used..self.used + HEADER_BYTES)?;
            let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if length > MAX_PAYLOAD {
                self.lost = true;
                continue;
            }
            let stream = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            let kind = header[8];
            let start = self.used + HEADER_BYTES;
            if self.buffer.len() < start + length {
                return None;
            }
            self.used = start + length;
            return Some(Frame {
                stream,
                kind,
                payload: &self.buffer[start..start + length],
            });
        }
    }

    /// Skips to the first HELLO; keeps what may be the beginning of one.
    fn find_hello(&mut self) -> bool {
        let mut pattern = [0; HEADER_BYTES + MAGIC.len()];
        pattern[..HEADER_BYTES].copy_from_slice(&header(0, frame::HELLO, HELLO_BYTES));
        pattern[HEADER_BYTES..].copy_from_slice(&MAGIC);
        let rest = &self.buffer[self.used..];
        match rest.windows(pattern.len()).position(|window| window == pattern) {
            Some(distance) => {
                self.used += distance;
                self.lost = false;
                true
            }
            None => {
                self.used += rest.len().saturating_sub(pattern.len() - 1);
                false
            }
        }
    }
}

pub fn header(stream: u32, kind: u8, length: usize) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    bytes[4..8].copy_from_slice(&stream.to_be_bytes());
    bytes[8] = kind;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(stream: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
        [&header(stream, kind, payload.len())[..], payload].concat()
    }

    fn hello() -> Vec<u8> {
        encode(0, frame::HELLO, &[&MAGIC[..], &[0, 1], &[9; NONCE_BYTES]].concat())
    }

    fn push(decoder: &mut Decoder, bytes: &[u8]) -> Vec<(u32, u8, Vec<u8>)> {
        decoder.space().0.extend_from_slice(bytes);
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next() {
            frames.push((frame.stream, frame.kind, frame.payload.to_vec()));
        }
        frames
    }

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let bytes = [encode(2, 19, b"abc"), encode(4, 24, b""), encode(6, 19, &[7; 3000])].concat();
        for step in [1, 2, 7, 100, 5000] {
            let mut decoder = Decoder::default();
            let frames: Vec<_> = bytes.chunks(step).flat_map(|chunk| push(&mut decoder, chunk)).collect();
            assert_eq!(
                frames,
                [(2, 19, b"abc".to_vec()), (4, 24, vec![]), (6, 19, vec![7; 3000])]
            );
        }
    }

    #[test]
    fn a_new_host_is_heard_wherever_the_old_one_was_cut_off() {
        let old = encode(2, 19, &[0; 300]);
        let again = [vec![PADDING; MAX_PAYLOAD + HEADER_BYTES], hello()].concat();
        for cut in 0..old.len() {
            let mut decoder = Decoder::default();
            push(&mut decoder, &old[..cut]);
            let frames: Vec<_> = again.chunks(4096).flat_map(|chunk| push(&mut decoder, chunk)).collect();
            assert_eq!(
                frames.last().map(|frame| frame.1),
                Some(frame::HELLO),
                "cut after {}",
                cut
            );
        }
    }

    #[test]
    fn random_bytes_neither_panic_nor_grow_the_buffer() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut decoder = Decoder::default();
        for round in 0..20_000 {
            let mut chunk = [0_u8; 64];
            for byte in &mut chunk {
                // xorshift64: the same bytes on every run.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // Small lengths in most rounds, so that frames are found and not only garbage.
                *byte = if round % 3 == 0 {
                    (state & 0x3) as u8
                } else {
                    state as u8
                };
            }
            push(&mut decoder, &chunk);
            assert!(decoder.buffer.len() <= MAX_PAYLOAD + HEADER_BYTES + chunk.len());
        }
        let frames = push(
            &mut decoder,
            &[vec![PADDING; MAX_PAYLOAD + HEADER_BYTES], hello()].concat(),
        );
        assert_eq!(frames.last().map(|frame| frame.1), Some(frame::HELLO));
    }
}
