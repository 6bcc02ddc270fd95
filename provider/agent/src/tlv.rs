//! Requests and replies: a sequence of fields, each a tag (u8), a length (u32) and as many bytes.

use crate::protocol::{failure, tag};
use crate::sys::Errno;

/// Of a field, before its value.
pub const FIELD_HEADER_BYTES: usize = 5;

/// Why a request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: u8,
    pub errno: i32,
}

impl Failure {
    pub const INVALID: Failure = Failure {
        kind: failure::INVALID,
        errno: 0,
    };

    pub fn fields(self) -> Fields {
        Fields::new()
            .byte(tag::FAILURE, self.kind)
            .u32(tag::ERRNO, self.errno as u32)
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Failure {
            kind: failure::SYSTEM,
            errno: error.0,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Errno::from(error).into()
    }
}

/// Fields in the making.
#[derive(Default)]
pub struct Fields(Vec<u8>);

impl Fields {
    pub fn new() -> Self {
        Fields(Vec::new())
    }

    pub fn bytes(mut self, tag: u8, value: &[u8]) -> Self {
        self.0.push(tag);
        self.0.extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    pub fn byte(self, tag: u8, value: u8) -> Self {
        self.bytes(tag, &[value])
    }

    pub fn u32(self, tag: u8, value: u32) -> Self {
        self.bytes(tag, &value.to_be_bytes())
    }

    pub fn u64(self, tag: u8, value: u64) -> Self {
        self.bytes(tag, &value.to_be_bytes())
    }

    /// Adds fields that were written elsewhere.
    pub fn append(mut self, fields: &[u8]) -> Self {
        self.0.extend_from_slice(fields);
        self
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// Received fields, checked to be well formed once.
pub struct Request<'a>(&'a [u8]);

impl<'a> Request<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = split(rest).ok_or(Failure::INVALID)?.2;
        }
        Ok(Request(bytes))
    }

    /// As it was received.
    pub fn as_slice(&self) -> &'a [u8] {
        self.0
    }

    pub fn all(&self, wanted: u8) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            while let Some((tag, value, next)) = split(rest) {
                rest = next;
                if tag == wanted {
                    return Some(value);
                }
            }
            None
        })
    }

    pub fn get(&self, tag: u8) -> Option<&'a [u8]> {
        self.all(tag).next()
    }

    pub fn has(&self, tag: u8) -> bool {
        self.get(tag).is_some()
    }

    /// A number of any width up to eight bytes.
    pub fn number(&self, tag: u8) -> Result<Option<u64>, Failure> {
        match self.get(tag) {
            None => Ok(None),
            Some(value) if (1..=8).contains(&value.len()) => {
                Ok(Some(value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
            }
            Some(_) => Err(Failure::INVALID),
        }
    }

    /// An absolute path without NUL.
    pub fn path(&self, tag: u8) -> Result<&'a [u8], Failure> {
        match self.get(tag) {
            Some(path) if path.first() == Some(&b'/') && !path.contains(&0) => Ok(path),
            _ => Err(Failure::INVALID),
        }
    }
}

/// Tag, value and what follows them.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let header = bytes.get(..FIELD_HEADER_BYTES)?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    let value = bytes.get(FIELD_HEADER_BYTES..FIELD_HEADER_BYTES.checked_add(length)?)?;
    Some((header[0], value, &bytes[FIELD_HEADER_BYTES + length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_written() {
        let fields = Fields::new()
            .bytes(1, b"a")
            .bytes(2, b"")
            .bytes(1, b"bc")
            .u64(3, 70_000)
            .byte(4, 7);
        let request = Request::parse(fields.as_slice()).unwrap();
        assert_eq!(request.all(1).collect::<Vec<_>>(), [&b"a"[..], b"bc"]);
        assert!(request.has(2) && !request.has(9));
        assert_eq!(request.number(3), Ok(Some(70_000)));
        assert_eq!(request.number(4), Ok(Some(7)));
        assert_eq!(request.number(9), Ok(None));
    }

    #[test]
    fn a_cut_field_or_a_length_beyond_the_end_is_refused() {
        assert!(Request::parse(&[1, 0, 0]).is_err());
        assert!(Request::parse(&[1, 0, 0, 0, 2, 9]).is_err());
        assert!(Request::parse(&[1, 255, 255, 255, 255, 9]).is_err());
    }

    #[test]
    fn only_absolute_paths_without_nul_are_paths() {
        for (bytes, good) in [(&b"/a"[..], true), (b"a", false), (b"", false), (b"/a\0b", false)] {
            let fields = Fields::new().bytes(20, bytes);
            assert_eq!(Request::parse(fields.as_slice()).unwrap().path(20).is_ok(), good);
        }
    }
}
