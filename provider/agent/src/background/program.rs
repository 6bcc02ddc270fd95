//! One program in the background: what a host would do for it is done here. Its output is taken and kept, so that it
//! never waits for a reader.

use super::ring::Ring;
use crate::listen::Arrivals;
use crate::outbox::Outbox;
use crate::protocol::{frame, kind, tag, GUEST_WINDOW};
use crate::stream::{self, Context, Machine, Opened, Progress, Stream, NO_EPOCH};
use crate::sys::{self, Ended, Event};
use crate::tlv::{Failure, Fields, Request, FIELD_HEADER_BYTES};
use std::time::{SystemTime, UNIX_EPOCH};

/// Of its arguments, that many bytes are told, their headers counted: a list of all programs is one frame.
const SHOWN_BYTES: usize = 256;

pub struct Program {
    pub name: Vec<u8>,
    /// What of its arguments is shown.
    shown: Vec<Vec<u8>>,
    started_ms: u64,
    started: u64,
    pub ring: Ring,
    pub state: State,
    /// Wanted by nobody: it goes once it has ended.
    pub removed: bool,
    /// None once it has ended.
    stream: Option<Box<dyn Stream>>,
    credit: [u32; 2],
}

pub enum State {
    Starting,
    Running,
    /// With the fields that tell how.
    Ended(Vec<u8>),
    /// It never ran; with the fields that tell why.
    NotStarted(Vec<u8>),
}

pub struct Step {
    pub has_news: bool,
    pub again: bool,
}

