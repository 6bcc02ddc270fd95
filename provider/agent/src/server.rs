//! The loop: one thread, one epoll, edge-triggered. An idle machine makes no system call at all.

use crate::background::{self, Background};
use crate::cgroup::Cgroups;
use crate::foreign::ForeignMounts;
use crate::frames::{Decoder, Frame, HELLO_BYTES};
use crate::outbox::Outbox;
use crate::port::Port;
use crate::protocol::{frame, GUEST_WINDOW, KEEP_PROGRAMS, MAGIC, NONCE_BYTES, VERSION};
use crate::session::Session;
use crate::stream::{Machine, EPOCH_SHIFT, NO_EPOCH};
use crate::sys::{self, Epoll, Event, Io, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::io::OwnedFd;

const PORT: u64 = 0;
const SIGNALS: u64 = 1;
const LISTENER: u64 = 2;
/// Reads of the port in one turn, so that a fast sender cannot keep everything else waiting.
const READS_PER_TURN: usize = 8;
/// While the port is full nothing can end by its deadline but through a kill; looking this often is enough.
const FULL_PORT_WAIT_MS: i32 = 10;

pub struct Server {
    port: Port,
    signals: OwnedFd,
    machine: Machine,
    decoder: Decoder,
    out: Outbox,
    /// Of the present session.
    epoch: u32,
    /// None until a host has said HELLO.
    session: Option<Session>,
    /// Earlier sessions of which programs go on.
    abandoned: Vec<Session>,
    /// The port may have more bytes than were read.
    readable: bool,
    running: bool,
}

impl Server {
    pub fn new(port: Port, is_guest: bool, cgroups: Cgroups) -> Result<Self> {
        let poll = Epoll::new()?;
        let signals = sys::signal_descriptor()?;
        poll.add(&signals, SIGNALS)?;
        match &port {
            Port::Virtio(descriptor) | Port::Socket(descriptor) => poll.add(descriptor, PORT)?,
            Port::Listener { listener, .. } => poll.add(listener, LISTENER)?,
        }
        let machine = Machine {
            poll,
            cgroups,
            is_guest,
            is_root: sys::is_root(),
            foreign: ForeignMounts::new(is_guest),
            volumes: BTreeSet::new(),
            mounts: BTreeMap::new(),
            background: Background::default(),
        };
        Ok(Server {
            port,
            signals,
            machine,
            decoder: Decoder::default(),
            out: Outbox::default(),
            epoch: NO_EPOCH,
            session: None,
            abandoned: Vec::new(),
            readable: false,
            running: true,
        })
    }

    /// Serves until its socket ends or a signal asks to; in a VM for ever.
    pub fn run(&mut self) -> Result<()> {
        let mut events = Vec::new();
        while self.running {
            self.machine.poll.wait(&mut events, self.timeout())?;
            for event in &events {
                self.handle(*event);
            }
            self.read_port();
            let news = background::pump(&mut self.machine);
            if let Some(session) = &mut self.session {
                session.tell(&news);
                session.pump(&mut self.out, &mut self.machine);
            }
            let machine = &mut self.machine;
            self.abandoned.retain_mut(|session| session.pump_alone(machine));
            self.flush();
        }
        for mut session in self.session.take().into_iter().chain(self.abandoned.drain(..)) {
            session.end(&mut self.machine);
        }
        background::end(&mut self.machine);
        self.machine.cgroups.remove_all();
        Ok(())
    }

    fn timeout(&self) -> Option<i32> {
        let session = self.session.as_ref();
        let room = self.out.has_room();
        let abandoned_works = self.abandoned.iter().any(Session::has_work);
        if self.readable
            || abandoned_works
            || self.machine.background.has_work()
            || (room && session.map_or(false, Session::has_work))
        {
            return Some(0);
        }
        let deadline = session
            .into_iter()
            .chain(&self.abandoned)
            .filter_map(Session::deadline)
            .chain(self.machine.background.deadline())
            .min()?;
        let left = deadline.saturating_sub(sys::monotonic_ns());
        let ms = (left / 1_000_000 + u64::from(left % 1_000_000 != 0)).min(i32::MAX as u64) as i32;
        Some(if room { ms } else { ms.max(FULL_PORT_WAIT_MS) })
    }

    fn handle(&mut self, event: Event) {
        match event.token {
            PORT => self.readable |= event.readable,
            SIGNALS => self.take_signals(),
            LISTENER => self.accept(),
            token if token >> EPOCH_SHIFT == u64::from(NO_EPOCH) => self.machine.background.event(token, event),
            token => {
                if let Some(session) = self.sessions().find(|session| session.owns(token)) {
                    session.event(token, event);
                }
            }
        }
    }

    /// The present one first.
    fn sessions(&mut self) -> impl Iterator<Item = &mut Session> {
        self.session.iter_mut().chain(&mut self.abandoned)
    }

    fn take_signals(&mut self) {
        for signal in sys::pending_signals(&self.signals) {
            // PID 1 gets those from the programs it runs; they are nothing to it.
            if signal != libc::SIGCHLD && !self.machine.is_guest {
                self.running = false;
            }
        }
        let mut strays = false;
        while let Some((pid, ended)) = sys::reap() {
            let known = self.machine.background.exited(pid, ended);
            strays |= !known && !self.sessions().any(|session| session.exited(pid, ended));
        }
        if strays {
            self.machine.cgroups.sweep();
        }
    }

    fn accept(&mut self) {
        if let Port::Listener { listener, connection } = &mut self.port {
            while let Ok((stream, _)) = listener.accept() {
                let descriptor = OwnedFd::from(stream);
                let added = sys::set_nonblocking(std::os::unix::io::AsRawFd::as_raw_fd(&descriptor))
                    .and_then(|()| self.machine.poll.add(&descriptor, PORT));
                if added.is_ok() {
                    self.decoder.reset();
                    self.out.clear();
                    *connection = Some(descriptor);
                }
            }
        }
    }

    fn read_port(&mut self) {
        for _ in 0..READS_PER_TURN {
            let connection = match (self.readable, self.port.connection()) {
                (true, Some(connection)) => connection,
                _ => break,
            };
            let (buffer, limit) = self.decoder.space();
            match sys::read_append(connection, buffer, limit) {
                Ok(Io::Bytes(_)) => self.take_frames(),
                Ok(Io::WouldBlock) => self.readable = false,
                Ok(Io::End) | Err(_) => self.host_left(),
            }
        }
    }

    /// Nobody is connected. The session stays: the same host may have crashed, its programs go on until it is back.
    fn host_left(&mut self) {
        self.readable = false;
        self.decoder.reset();
        match &mut self.port {
            Port::Virtio(_) => {}
            Port::Listener { connection, .. } => *connection = None,
            Port::Socket(_) => self.running = false,
        }
    }

    fn take_frames(&mut self) {
        while let Some(frame) = self.decoder.next() {
            match (frame.kind, &mut self.session) {
                (frame::HELLO, _) => {
                    let (flags, nonce) = match hello(&frame) {
                        Some(hello) => hello,
                        None => continue,
                    };
                    // The host repeats itself until it is answered; only the first time means a new session.
                    if self.session.as_ref().map_or(true, |session| session.nonce != nonce) {
                        if let Some(session) = self.session.take() {
                            let keep = flags & KEEP_PROGRAMS != 0;
                            self.abandoned.extend(session.abandon(keep, &mut self.machine));
                        }
                        self.out.clear();
                        self.epoch = self.epoch % ((1 << (u64::BITS - EPOCH_SHIFT)) - 1) + 1; // never NO_EPOCH
                        self.session = Some(Session::new(nonce, self.epoch));
                    }
                    let ack = [
                        &MAGIC[..],
                        &VERSION.to_be_bytes(),
                        &nonce[..],
                        &GUEST_WINDOW.to_be_bytes(),
                    ]
                    .concat();
                    self.out.frame(0, frame::HELLO_ACK, &ack);
                }
                (frame::BYE, Some(_)) => {
                    if let Some(session) = self.session.take() {
                        self.abandoned.extend(session.abandon(false, &mut self.machine));
                    }
                    self.out.clear();
                }
                (frame::PING, Some(_)) => self.out.frame(0, frame::PONG, frame.payload),
                (_, Some(session)) => session.frame(&frame, &mut self.out, &mut self.machine),
                // Left over from a host that is gone.
                (_, None) => {}
            }
        }
    }

    fn flush(&mut self) {
        match self.port.connection() {
            Some(connection) => {
                if self.out.flush(connection).is_err() {
                    self.out.clear();
                    self.host_left();
                }
            }
            None => self.out.clear(),
        }
    }
}

/// Flags and nonce of a HELLO.
fn hello(frame: &Frame) -> Option<(u8, [u8; NONCE_BYTES])> {
    let rest = frame.payload.strip_prefix(&MAGIC)?;
    if frame.payload.len() == HELLO_BYTES {
        Some((rest[0], rest[2..].try_into().ok()?))
    } else {
        None
    }
}
