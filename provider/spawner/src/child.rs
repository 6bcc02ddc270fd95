//! Starts one program with its sockets already listening, so that nobody has to poll for them and a later process can
//! connect again.

use crate::log::{self, Log};
use crate::request::Request;
use std::ffi::{CStr, CString};
use std::io::Error;
use std::mem::{size_of, zeroed};
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Descriptors 3 and 4 of the program.
const SOCKETS: [&str; 2] = ["agent.sock", "qmp.sock"];
const LOG: &str = "qemu.log";
/// QEMU with our devices needs about 30.
const MAX_OPEN_FILES: u64 = 1024;
/// While descriptors are moved into place the originals stand above all targets.
const PARKED: RawFd = 128;

/// Returns the program's log, which has its pid, once `exec` has succeeded, or a sentence.
pub fn start(request: &Request) -> Result<Log, String> {
    enter(&request.directory)?;
    let started = start_here(request);
    // Not to keep a directory busy that the host may want to remove.
    enter(c_string("/").as_c_str())?;
    started
}

fn start_here(request: &Request) -> Result<Log, String> {
    let null = open("/dev/null", libc::O_RDWR)?;
    let file = open(LOG, libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND)?;
    let (said, saying) = log::pipe().map_err(|error| format!("cannot make pipe: {}", error))?;
    let mut inherited = vec![null.as_raw_fd(), saying.as_raw_fd(), saying.as_raw_fd()];
    let mut held = Vec::new();
    for name in SOCKETS {
        held.push(listen(name)?);
    }
    for file in &request.files {
        held.push(open_path(file, libc::O_RDONLY)?);
    }
    inherited.extend(held.iter().map(|fd| fd.as_raw_fd()));
    if inherited.len() > PARKED as usize {
        return Err("too many files".into());
    }

    let mut argv: Vec<*const libc::c_char> = request.argv.iter().map(|argument| argument.as_ptr()).collect();
    argv.push(ptr::null());
    let environment: [*const libc::c_char; 1] = [ptr::null()];
    let (report_out, report_in) = pipe()?;

    match unsafe { libc::fork() } {
        -1 => Err(failure("fork", "")),
        0 => unsafe {
            let error = become_program(request, &inherited, &argv, &environment, report_in.as_raw_fd());
            libc::write(report_in.as_raw_fd(), (&error as *const i32).cast(), size_of::<i32>());
            libc::_exit(127)
        },
        pid => {
            drop(report_in);
            let mut error: i32 = 0;
            // Closed without a word by a successful exec.
            let count = unsafe {
                libc::read(
                    report_out.as_raw_fd(),
                    (&mut error as *mut i32).cast(),
                    size_of::<i32>(),
                )
            };
            if count == 0 {
                return Ok(Log::new(pid, said, file));
            }
            let program = request.argv[0].to_string_lossy();
            Err(format!("cannot start {}: {}", program, Error::from_raw_os_error(error)))
        }
    }
}

/// In the child: only async-signal-safe calls and no allocation. Returns errno.
unsafe fn become_program(
    request: &Request,
    inherited: &[RawFd],
    argv: &[*const libc::c_char],
    environment: &[*const libc::c_char],
    report: RawFd,
) -> i32 {
    libc::setsid();
    let mut none: libc::sigset_t = zeroed();
    libc::sigemptyset(&mut none);
    libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    // A file at its limit must not end a VM: the write fails instead.
    libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !limit(libc::RLIMIT_CORE, 0) {
        return *libc::__errno_location();
    }
    // Huge pages round a clone's memory up by some 3 MiB and win nothing measurable: its largest part is a file's.
    libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    limit(libc::RLIMIT_NOFILE, MAX_OPEN_FILES);
    if request.file_size_limit > 0 && !limit(libc::RLIMIT_FSIZE, request.file_size_limit) {
        return *libc::__errno_location();
    }
    let report = libc::fcntl(report, libc::F_DUPFD_CLOEXEC, PARKED * 2);
    let mut parked = [0 as RawFd; PARKED as usize];
    for (index, fd) in inherited.iter().enumerate() {
        parked[index] = libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, PARKED);
    }
    for (index, fd) in parked.iter().enumerate().take(inherited.len()) {
        if libc::dup2(*fd, index as RawFd) < 0 {
            return *libc::__errno_location();
        }
    }
    close_from(inherited.len() as RawFd, report);
    libc::execve(argv[0], argv.as_ptr(), environment.as_ptr());
    let error = *libc::__errno_location();
    libc::write(report, (&error as *const i32).cast(), size_of::<i32>());
    libc::_exit(127)
}

unsafe fn limit(resource: libc::__rlimit_resource_t, value: u64) -> bool {
    let both = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    libc::setrlimit(resource, &both) == 0
}

unsafe fn close_from(first: RawFd, keep: RawFd) {
    for fd in first..keep {
        libc::close(fd);
    }
    // All of ours above are close-on-exec already; this takes what the host may have left to us. Linux 5.9.
    libc::syscall(libc::SYS_close_range, keep as libc::c_uint + 1, libc::c_uint::MAX, 0);
}

fn enter(directory: &CStr) -> Result<(), String> {
    match unsafe { libc::chdir(directory.as_ptr()) } {
        0 => Ok(()),
        _ => Err(failure("enter", &directory.to_string_lossy())),
    }
}

/// Binds in the working directory: a socket's path may have 107 bytes only.
fn listen(name: &str) -> Result<OwnedFd, String> {
    unsafe {
        let fd = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(failure("make", name));
        }
        let socket = OwnedFd::from_raw_fd(fd);
        let mut address: libc::sockaddr_un = zeroed();
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        for (slot, byte) in address.sun_path.iter_mut().zip(name.bytes()) {
            *slot = byte as libc::c_char;
        }
        libc::unlink(c_string(name).as_ptr());
        let size = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        if libc::bind(fd, (&address as *const libc::sockaddr_un).cast(), size) != 0 || libc::listen(fd, 8) != 0 {
            return Err(failure("listen on", name));
        }
        Ok(socket)
    }
}

fn open(path: &str, flags: libc::c_int) -> Result<OwnedFd, String> {
    open_path(&c_string(path), flags)
}

fn open_path(path: &CStr, flags: libc::c_int) -> Result<OwnedFd, String> {
    match unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) } {
        -1 => Err(failure("open", &path.to_string_lossy())),
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), String> {
    let mut ends = [0 as RawFd; 2];
    match unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } {
        0 => Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) }),
        _ => Err(failure("make", "pipe")),
    }
}

fn c_string(text: &str) -> CString {
    CString::new(text).expect("constants hold no NUL")
}

fn failure(action: &str, what: &str) -> String {
    format!("cannot {} {}: {}", action, what, Error::last_os_error())
}
