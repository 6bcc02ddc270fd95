//! From an exec request to a running program.

use crate::protocol::{failure, tag};
use crate::stream::Machine;
use crate::sys::{self, Credentials, Errno, Program, Step};
use crate::tlv::{Failure, Request};
use crate::users;
use std::ffi::CString;
use std::os::unix::io::RawFd;

/// Debian's default; used when the request's environment has no PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Open files of programs, soft and hard. The soft limit is Linux's own: programs close or poll that many.
const OPEN_FILES: (u64, u64) = (1024, 524_288);

pub struct Prepared {
    argv: Vec<CString>,
    env: Vec<CString>,
    candidates: Vec<CString>,
    cwd: CString,
    pub user: Option<Credentials>,
}

impl Prepared {
    pub fn new(request: &Request, machine: &Machine) -> Result<Self, Failure> {
        let argv = strings(request, tag::ARGUMENT)?;
        let env = strings(request, tag::VARIABLE)?;
        let name = argv.first().ok_or(Failure::INVALID)?;
        let candidates = candidates(name.as_bytes(), &env)?;
        let cwd = if request.has(tag::CWD) {
            request.path(tag::CWD)?
        } else {
            b"/"
        };
        let user = match request.get(tag::USER) {
            Some(spec) if !spec.is_empty() => Some(users::find(spec)?).filter(|_| machine.is_root),
            _ => None,
        };
        Ok(Prepared {
            argv,
            env,
            candidates,
            cwd: sys::c_string(cwd)?,
            user,
        })
    }

    /// Starts it with these standard streams.
    pub fn start(
        &self,
        streams: [RawFd; 3],
        terminal: bool,
        cgroup: Option<RawFd>,
        machine: &Machine,
    ) -> Result<i32, Failure> {
        let program = Program {
            candidates: &self.candidates,
            argv: &self.argv,
            env: &self.env,
            cwd: &self.cwd,
            user: self.user.as_ref(),
            streams,
            terminal,
            cgroup,
            open_files: machine.is_guest.then_some(OPEN_FILES),
        };
        sys::spawn(&program).map_err(|(step, error)| classify(step, error))
    }
}

fn strings(request: &Request, tag: u8) -> Result<Vec<CString>, Failure> {
    request
        .all(tag)
        .map(|bytes| CString::new(bytes).map_err(|_| Failure::INVALID))
        .collect()
}

/// The files that a name may mean, in order of the search path.
fn candidates(name: &[u8], env: &[CString]) -> Result<Vec<CString>, Failure> {
    if name.is_empty() {
        return Err(Failure {
            kind: failure::PROGRAM_NOT_FOUND,
            errno: libc::ENOENT,
        });
    }
    if name.contains(&b'/') {
        return Ok(vec![sys::c_string(name)?]);
    }
    let path = env
        .iter()
        .rev()
        .find_map(|variable| variable.as_bytes().strip_prefix(b"PATH="))
        .unwrap_or(DEFAULT_PATH);
    path.split(|byte| *byte == b':')
        .map(|folder| {
            // An empty entry means the working directory.
            let folder = if folder.is_empty() { b"." } else { folder };
            Ok(sys::c_string(&[folder, b"/", name].concat())?)
        })
        .collect()
}

fn classify(step: Step, error: Errno) -> Failure {
    let kind = match (step, error.0) {
        (Step::Directory, libc::ENOENT | libc::ENOTDIR) => failure::CWD_NOT_FOUND,
        (Step::Directory, libc::EACCES) => failure::CWD_FORBIDDEN,
        (Step::Execute, libc::ENOENT | libc::ENOTDIR) => failure::PROGRAM_NOT_FOUND,
        (Step::Execute, libc::EACCES | libc::EPERM) => failure::PROGRAM_FORBIDDEN,
        (Step::Execute, libc::ENOEXEC) => failure::NOT_EXECUTABLE,
        (Step::Interpreter, _) => failure::INTERPRETER_NOT_FOUND,
        _ => failure::SYSTEM,
    };
    Failure { kind, errno: error.0 }
}
