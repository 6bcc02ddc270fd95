//! The newest bytes of a program's two outputs, in the order in which they came.

use crate::tlv::FIELD_HEADER_BYTES;
use std::collections::VecDeque;

pub const KEPT_BYTES: usize = 256 * 1024;
/// Of a program that writes byte by byte, now here, now there.
const KEPT_PARTS: usize = 4096;
/// Up to this, what follows is kept as one with what came before.
const JOINED_BYTES: usize = 4096;

#[derive(Default)]
pub struct Ring {
    /// Oldest first; dropped whole.
    parts: VecDeque<Part>,
    bytes: usize,
    /// Bytes that ever came.
    end: u64,
}

struct Part {
    channel: u8,
    data: Vec<u8>,
}

impl Ring {
    pub fn push(&mut self, channel: u8, data: &[u8]) {
        self.end += data.len() as u64;
        self.bytes += data.len();
        match self.parts.back_mut() {
            Some(last) if last.channel == channel && last.data.len() + data.len() <= JOINED_BYTES => {
                last.data.extend_from_slice(data)
            }
            _ => self.parts.push_back(Part {
                channel,
                data: data.to_vec(),
            }),
        }
        while self.bytes > KEPT_BYTES || self.parts.len() > KEPT_PARTS {
            self.bytes -= self.parts.pop_front().map_or(0, |part| part.data.len());
        }
    }

    /// Where the oldest byte that is kept stands among all that ever came.
    pub fn start(&self) -> u64 {
        self.end - self.bytes as u64
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// What is kept from there on, or from the start if that is later: its place, and pieces with their channels, which
    /// take at most so many bytes with a header each.
    pub fn read(&self, from: u64, limit: usize) -> (u64, Vec<(u8, &[u8])>) {
        let begin = from.clamp(self.start(), self.end);
        let mut skipped = (begin - self.start()) as usize;
        let mut left = limit.saturating_sub(FIELD_HEADER_BYTES);
        let mut found = Vec::new();
        for part in &self.parts {
            if left == 0 {
                break;
            }
            let skip = skipped.min(part.data.len());
            skipped -= skip;
            let rest = &part.data[skip..];
            let piece = &rest[..rest.len().min(left)];
            if !piece.is_empty() {
                left = left.saturating_sub(piece.len() + FIELD_HEADER_BYTES);
                found.push((part.channel, piece));
            }
        }
        (begin, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[(u8, &[u8])]) -> Vec<u8> {
        pieces.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect()
    }

    #[test]
    fn outputs_come_back_in_their_order() {
        let mut ring = Ring::default();
        for (channel, bytes) in [(0, &b"a"[..]), (0, b"b"), (1, b"c"), (0, b"d")] {
            ring.push(channel, bytes);
        }
        assert_eq!(ring.read(0, 100), (0, vec![(0, &b"ab"[..]), (1, b"c"), (0, b"d")]));
        assert_eq!(ring.read(1, 12), (1, vec![(0, &b"b"[..]), (1, b"c")]));
        assert_eq!(ring.read(4, 100), (4, vec![]));
    }

    #[test]
    fn the_oldest_is_dropped_and_told_by_the_place() {
        let mut ring = Ring::default();
        for index in 0..100u8 {
            ring.push(0, &[index; 8192]);
        }
        assert_eq!(ring.end(), 100 * 8192);
        assert_eq!(ring.start(), 68 * 8192);
        let (place, pieces) = ring.read(5, 10_000);
        assert_eq!(
            (place, text(&pieces).len()),
            (68 * 8192, 10_000 - 2 * FIELD_HEADER_BYTES)
        );
        assert_eq!(text(&pieces)[0], 68);
    }

    #[test]
    fn many_small_parts_are_bounded_too() {
        let mut ring = Ring::default();
        for index in 0..10_000u32 {
            ring.push((index % 2) as u8, &[7]);
        }
        assert_eq!(ring.end() - ring.start(), KEPT_PARTS as u64);
    }
}
