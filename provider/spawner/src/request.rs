//! What the host asks for, as bytes on standard input.
//!
//! A request is a little-endian `u32` length and that many bytes of NUL-terminated fields:
//! id, directory, file size limit, number of files, files…, program, arguments….

use std::ffi::CString;

/// No command line of ours comes near this; a longer one is a fault of the sender.
const MAX_REQUEST_BYTES: usize = 1 << 20;

pub struct Request {
    /// Chosen by the sender, repeated in the answer.
    pub id: u32,
    /// Working directory of the program; its sockets and its log are made here.
    pub directory: CString,
    /// Bytes that a file written by the program may reach; 0 for no limit.
    pub file_size_limit: u64,
    /// Opened for reading and inherited as descriptors 5, 6, ….
    pub files: Vec<CString>,
    pub argv: Vec<CString>,
}

/// Takes the first complete request off the front of `buffer`; `Ok(None)` when more bytes are needed.
pub fn take(buffer: &mut Vec<u8>) -> Result<Option<Request>, String> {
    if buffer.len() < 4 {
        return Ok(None);
    }
    let length = u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
    if length > MAX_REQUEST_BYTES {
        return Err(format!("request of {} bytes", length));
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let rest = buffer.split_off(4 + length);
    let body = std::mem::replace(buffer, rest);
    parse(&body[4..]).map(Some)
}

fn parse(body: &[u8]) -> Result<Request, String> {
    if body.last() != Some(&0) {
        return Err("request does not end in NUL".into());
    }
    let mut fields = body[..body.len() - 1].split(|&byte| byte == 0);
    let mut next = |name: &str| fields.next().ok_or_else(|| format!("request without {}", name));
    let id = number(next("id")?)?;
    let directory = text(next("directory")?);
    let file_size_limit = number(next("file size limit")?)?;
    let count: usize = number(next("number of files")?)?;
    let mut files = Vec::new();
    for _ in 0..count {
        files.push(text(next("file")?));
    }
    let argv: Vec<CString> = fields.map(text).collect();
    if argv.is_empty() {
        return Err("request without program".into());
    }
    Ok(Request {
        id,
        directory,
        file_size_limit,
        files,
        argv,
    })
}

fn text(field: &[u8]) -> CString {
    CString::new(field).expect("fields are split at NUL")
}

fn number<T: std::str::FromStr>(field: &[u8]) -> Result<T, String> {
    let text = String::from_utf8_lossy(field);
    text.parse().map_err(|_| format!("not a number: {:?}", text))
}

#[cfg(test)]
#[allow(clippy::octal_escapes)] // a NUL before a digit
mod tests {
    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn waits_for_the_whole_request_and_leaves_the_next_one() {
        let whole = framed(b"7\0/d\00\01\0/f\0prog\0-x\0\0");
        let mut buffer = whole[..10].to_vec();
        assert!(take(&mut buffer).unwrap().is_none());
        buffer.extend_from_slice(&whole[10..]);
        buffer.extend_from_slice(b"rest");
        let request = take(&mut buffer).unwrap().unwrap();
        assert_eq!((request.id, request.files.len(), request.argv.len()), (7, 1, 3));
        assert_eq!(request.argv[2].as_bytes(), b"");
        assert_eq!(buffer, b"rest");
    }

    #[test]
    fn refuses_what_is_cut_short_or_too_long() {
        assert!(take(&mut framed(b"7\0/d\00\09\0/f\0")).is_err());
        assert!(take(&mut framed(b"7\0/d\00\00")).is_err());
        assert!(take(&mut vec![0xff; 8]).is_err());
    }
}
