//! What every call of the host is to the loop: events come in, `pump` moves on.

use crate::background::{self, Background};
use crate::cgroup::Cgroups;
use crate::foreign::ForeignMounts;
use crate::listen::Arrivals;
use crate::outbox::Outbox;
use crate::protocol::{frame, kind, tag};
use crate::sys::{Ended, Epoll, Event};
use crate::tlv::{Failure, Fields, Request};
use crate::volume::Mount;
use crate::{archive, connect, delegate, exec, files, identity, listen, volume};
use std::collections::{BTreeMap, BTreeSet};

/// Above stream and channel in a token; 24 bits, more sessions than a machine sees. It counts sessions, so that
/// descriptors of an earlier one are told from those of the present.
pub const EPOCH_SHIFT: u32 = 40;
/// Of what belongs to no session.
pub const NO_EPOCH: u32 = 0;

/// What streams share.
pub struct Machine {
    pub poll: Epoll,
    pub cgroups: Cgroups,
    /// PID 1 of a VM; else an ordinary process that must leave the machine's identity alone.
    pub is_guest: bool,
    pub is_root: bool,
    pub foreign: ForeignMounts,
    /// Names of all mounted volumes.
    pub volumes: BTreeSet<Vec<u8>>,
    /// Of these, the ones that no stream serves.
    pub mounts: BTreeMap<Vec<u8>, Mount>,
    /// Programs that belong to no session.
    pub background: Background,
}

/// One stream's view of the world while it is called.
pub struct Context<'a> {
    pub id: u32,
    /// Of the session, or that of the machine's own.
    pub epoch: u32,
    pub out: &'a mut Outbox,
    /// Bytes that the host has room for, per output channel.
    pub credit: &'a mut [u32; 2],
    pub arrivals: &'a mut Arrivals,
    pub machine: &'a mut Machine,
}

impl Context<'_> {
    /// Names one of the stream's descriptors in events.
    pub fn token(&self, channel: u8) -> u64 {
        u64::from(self.epoch) << EPOCH_SHIFT | u64::from(self.id) << 8 | u64::from(channel)
    }

    pub fn end(&mut self, fields: &Fields) {
        self.out.fields(self.id, frame::END, fields);
    }
}

pub enum Progress {
    /// There is more to do at once.
    Again,
    /// An event, credit or a deadline has to come first.
    Wait,
    /// END was sent.
    Done,
}

pub trait Stream {
    /// Does what can be done now. Called after anything below.
    fn pump(&mut self, context: &mut Context) -> Progress;
    fn event(&mut self, _channel: u8, _event: Event) {}
    fn data(&mut self, _bytes: &[u8]) -> Result<(), Failure> {
        Err(Failure::INVALID)
    }
    fn eof(&mut self) {}
    fn control(&mut self, _request: &Request, _machine: &Machine) {}
    /// A frame for the stream as it came; true if it needs no other treatment.
    fn frame(&mut self, _id: u32, _kind: u8, _payload: &[u8]) -> bool {
        false
    }
    /// The host has lost interest: end soon, output is thrown away.
    fn cancel(&mut self, machine: &Machine);
    /// True if the dead child was this stream's.
    fn exited(&mut self, _pid: i32, _ended: Ended) -> bool {
        false
    }
    /// True for a program, which may go on when its session is over, its output thrown away; asked once, then.
    fn is_program(&self) -> bool {
        false
    }
    /// The background program whose news `pump` waits for.
    fn follows(&self) -> Option<u32> {
        None
    }
    /// When `pump` wants to be called without an event; monotonic ns.
    fn deadline(&self) -> Option<u64> {
        None
    }
    /// Gives back what outlives the stream. Called once, last.
    fn release(&mut self, _machine: &mut Machine) {}
}

pub enum Opened {
    Stream(Box<dyn Stream>),
    /// Done already; becomes END.
    Reply(Fields),
}

/// Begins what an OPEN asks for.
pub fn open(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let kind = request.number(tag::KIND)?.unwrap_or(0) as u8;
    // What they touch may be in a volume: files, and pipes whose other end a program holds locked while it waits for one.
    let may_wait = matches!(
        kind,
        kind::EXEC
            | kind::READ_FILE
            | kind::WRITE_FILE
            | kind::STAT
            | kind::LIST
            | kind::MKDIR
            | kind::REMOVE
            | kind::REFRESH
            | kind::ARCHIVE
            | kind::SPACE
    );
    if may_wait && (!context.machine.volumes.is_empty() || context.machine.foreign.any()) {
        return delegate::open(request, context);
    }
    match kind {
        kind::EXEC => exec::open(request, context),
        kind::READ_FILE => files::read::open(request, context),
        kind::WRITE_FILE => files::write::open(request, context),
        kind::STAT => files::info::stat(request),
        kind::LIST => files::list::open(request),
        kind::MKDIR => files::info::mkdir(request),
        kind::REMOVE => files::remove::open(request),
        kind::REFRESH => identity::refresh(request, context.machine),
        kind::CONNECT => connect::open(request, context),
        kind::LISTEN => listen::open(request, context),
        kind::ARCHIVE => archive::open(request, context),
        kind::SPACE => files::info::space(request),
        kind::MOUNT => volume::open(request, context),
        kind::START => background::start(request, context),
        kind::LIST_STARTED => Ok(background::list(context)),
        kind::READ_STARTED => background::read(request, context),
        kind::SIGNAL_STARTED => background::signal(request, context),
        kind::REMOVE_STARTED => background::remove(request, context),
        _ => Err(Failure::INVALID),
    }
}
