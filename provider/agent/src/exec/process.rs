//! A running program as a stream.

use super::{program::Prepared, tree};
use crate::cgroup::Cgroup;
use crate::pipes::{AtEnd, Moved, Sink, Source};
use crate::protocol::{frame, tag};
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::sys::{self, Ended, Event};
use crate::tlv::{Failure, Fields, Request};
use std::os::unix::io::{AsRawFd, OwnedFd};

/// After the program has ended, a grandchild may hold its output open for ever. What the pipes held at that moment is
/// always sent; then silence this long ends the call: longer than any scheduling delay of a process that was about to
/// write, short enough not to be noticed.
const IDLE_AFTER_EXIT_NS: u64 = 100_000_000;
/// A grandchild that never stops writing ends the call after this.
const BUSY_AFTER_EXIT_NS: u64 = 1_000_000_000;

struct Exec {
    leader: i32,
    group: Option<Cgroup>,
    started: u64,
    deadline: Option<u64>,
    timed_out: bool,
    cancelled: bool,
    stdin: Option<Sink>,
    outputs: [Option<Source>; 2],
    terminal: Option<OwnedFd>,
    exit: Option<Exit>,
}

struct Exit {
    ended: Ended,
    at: u64,
    /// Per output: bytes that were in the pipe when the program ended.
    left: [usize; 2],
    last_output: u64,
}

pub fn open(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let prepared = Prepared::new(request, context.machine)?;
    let timeout = request.number(tag::TIMEOUT_MS)?;
    let streams = Streams::new(request, &prepared)?;
    // A program that is born frozen never gets to where we wait for it.
    context.machine.cgroups.thaw();
    let group = context.machine.cgroups.acquire();
    let descriptor = group.as_ref().map(Cgroup::descriptor);
    let started = sys::monotonic_ns();
    let leader = match prepared.start(
        streams.theirs(),
        streams.terminal.is_some(),
        descriptor,
        context.machine,
    ) {
        Ok(pid) => pid,
        Err(failure) => {
            if let Some(group) = group {
                context.machine.cgroups.release(group);
            }
            return Err(failure);
        }
    };
    let mut exec = Exec {
        leader,
        group,
        started,
        deadline: timeout.map(|ms| started.saturating_add(ms.saturating_mul(1_000_000))),
        timed_out: false,
        cancelled: false,
        stdin: None,
        outputs: [None, None],
        terminal: None,
        exit: None,
    };
    if let Err(error) = exec.attach(streams, context) {
        exec.signal(libc::SIGKILL);
        exec.release(context.machine);
        return Err(error.into());
    }
    context.out.frame(context.id, frame::OPENED, &[]);
    Ok(Opened::Stream(Box::new(exec)))
}

/// Both ends of the standard streams.
struct Streams {
    stdin: Option<OwnedFd>,
    outputs: [Option<OwnedFd>; 2],
    terminal: Option<OwnedFd>,
    theirs: Vec<OwnedFd>,
}

impl Streams {
    fn new(request: &Request, prepared: &Prepared) -> Result<Self, Failure> {
        let mut streams = match request.get(tag::TERMINAL) {
            Some(size) => Self::terminal(size)?,
            None => Self::pipes(request.has(tag::STDIN))?,
        };
        if let Some(user) = &prepared.user {
            for descriptor in &mut streams.theirs {
                let _ = sys::change_owner(descriptor, user.uid, user.gid); // only /dev/stdout by name would miss it
            }
        }
        Ok(streams)
    }

    fn terminal(size: &[u8]) -> Result<Self, Failure> {
        let (columns, rows) = terminal_size(size)?;
        let (ours, theirs) = sys::open_terminal(columns, rows)?;
        let copy = |descriptor: &OwnedFd| descriptor.try_clone().map_err(Failure::from);
        Ok(Streams {
            stdin: Some(copy(&ours)?),
            outputs: [Some(copy(&ours)?), None],
            terminal: Some(ours),
            theirs: vec![theirs],
        })
    }

    fn pipes(with_stdin: bool) -> Result<Self, Failure> {
        let (stdin_theirs, stdin) = if with_stdin {
            let (read, write) = sys::pipe()?;
            (read, Some(write))
        } else {
            (sys::empty_input()?, None)
        };
        let (output, output_theirs) = sys::pipe()?;
        let (error, error_theirs) = sys::pipe()?;
        Ok(Streams {
            stdin,
            outputs: [Some(output), Some(error)],
            terminal: None,
            theirs: vec![stdin_theirs, output_theirs, error_theirs],
        })
    }

    fn theirs(&self) -> [i32; 3] {
        let number = |index: usize| self.theirs.get(index).unwrap_or(&self.theirs[0]).as_raw_fd();
        [number(0), number(1), number(2)]
    }
}

fn terminal_size(bytes: &[u8]) -> Result<(u16, u16), Failure> {
    match bytes {
        [a, b, c, d] => Ok((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))),
        _ => Err(Failure::INVALID),
    }
}

impl Exec {
    fn attach(&mut self, streams: Streams, context: &mut Context) -> sys::Result<()> {
        let at_end = if streams.terminal.is_some() {
            AtEnd::Terminal
        } else {
            AtEnd::Close
        };
        self.stdin = streams
            .stdin
            .map(|descriptor| Sink::new(descriptor, at_end, context))
            .transpose()?;
        for (channel, output) in streams.outputs.into_iter().enumerate() {
            self.outputs[channel] = output.map(|fd| Source::new(fd, channel as u8, context)).transpose()?;
        }
        self.terminal = streams.terminal;
        Ok(())
    }

