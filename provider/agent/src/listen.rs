//! A port of the guest's loopback whose connections become streams to the host: the only way out of a sandbox.

use crate::connect;
use crate::protocol::{frame, tag};
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::sys::{self, Errno, Event};
use crate::tlv::{Failure, Fields, Request};
use std::os::unix::io::OwnedFd;

struct Listen {
    socket: OwnedFd,
    ready: bool,
    cancelled: bool,
}

/// Connections on their way from a listener to streams of their own.
pub struct Arrivals {
    /// Listener's stream, connection.
    pub sockets: Vec<(u32, OwnedFd)>,
    /// So many more may be taken; beyond, they wait in the kernel.
    pub room: usize,
}

pub fn open(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let port = match request.number(tag::PORT)? {
        Some(port @ 0..=65535) => port as u16,
        _ => return Err(Failure::INVALID),
    };
    let socket = sys::listen_loopback(port)?;
    context.machine.poll.add(&socket, context.token(0))?;
    let port = u64::from(sys::local_port(&socket)?);
    context
        .out
        .fields(context.id, frame::OPENED, &Fields::new().u64(tag::PORT, port));
    Ok(Opened::Stream(Box::new(Listen {
        socket,
        ready: true,
        cancelled: false,
    })))
}

/// The stream of an arrived connection, in a context of its own.
pub fn arrive(listener: u32, socket: OwnedFd, context: &mut Context) -> Result<Box<dyn Stream>, Failure> {
    let stream = connect::connected(&socket, context)?;
    let fields = Fields::new().u32(tag::LISTENER, listener);
    context.out.fields(context.id, frame::OPEN, &fields);
    Ok(stream)
}

impl Stream for Listen {
    fn pump(&mut self, context: &mut Context) -> Progress {
        if self.cancelled {
            context.end(&Fields::new());
            return Progress::Done;
        }
        if !self.ready || context.arrivals.room == 0 {
            return Progress::Wait; // when a connection ends, the session asks again
        }
        match sys::accept(&self.socket) {
            Ok(Some(socket)) => {
                context.arrivals.room -= 1;
                context.arrivals.sockets.push((context.id, socket));
                Progress::Again
            }
            Ok(None) => {
                self.ready = false;
                Progress::Wait
            }
            // It was reset while it waited; the next one may be fine.
            Err(Errno(libc::ECONNABORTED)) => Progress::Again,
            // No descriptor left: the next connection, or the end of one, tries again.
            Err(_) => Progress::Wait,
        }
    }

    fn event(&mut self, _channel: u8, event: Event) {
        self.ready |= event.readable;
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.cancelled = true;
    }
}
