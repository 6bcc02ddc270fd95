//! Heads of tar entries: a ustar block, and before it a pax one with what does not fit.

use crate::sys;
use crate::tlv::Failure;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

pub const BLOCK: usize = 512;
const NAME_BYTES: usize = 100;
/// The largest numbers that ustar's octal fields hold.
const MAX_ID: u64 = 0o7_777_777;
const MAX_SIZE: u64 = 0o77_777_777_777;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Link,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
}

pub struct Entry<'a> {
    pub kind: Kind,
    pub name: &'a [u8],
    /// Of links.
    pub target: &'a [u8],
    pub metadata: &'a Metadata,
    pub attributes: Vec<Attribute>,
}

pub struct Attribute {
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The extended attributes that an image can keep.
pub fn attributes(path: &[u8], kind: Kind) -> Result<Vec<Attribute>, Failure> {
    if kind == Kind::Link {
        return Ok(Vec::new()); // its first name has them
    }
    let mut found = Vec::new();
    for name in sys::attribute_names(path)? {
        if name.starts_with(b"user.") || name == b"security.capability" {
            let value = sys::attribute(path, &name)?;
            found.push(Attribute { name, value });
        }
    }
    Ok(found)
}

impl Entry<'_> {
    pub fn write(&self, into: &mut Vec<u8>) {
        let records = self.records();
        if !records.is_empty() {
            let mut block = [0; BLOCK];
            text(&mut block, 0, NAME_BYTES, b"PaxHeader");
            octal(&mut block, 100, 8, 0o644);
            octal(&mut block, 124, 12, records.len() as u64);
            finish(&mut block, b'x');
            into.extend_from_slice(&block);
            into.extend_from_slice(&records);
            into.resize(into.len() + (BLOCK - records.len() % BLOCK) % BLOCK, 0);
        }
        into.extend_from_slice(&self.block());
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        text(&mut block, 0, NAME_BYTES, self.name);
        octal(&mut block, 100, 8, u64::from(self.metadata.mode() & 0o7777));
        octal(&mut block, 108, 8, self.uid().min(MAX_ID));
        octal(&mut block, 116, 8, self.gid().min(MAX_ID));
        octal(&mut block, 124, 12, self.size().min(MAX_SIZE));
        octal(&mut block, 136, 12, (self.metadata.mtime().max(0) as u64).min(MAX_SIZE));
        text(&mut block, 157, NAME_BYTES, self.target);
        if matches!(self.kind, Kind::CharacterDevice | Kind::BlockDevice) {
            octal(&mut block, 329, 8, u64::from(libc::major(self.metadata.rdev())));
            octal(&mut block, 337, 8, u64::from(libc::minor(self.metadata.rdev())));
        }
        let flag = match self.kind {
            Kind::File => b'0',
            Kind::Link => b'1',
            Kind::Symlink => b'2',
            Kind::CharacterDevice => b'3',
            Kind::BlockDevice => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
        };
        finish(&mut block, flag);
        block
    }

    fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        if self.name.len() > NAME_BYTES {
            record(&mut records, b"path", self.name);
        }
        if self.target.len() > NAME_BYTES {
            record(&mut records, b"linkpath", self.target);
        }
        for (key, value, limit) in [
            (&b"uid"[..], self.uid(), MAX_ID),
            (b"gid", self.gid(), MAX_ID),
            (b"size", self.size(), MAX_SIZE),
        ] {
            if value > limit {
                record(&mut records, key, value.to_string().as_bytes());
            }
        }
        for Attribute { name, value } in &self.attributes {
            record(&mut records, &[&b"SCHILY.xattr."[..], name].concat(), value);
        }
        records
    }

    fn uid(&self) -> u64 {
        u64::from(self.metadata.uid())
    }

    fn gid(&self) -> u64 {
        u64::from(self.metadata.gid())
    }

    fn size(&self) -> u64 {
        match self.kind {
            Kind::File => self.metadata.len(),
            _ => 0,
        }
    }
}

/// `LENGTH KEY=VALUE\n`, the length counting itself.
fn record(into: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    into.extend_from_slice(length.to_string().as_bytes());
    for part in [&b" "[..], key, b"=", value, b"\n"] {
        into.extend_from_slice(part);
    }
}

fn text(block: &mut [u8; BLOCK], at: usize, width: usize, value: &[u8]) {
    let length = value.len().min(width);
    block[at..at + length].copy_from_slice(&value[..length]);
}

fn octal(block: &mut [u8; BLOCK], at: usize, width: usize, value: u64) {
    let digits = format!("{:0width$o}", value, width = width - 1);
    block[at..at + width - 1].copy_from_slice(digits.as_bytes());
}

fn finish(block: &mut [u8; BLOCK], flag: u8) {
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(block, 148, 7, sum);
    block[154] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for (value, expected) in [(1, 6), (93, 99), (94, 101)] {
            let mut records = Vec::new();
            record(&mut records, b"k", &vec![b'v'; value]);
            assert_eq!(records.len(), expected);
            let said = String::from_utf8_lossy(&records).split(' ').next().unwrap().to_string();
            assert_eq!(said, expected.to_string());
        }
    }

    #[test]
    fn numbers_fill_their_fields() {
        let mut block = [0; BLOCK];
        octal(&mut block, 100, 8, 0o644);
        assert_eq!(&block[100..108], b"0000644\0");
        octal(&mut block, 124, 12, MAX_SIZE);
        assert_eq!(&block[124..136], b"77777777777\0");
    }
}
