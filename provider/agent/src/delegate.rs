//! Calls that may wait for a volume. What a volume answers comes through this process's loop, so the loop must not wait
//! for one: the call is carried out by a copy of the agent, over the same protocol, and its frames are passed on.

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
    /// Programs wait until it is over; the copy cannot see to that.
    freezes: bool,
}

/// Hands the request to a copy of this process.
pub fn open(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    if request.as_slice().len() > MAX_PAYLOAD {
        return Err(Failure::INVALID); // no path is that long
    }
    let (ours, theirs) = sys::socket_pair()?;
    let freezes = request.number(tag::KIND)? == Some(u64::from(kind::ARCHIVE));
    if freezes {
        context.machine.cgroups.freeze();
    }
    // Its end is not waited for: it ends with its socket.
    sys::fork(move || serve(theirs))?;
    context.machine.poll.add(&ours, context.token(0))?;
    let hello = [&MAGIC[..], &VERSION.to_be_bytes(), &[0; NONCE_BYTES]].concat();
    let mut delegate = Delegate {
        id: context.id,
        socket: ours,
        outgoing: Vec::new(),
        decoder: Decoder::default(),
        ready: true,
        cancelled: false,
        freezes,
    };
    delegate.send(0, frame::HELLO, &hello);
    delegate.send(context.id, frame::OPEN, request.as_slice());
    Ok(Opened::Stream(Box::new(delegate)))
}

/// In the copy.
fn serve(socket: OwnedFd) -> i32 {
    let served = sys::keep_only(socket).and_then(|socket| Server::new(Port::Socket(socket), false, None)?.run());
    i32::from(served.is_err())
}

impl Delegate {
    fn send(&mut self, stream: u32, kind: u8, payload: &[u8]) {
        self.outgoing.extend_from_slice(&header(stream, kind, payload.len()));
        self.outgoing.extend_from_slice(payload);
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
        self.cancelled |= kind == frame::RESET;
        true
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.send(self.id, frame::RESET, &[]);
        self.cancelled = true;
        self.exchange();
    }

    fn release(&mut self, machine: &mut Machine) {
        if self.freezes {
            machine.cgroups.thaw();
        }
    }
}
