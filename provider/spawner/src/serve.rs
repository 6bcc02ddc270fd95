//! The service loop: requests on standard input, one line of JSON per event on standard output.
//!
//! `{"id":1,"pid":42}` or `{"id":1,"error":"…"}` answers a request; `{"exited":42,"code":0}` or
//! `{"exited":42,"signal":9}` reports the end of a child. The end of standard input ends the service, as does a reader
//! that is gone, for the host may be killed at any time; children are in sessions of their own and go on, but what they
//! say from then on is lost.

use crate::log::Log;
use crate::{child, request};
use std::io::{self, Error, Write};
use std::mem::{size_of, zeroed};
use std::os::unix::io::RawFd;

pub fn serve() -> io::Result<()> {
    match serve_requests() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn serve_requests() -> io::Result<()> {
    // What is made here belongs to the host's user alone.
    unsafe { libc::umask(0o077) };
    let child_ended = child_signal()?;
    let mut buffer = Vec::new();
    let mut logs: Vec<Log> = Vec::new();
    loop {
        let mut polled = vec![readable(0), readable(child_ended)];
        polled.extend(logs.iter().map(|log| readable(log.descriptor())));
        if unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) } < 0 {
            continue;
        }
        let mut states = polled[2..].iter();
        logs.retain_mut(|log| states.next().map_or(true, |state| state.revents == 0) || log.pump());
        if polled[1].revents != 0 {
            report_exits(child_ended, &mut logs)?;
        }
        if polled[0].revents != 0 && !answer_requests(&mut buffer, &mut logs)? {
            return Ok(());
        }
    }
}

fn readable(fd: RawFd) -> libc::pollfd {
    libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }
}

fn child_signal() -> io::Result<RawFd> {
    unsafe {
        let mut mask: libc::sigset_t = zeroed();
        libc::sigaddset(&mut mask, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &mask, std::ptr::null_mut());
        match libc::signalfd(-1, &mask, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(Error::last_os_error()),
            fd => Ok(fd),
        }
    }
}

fn report_exits(child_ended: RawFd, logs: &mut [Log]) -> io::Result<()> {
    let mut ignored: libc::signalfd_siginfo = unsafe { zeroed() };
    unsafe {
        libc::read(
            child_ended,
            (&mut ignored as *mut libc::signalfd_siginfo).cast(),
            size_of::<libc::signalfd_siginfo>(),
        )
    };
    loop {
        let mut status = 0;
        let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
        if pid <= 0 {
            return Ok(());
        }
        // Who hears of the end looks for the last words at once.
        if let Some(log) = logs.iter_mut().find(|log| log.pid == pid) {
            log.pump();
        }
        if libc::WIFSIGNALED(status) {
            say(&format!("{{\"exited\":{},\"signal\":{}}}", pid, libc::WTERMSIG(status)))?;
        } else {
            say(&format!(
                "{{\"exited\":{},\"code\":{}}}",
                pid,
                libc::WEXITSTATUS(status)
            ))?;
        }
    }
}

/// False at the end of input.
fn answer_requests(buffer: &mut Vec<u8>, logs: &mut Vec<Log>) -> io::Result<bool> {
    let mut chunk = [0u8; 65536];
    let count = unsafe { libc::read(0, chunk.as_mut_ptr().cast(), chunk.len()) };
    if count <= 0 {
        let error = Error::last_os_error();
        return if count < 0 && error.kind() != io::ErrorKind::Interrupted {
            Err(error)
        } else {
            Ok(count < 0)
        };
    }
    buffer.extend_from_slice(&chunk[..count as usize]);
    loop {
        let request = request::take(buffer).map_err(|message| Error::new(io::ErrorKind::InvalidData, message))?;
        match request {
            None => return Ok(true),
            Some(request) => match child::start(&request) {
                Ok(log) => {
                    say(&format!("{{\"id\":{},\"pid\":{}}}", request.id, log.pid))?;
                    logs.push(log);
                }
                Err(message) => say(&format!("{{\"id\":{},\"error\":{}}}", request.id, quoted(&message)))?,
            },
        }
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout();
    output.write_all(line.as_bytes())?;
    output.write_all(b"\n")?;
    output.flush()
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            control if (control as u32) < 0x20 => json.push_str(&format!("\\u{:04x}", control as u32)),
            other => json.push(other),
        }
    }
    json.push('"');
    json
}
