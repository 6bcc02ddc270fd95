//! Calls that may wait for a volume. What a volume answers comes through this process's loop, so the loop must not wait
//! for one: the call is carried out by a copy of the agent, over the same protocol, and its frames are passed on.

use crate::cgroup::{Cgroup, Cgroups};
use crate::frames::{header, Decoder};
use crate::port::Port;
use crate::protocol::{frame, kind, tag, MAGIC, MAX_PAYLOAD, NONCE_BYTES, VERSION};
use crate::server::Server;
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::sys::{self, Errno, Event, Io};
use crate::tlv::{Failure, Request};
use std::os::unix::io::OwnedFd;

struct Delegate {
    id: u32,
    socket: OwnedFd,
    /// On its way to the copy; the host's window bounds it.
    outgoing: Vec<u8>,
    decoder: Decoder,
    ready: bool,
    cancelled: bool,
    /// Nobody reads what the call says: the copy was told to go on all the same.
    unread: bool,
    /// Programs wait until it is over; the copy cannot see to that.
    freezes: bool,
    /// Of the program, for a copy that runs one.
    group: Option<Cgroup>,
    is_program: bool,
}

/// Hands the request to a copy of this process.
pub fn open(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let called = request.number(tag::KIND)?.unwrap_or(0) as u8;
    let is_program = called == kind::EXEC;
    let freezes = called == kind::ARCHIVE;
    let (ours, theirs) = sys::socket_pair()?;
    let group = if is_program {
        context.machine.cgroups.thaw();
        context.machine.cgroups.acquire()
    } else {
        None
    };
    if freezes {
        context.machine.cgroups.freeze();
    }
    let is_guest = context.machine.is_guest;
    // Its end is not waited for: it ends with its socket.
    let begun = sys::fork(|| serve(theirs, is_guest, group.as_ref()))
        .and_then(|_| context.machine.poll.add(&ours, context.token(0)));
    let mut delegate = Delegate {
        id: context.id,
        socket: ours,
        outgoing: Vec::new(),
        decoder: Decoder::default(),
        ready: true,
        cancelled: false,
        unread: false,
        freezes,
        group,
        is_program,
    };
    if let Err(error) = begun {
        delegate.release(context.machine);
        return Err(error.into());
    }
    let hello = [&MAGIC[..], &VERSION.to_be_bytes(), &[0; NONCE_BYTES]].concat();
    delegate.send(0, frame::HELLO, &hello);
    let mut parts = request.as_slice().chunks(MAX_PAYLOAD).peekable();
    while let Some(part) = parts.next() {
        let kind = match parts.peek() {
            Some(_) => frame::OPEN_PART,
            None => frame::OPEN,
        };
        delegate.send(context.id, kind, part);
    }
    Ok(Opened::Stream(Box::new(delegate)))
}

/// In the copy.
fn serve(socket: OwnedFd, is_guest: bool, group: Option<&Cgroup>) -> i32 {
    let served = sys::keep_only(socket)
        .and_then(|socket| Server::new(Port::Socket(socket), is_guest, Cgroups::lent(group))?.run());
    i32::from(served.is_err())
}

impl Delegate {
    fn send(&mut self, stream: u32, kind: u8, payload: &[u8]) {
        self.outgoing.extend_from_slice(&header(stream, kind, payload.len()));
        self.outgoing.extend_from_slice(payload);
    }

    /// The program ends at once, even while the copy that runs it waits.
    fn kill(&self) {
        if let Some(group) = &self.group {
            let _ = group.kill(); // an old kernel: then the copy does it
        }
    }

    /// True once the copy is gone.
    fn exchange(&mut self) -> bool {
        let mut written = 0;
        while written < self.outgoing.len() {
            match sys::write(&self.socket, &self.outgoing[written..]) {
                Ok(Io::Bytes(count)) => written += count,
                Ok(_) => break,
                Err(_) => return true,
            }
        }
        self.outgoing.drain(..written);
        if !self.ready {
            return false;
        }
        let (buffer, limit) = self.decoder.space();
        match sys::read_append(&self.socket, buffer, limit) {
            Ok(Io::Bytes(_)) => {}
            Ok(Io::WouldBlock) => self.ready = false,
            Ok(Io::End) | Err(_) => return true,
        }
        false
    }
}

impl Stream for Delegate {
    fn pump(&mut self, context: &mut Context) -> Progress {
        if self.cancelled {
            // The copy hears of it once it no longer waits for the volume, tidies up and ends.
            self.exchange();
            context.end(&Failure::from(Errno(libc::EINTR)).fields());
            return Progress::Done;
        }
        if context.credit[0] == u32::MAX && !self.unread {
            self.unread = true;
            for output in 0..2 {
                self.send(
                    self.id,
                    frame::CREDIT,
                    &[&[output][..], &u32::MAX.to_be_bytes()].concat(),
                );
            }
        }
        let gone = self.exchange();
        while let Some(received) = self.decoder.next() {
            if received.stream != context.id {
                continue; // its HELLO_ACK
            }
            context.out.frame(context.id, received.kind, received.payload);
            if received.kind == frame::END {
                return Progress::Done;
            }
        }
        if gone {
            self.kill();
            context.end(&Failure::from(Errno(libc::EIO)).fields());
            return Progress::Done;
        }
        if self.ready {
            Progress::Again
        } else {
            Progress::Wait
        }
    }

    fn event(&mut self, _channel: u8, event: Event) {
        self.ready |= event.readable;
    }

    fn frame(&mut self, id: u32, kind: u8, payload: &[u8]) -> bool {
        self.send(id, kind, payload);
        if kind == frame::RESET {
            self.cancelled = true;
            self.kill();
        }
        true
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.send(self.id, frame::RESET, &[]);
        self.cancelled = true;
        self.exchange();
        self.kill();
    }

    fn is_program(&self) -> bool {
        self.is_program && !self.cancelled
    }

    fn release(&mut self, machine: &mut Machine) {
        if self.freezes {
            machine.cgroups.thaw();
        }
        if let Some(group) = self.group.take() {
            group.retire();
            machine.cgroups.release(group);
        }
    }
}