impl Program {
    /// Starts what the request says, as a call of a host would.
    pub fn start(id: u32, name: &[u8], request: &Request, machine: &mut Machine) -> Result<Self, Failure> {
        if request.has(tag::STDIN) || request.has(tag::TERMINAL) {
            return Err(Failure::INVALID);
        }
        let call = [Fields::new().byte(tag::KIND, kind::EXEC).as_slice(), request.as_slice()].concat();
        let mut program = Program {
            name: name.to_vec(),
            shown: shown(request),
            started_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_millis() as u64),
            started: sys::monotonic_ns(),
            ring: Ring::default(),
            state: State::Starting,
            removed: false,
            stream: None,
            credit: [GUEST_WINDOW; 2],
        };
        let mut out = Outbox::default();
        let opened = Self::with_context(id, &mut out, &mut program.credit, machine, |context| {
            stream::open(&Request::parse(&call)?, context)
        })?;
        if let Opened::Stream(stream) = opened {
            program.stream = Some(stream);
        }
        program.take(id, out);
        Ok(program)
    }

    /// Moves on and takes what it has to say.
    pub fn step(&mut self, id: u32, machine: &mut Machine) -> Step {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                return Step {
                    has_news: false,
                    again: false,
                }
            }
        };
        let mut out = Outbox::default();
        let progress = Self::with_context(id, &mut out, &mut self.credit, machine, |context| stream.pump(context));
        self.stream = Some(stream);
        let has_news = self.take(id, out);
        if !matches!(progress, Progress::Done) {
            let again = has_news || matches!(progress, Progress::Again);
            return Step { has_news, again };
        }
        if let Some(mut stream) = self.stream.take() {
            stream.release(machine);
        }
        if !self.has_ended() {
            self.lose();
        }
        Step {
            has_news: true,
            again: false,
        }
    }

    fn with_context<T>(
        id: u32,
        out: &mut Outbox,
        credit: &mut [u32; 2],
        machine: &mut Machine,
        action: impl FnOnce(&mut Context) -> T,
    ) -> T {
        let mut arrivals = Arrivals {
            sockets: Vec::new(),
            room: 0,
        };
        action(&mut Context {
            id,
            epoch: NO_EPOCH,
            out,
            credit,
            arrivals: &mut arrivals,
            machine,
        })
    }

    /// Reads the frames that were meant for a host; true if they told anything.
    fn take(&mut self, id: u32, mut out: Outbox) -> bool {
        let mut has_news = false;
        out.drain(|kind, payload| {
            has_news = true;
            match kind {
                frame::OPENED => self.state = State::Running,
                frame::DATA | frame::DATA_ERROR => {
                    let channel = u8::from(kind == frame::DATA_ERROR);
                    self.ring.push(channel, payload);
                    self.give_credit(id, channel, payload.len() as u32);
                }
                frame::END => self.end(payload),
                _ => {}
            }
        });
        has_news
    }

    /// It may send as much again: nothing here waits for a reader.
    fn give_credit(&mut self, id: u32, channel: u8, bytes: u32) {
        let payload = [&[channel][..], &bytes.to_be_bytes()].concat();
        let stream = self.stream.as_mut();
        if !stream.map_or(false, |stream| stream.frame(id, frame::CREDIT, &payload)) {
            self.credit[channel as usize] += bytes;
        }
    }

    fn end(&mut self, payload: &[u8]) {
        let failed = Request::parse(payload).map_or(true, |result| result.has(tag::FAILURE));
        match (&self.state, failed) {
            (State::Starting, true) => self.state = State::NotStarted(payload.to_vec()),
            (_, false) => self.state = State::Ended(payload.to_vec()),
            (_, true) => self.lose(),
        }
    }

    /// Whoever ran it is gone, and it was killed.
    fn lose(&mut self) {
        let lasted = (sys::monotonic_ns() - self.started) / 1_000_000;
        let fields = Fields::new()
            .u32(tag::SIGNAL, libc::SIGKILL as u32)
            .u64(tag::DURATION_MS, lasted);
        self.state = State::Ended(fields.as_slice().to_vec());
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::NotStarted(_))
    }

    pub fn event(&mut self, channel: u8, event: Event) {
        if let Some(stream) = &mut self.stream {
            stream.event(channel, event);
        }
    }

    pub fn exited(&mut self, pid: i32, ended: Ended) -> bool {
        self.stream.as_mut().map_or(false, |stream| stream.exited(pid, ended))
    }

    pub fn deadline(&self) -> Option<u64> {
        self.stream.as_ref().and_then(|stream| stream.deadline())
    }

    /// Passes on a signal for the tree.
    pub fn control(&mut self, id: u32, request: &Request, machine: &Machine) {
        if let Some(stream) = &mut self.stream {
            if !stream.frame(id, frame::CONTROL, request.as_slice()) {
                stream.control(request, machine);
            }
        }
    }

    /// Kills its tree and forgets it.
    pub fn remove(&mut self, machine: &Machine) {
        self.removed = true;
        if let Some(stream) = &mut self.stream {
            stream.cancel(machine);
        }
    }

    pub fn abandon(&mut self, machine: &mut Machine) {
        if let Some(mut stream) = self.stream.take() {
            stream.cancel(machine);
            stream.release(machine);
        }
    }

    /// All that is told of it but its output.
    pub fn describe(&self) -> Fields {
        let mut fields = Fields::new()
            .bytes(tag::NAME, &self.name)
            .u64(tag::STARTED_MS, self.started_ms)
            .u64(tag::OFFSET, self.ring.start())
            .u64(tag::SIZE, self.ring.end());
        for argument in &self.shown {
            fields = fields.bytes(tag::ARGUMENT, argument);
        }
        match &self.state {
            State::Ended(result) => fields.append(result),
            _ => fields,
        }
    }
}

/// The first arguments, the last of them cut.
fn shown(request: &Request) -> Vec<Vec<u8>> {
    let mut left = SHOWN_BYTES;
    let mut found = Vec::new();
    for argument in request.all(tag::ARGUMENT) {
        if left <= FIELD_HEADER_BYTES {
            break;
        }
        let part = &argument[..argument.len().min(left - FIELD_HEADER_BYTES)];
        left -= part.len() + FIELD_HEADER_BYTES;
        found.push(part.to_vec());
    }
    found
}