    fn signal(&self, signal: i32) {
        tree::signal(self.leader, self.group.as_ref(), signal);
    }

    fn check_timeout(&mut self) {
        if self.deadline.map_or(false, |deadline| sys::monotonic_ns() >= deadline) {
            self.deadline = None;
            self.timed_out = true;
            self.signal(libc::SIGKILL);
        }
    }

    /// True once no output that belongs to the program can come any more.
    fn is_complete(&self, context: &Context) -> bool {
        let exit = match &self.exit {
            Some(exit) => exit,
            None => return false,
        };
        if self.cancelled || self.outputs.iter().all(Option::is_none) {
            return true;
        }
        if exit.left != [0, 0] {
            return false;
        }
        let now = sys::monotonic_ns();
        let silent = !self.outputs.iter().flatten().any(|output| output.can_move(context));
        (silent && now >= exit.last_output + IDLE_AFTER_EXIT_NS) || now >= exit.at + BUSY_AFTER_EXIT_NS
    }

    fn result(&self, exit: &Exit) -> Fields {
        let fields = match exit.ended {
            Ended::Exited(code) => Fields::new().u32(tag::EXIT_CODE, code as u32),
            Ended::Signaled(signal) => Fields::new().u32(tag::SIGNAL, signal as u32),
        };
        let fields = fields.u64(tag::DURATION_MS, (exit.at - self.started) / 1_000_000);
        if self.timed_out {
            fields.bytes(tag::TIMED_OUT, b"")
        } else {
            fields
        }
    }
}

impl Stream for Exec {
    fn pump(&mut self, context: &mut Context) -> Progress {
        self.check_timeout();
        if let Some(stdin) = &mut self.stdin {
            stdin.pump(context);
        }
        let mut again = false;
        for channel in 0..self.outputs.len() {
            let output = match &mut self.outputs[channel] {
                Some(output) => output,
                None => continue,
            };
            match output.pump(context) {
                Moved::Bytes(count) => {
                    again = true;
                    if let Some(exit) = &mut self.exit {
                        exit.left[channel] = exit.left[channel].saturating_sub(count);
                        exit.last_output = sys::monotonic_ns();
                    }
                }
                Moved::Nothing => {
                    // The pipe may hold less than it said: a terminal's input counts twice when a program flushes it.
                    if let (false, Some(exit)) = (output.ready, &mut self.exit) {
                        exit.left[channel] = 0;
                    }
                }
                Moved::Ended => {
                    self.outputs[channel] = None;
                    if let Some(exit) = &mut self.exit {
                        exit.left[channel] = 0;
                    }
                }
            }
        }
        if self.is_complete(context) {
            let fields = self.exit.as_ref().map(|exit| self.result(exit)).unwrap_or_default();
            context.end(&fields);
            return Progress::Done;
        }
        if again {
            Progress::Again
        } else {
            Progress::Wait
        }
    }

    fn event(&mut self, channel: u8, event: Event) {
        if channel > 0 && event.readable {
            if let Some(Some(output)) = self.outputs.get_mut(channel as usize - 1) {
                output.ready = true;
            }
        }
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdin.as_mut().ok_or(Failure::INVALID)?.push(bytes)
    }

    fn eof(&mut self) {
        if let Some(stdin) = &mut self.stdin {
            stdin.end();
        }
    }

    fn control(&mut self, request: &Request, _machine: &Machine) {
        if let (Ok(Some(signal)), None) = (request.number(tag::SIGNAL), &self.exit) {
            self.signal(signal as i32);
        }
        if let (Some(size), Some(terminal)) = (request.get(tag::TERMINAL), &self.terminal) {
            if let Ok((columns, rows)) = terminal_size(size) {
                let _ = sys::resize_terminal(terminal, columns, rows); // fails only on a dead terminal
            }
        }
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.cancelled = true;
        self.deadline = None;
        self.stdin = None;
        self.outputs = [None, None];
        if self.exit.is_none() {
            self.signal(libc::SIGKILL);
        }
    }

    fn exited(&mut self, pid: i32, ended: Ended) -> bool {
        if pid != self.leader || self.exit.is_some() {
            return false;
        }
        let at = sys::monotonic_ns();
        let waiting = |output: &Option<Source>| output.as_ref().map_or(0, Source::waiting_bytes);
        let left = [waiting(&self.outputs[0]), waiting(&self.outputs[1])];
        self.exit = Some(Exit {
            ended,
            at,
            left,
            last_output: at,
        });
        self.deadline = None;
        for output in self.outputs.iter_mut().flatten() {
            output.ready = true; // looks once more, so that silence is certain
        }
        true
    }

    fn is_program(&self) -> bool {
        self.exit.is_none() && !self.cancelled
    }

    fn deadline(&self) -> Option<u64> {
        match &self.exit {
            None => self.deadline,
            Some(exit) if exit.left == [0, 0] => {
                Some((exit.last_output + IDLE_AFTER_EXIT_NS).min(exit.at + BUSY_AFTER_EXIT_NS))
            }
            Some(_) => None, // the host's reader comes first
        }
    }

    fn release(&mut self, machine: &mut Machine) {
        if let Some(group) = self.group.take() {
            machine.cgroups.release(group);
        }
    }
}
