//! Users and groups as the image's own files name them. No libc lookup: that would load the image's libraries.

use crate::protocol::failure;
use crate::sys::{self, Credentials};
use crate::tlv::Failure;

/// Far beyond real ones; an image may hold anything under these names.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Who `name`, `uid`, `name:group` or `uid:gid` is. An explicit group stands alone, as container engines do it.
pub fn find(spec: &[u8]) -> Result<Credentials, Failure> {
    // Unreadable: nobody is known.
    let read = |path: &[u8]| sys::read_regular(path, MAX_FILE_BYTES).unwrap_or_default();
    resolve(spec, &read(b"/etc/passwd"), &read(b"/etc/group"))
}

fn resolve(spec: &[u8], passwd: &[u8], group: &[u8]) -> Result<Credentials, Failure> {
    let mut parts = spec.splitn(2, |byte| *byte == b':');
    let (user, group_name) = (parts.next().unwrap_or(b""), parts.next());
    let number = parse_number(user);
    let entry = records(passwd).find(|fields| {
        fields.len() >= 4 && (fields[0] == user || (number.is_some() && parse_number(fields[2]) == number))
    });
    let known = entry.and_then(|fields| Some((fields[0], parse_number(fields[2])?, parse_number(fields[3])?)));
    let (name, uid, own_gid) = match (known, number) {
        (Some((name, uid, gid)), _) => (name, uid, gid),
        (None, Some(uid)) => (&b""[..], uid, 0),
        (None, None) if user == b"root" => (user, 0, 0),
        (None, None) => {
            return Err(Failure {
                kind: failure::USER_UNKNOWN,
                errno: 0,
            })
        }
    };
    if let Some(wanted) = group_name {
        let gid = find_group(wanted, group).ok_or(Failure {
            kind: failure::GROUP_UNKNOWN,
            errno: 0,
        })?;
        return Ok(Credentials {
            uid,
            gid,
            groups: vec![gid],
        });
    }
    let mut groups = vec![own_gid];
    for fields in records(group).filter(|fields| fields.len() >= 4 && !name.is_empty()) {
        let listed = fields[3].split(|byte| *byte == b',').any(|member| member == name);
        match parse_number(fields[2]) {
            Some(gid) if listed && !groups.contains(&gid) => groups.push(gid),
            _ => {}
        }
    }
    Ok(Credentials {
        uid,
        gid: own_gid,
        groups,
    })
}

fn find_group(wanted: &[u8], group: &[u8]) -> Option<u32> {
    let named = records(group).find(|fields| fields.len() >= 3 && fields[0] == wanted);
    named
        .and_then(|fields| parse_number(fields[2]))
        .or_else(|| parse_number(wanted))
}

/// Lines split at colons.
fn records(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    text.split(|byte| *byte == b'\n')
        .map(|line| line.split(|byte| *byte == b':').collect())
}

fn parse_number(text: &[u8]) -> Option<u32> {
    // u32::MAX means "leave as it is" to the kernel.
    std::str::from_utf8(text)
        .ok()?
        .parse()
        .ok()
        .filter(|number| *number != u32::MAX && !text.starts_with(b"+"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\n\nbroken\nann:x:1000:100:Ann:/home/ann:/bin/sh\nweb:x:33:33::/:\n";
    const GROUP: &[u8] = b"root:x:0:\nusers:x:100:\nwheel:x:10:root,ann\ndocker:x:999:ann\nbad:x:no:ann\n";

    fn found(spec: &str) -> Option<(u32, u32, Vec<u32>)> {
        resolve(spec.as_bytes(), PASSWD, GROUP)
            .ok()
            .map(|user| (user.uid, user.gid, user.groups))
    }

    #[test]
    fn a_name_brings_its_group_and_the_groups_that_list_it() {
        assert_eq!(found("ann"), Some((1000, 100, vec![100, 10, 999])));
        assert_eq!(found("web"), Some((33, 33, vec![33])));
    }

    #[test]
    fn a_number_that_is_listed_is_that_user_and_another_is_itself_in_group_0() {
        assert_eq!(found("1000"), Some((1000, 100, vec![100, 10, 999])));
        assert_eq!(found("4711"), Some((4711, 0, vec![0])));
    }

    #[test]
    fn an_explicit_group_stands_alone() {
        assert_eq!(found("ann:wheel"), Some((1000, 10, vec![10])));
        assert_eq!(found("4711:4712"), Some((4711, 4712, vec![4712])));
    }

    #[test]
    fn unknown_names_are_told_apart() {
        let kind = |spec: &str| {
            resolve(spec.as_bytes(), PASSWD, GROUP)
                .err()
                .map(|failure| failure.kind)
        };
        assert_eq!(kind("nobody"), Some(failure::USER_UNKNOWN));
        assert_eq!(kind("4294967295"), Some(failure::USER_UNKNOWN));
        assert_eq!(kind("+5"), Some(failure::USER_UNKNOWN));
        assert_eq!(kind("ann:nogroup"), Some(failure::GROUP_UNKNOWN));
    }

    #[test]
    fn an_image_without_the_files_still_has_root() {
        assert_eq!(
            resolve(b"root", b"", b""),
            Ok(Credentials {
                uid: 0,
                gid: 0,
                groups: vec![0]
            })
        );
    }

    #[test]
    fn damaged_files_do_not_panic() {
        let text: Vec<u8> = (0..5000u32)
            .map(|i| b":\n0a,\xff"[(i.wrapping_mul(2_654_435_761) >> 7) as usize % 6])
            .collect();
        for spec in ["a", "0", "a:0", ":", ""] {
            let _ = resolve(spec.as_bytes(), &text, &text);
        }
    }
}
