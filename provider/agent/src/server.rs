//! The loop: one thread, one epoll, edge-triggered. An idle machine makes no system call at all.

use crate::cgroup::Cgroups;
use crate::frames::{Decoder, Frame, HELLO_BYTES};
use crate::outbox::Outbox;
use crate::port::Port;
use crate::protocol::{frame, GUEST_WINDOW, MAGIC, VERSION};
use crate::session::Session;
use crate::stream::Machine;
use crate::sys::{self, Epoll, Event, Io, Result};
use std::os::unix::io::OwnedFd;
use std::path::PathBuf;

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
    /// None until a host has said HELLO.
    session: Option<Session>,
    /// The port may have more bytes than were read.
    readable: bool,
    running: bool,
}

impl Server {
    pub fn new(port: Port, is_guest: bool, cgroups: Option<PathBuf>) -> Result<Self> {
        let poll = Epoll::new()?;
        let signals = sys::signal_descriptor()?;
        poll.add(&signals, SIGNALS)?;
        match &port {
            Port::Virtio(descriptor) | Port::Socket(descriptor) => poll.add(descriptor, PORT)?,
            Port::Listener { listener, .. } => poll.add(listener, LISTENER)?,
        }
        let machine = Machine {
            poll,
            cgroups: Cgroups::below(cgroups),
            is_guest,
            is_root: sys::is_root(),
        };
        Ok(Server {
            port,
            signals,
            machine,
            decoder: Decoder::default(),
            out: Outbox::default(),
            session: None,
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
            if let Some(session) = &mut self.session {
                session.pump(&mut self.out, &mut self.machine);
            }
            self.flush();
        }
        self.end_session();
        self.machine.cgroups.remove_all();
        Ok(())
    }

    fn timeout(&self) -> Option<i32> {
        let session = self.session.as_ref();
        let room = self.out.has_room();
        if self.readable || (room && session.map_or(false, Session::has_work)) {
            return Some(0);
        }
        let deadline = session.and_then(Session::deadline)?;
        let left = deadline.saturating_sub(sys::monotonic_ns());
        let ms = (left / 1_000_000 + u64::from(left % 1_000_000 != 0)).min(i32::MAX as u64) as i32;
        Some(if room { ms } else { ms.max(FULL_PORT_WAIT_MS) })
    }

    fn handle(&mut self, event: Event) {
        match event.token {
            PORT => self.readable |= event.readable,
            SIGNALS => self.take_signals(),
            LISTENER => self.accept(),
            token => {
                if let Some(session) = &mut self.session {
                    session.event(token, event);
                }
            }
        }
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
            strays |= !self
                .session
                .as_mut()
                .map_or(false, |session| session.exited(pid, ended));
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
                    let nonce = match nonce(&frame) {
                        Some(nonce) => nonce,
                        None => continue,
                    };
                    // The host repeats itself until it is answered; only the first time means a new session.
                    if self.session.as_ref().map_or(true, |session| session.nonce != nonce) {
                        if let Some(mut session) = self.session.take() {
                            session.end(&mut self.machine);
                        }
                        self.out.clear();
                        self.session = Some(Session::new(nonce));
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
                (frame::BYE, Some(session)) => {
                    session.end(&mut self.machine);
                    self.session = None;
                    self.out.clear();
                }
                (frame::PING, Some(_)) => self.out.frame(0, frame::PONG, frame.payload),
                (_, Some(session)) => session.frame(&frame, &mut self.out, &mut self.machine),
                // Left over from a host that is gone.
                (_, None) => {}
            }
        }
    }

    fn end_session(&mut self) {
        if let Some(mut session) = self.session.take() {
            session.end(&mut self.machine);
        }
        self.out.clear();
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

fn nonce(frame: &Frame) -> Option<[u8; 16]> {
    let nonce = frame.payload.strip_prefix(&MAGIC)?.get(2..)?;
    if frame.payload.len() == HELLO_BYTES {
        nonce.try_into().ok()
    } else {
        None
    }
}
