//! What is known of a file, and making directories.

use super::path;
use crate::protocol::tag;
use crate::stream::Opened;
use crate::sys;
use crate::tlv::{Failure, Fields, Request};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Of the path itself: a link is not followed.
pub fn stat(request: &Request) -> Result<Opened, Failure> {
    let path = path(request.path(tag::PATH)?);
    let metadata = fs::symlink_metadata(path)?;
    Ok(Opened::Reply(describe(path, &metadata)))
}

pub fn describe(path: &Path, metadata: &Metadata) -> Fields {
    let file_type = metadata.file_type();
    let code = if file_type.is_file() {
        1
    } else if file_type.is_dir() {
        2
    } else if file_type.is_symlink() {
        3
    } else {
        4
    };
    let modified = metadata
        .mtime()
        .saturating_mul(1000)
        .saturating_add(metadata.mtime_nsec() / 1_000_000);
    let fields = Fields::new()
        .byte(tag::FILE_TYPE, code)
        .u64(tag::SIZE, metadata.len())
        .u32(tag::MODE, metadata.mode() & 0o7777)
        .u64(tag::MODIFIED_MS, modified.max(0) as u64)
        .u32(tag::UID, metadata.uid())
        .u32(tag::GID, metadata.gid());
    match fs::read_link(path) {
        Ok(target) if file_type.is_symlink() => fields.bytes(tag::TARGET, target.as_os_str().as_bytes()),
        _ => fields,
    }
}

/// Of the file system that holds the path, in bytes.
pub fn space(request: &Request) -> Result<Opened, Failure> {
    let space = sys::file_system_space(request.path(tag::PATH)?)?;
    Ok(Opened::Reply(
        Fields::new()
            .u64(tag::SIZE, space.total)
            .u64(tag::FREE, space.free)
            .u64(tag::AVAILABLE, space.available),
    ))
}

/// Makes the directory and its parents; fine if it is there already.
pub fn mkdir(request: &Request) -> Result<Opened, Failure> {
    let path = path(request.path(tag::PATH)?);
    let mode = request.number(tag::MODE)?;
    let existed = path.is_dir();
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    if let (Some(mode), false) = (mode, existed) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode as u32 & 0o7777))?;
    }
    Ok(Opened::Reply(Fields::new()))
}
