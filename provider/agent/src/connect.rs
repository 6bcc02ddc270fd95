//! A TCP connection to a port in the guest as a stream: what port forwarding is made of.

use crate::pipes::{AtEnd, Moved, Sink, Source};
use crate::protocol::{frame, tag};
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::sys::{self, Event};
use crate::tlv::{Failure, Fields, Request};
use std::os::unix::io::OwnedFd;

enum Connection {
    /// The kernel is still shaking hands; `ready` once it has said how that went.
    Pending {
        socket: OwnedFd,
        ipv6: bool,
        ready: bool,
    },
    Open {
        source: Option<Source>,
        sink: Sink,
    },
}

struct Connect {
    port: u16,
    connection: Connection,
    cancelled: bool,
}

pub fn open(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let port = match request.number(tag::PORT)? {
        Some(port @ 1..=65535) => port as u16,
        _ => return Err(Failure::INVALID),
    };
    let connection = begin(port, false, context)?;
    Ok(Opened::Stream(Box::new(Connect {
        port,
        connection,
        cancelled: false,
    })))
}

fn begin(port: u16, ipv6: bool, context: &Context) -> Result<Connection, Failure> {
    let socket = sys::connect_loopback(port, ipv6)?;
    context.machine.poll.add(&socket, context.token(0))?;
    Ok(Connection::Pending {
        socket,
        ipv6,
        ready: false,
    })
}

/// The stream of a connection that stands already.
pub fn connected(socket: &OwnedFd, context: &mut Context) -> Result<Box<dyn Stream>, Failure> {
    Ok(Box::new(Connect {
        port: 0,
        connection: both_ways(socket, context)?,
        cancelled: false,
    }))
}

fn both_ways(socket: &OwnedFd, context: &mut Context) -> Result<Connection, Failure> {
    let copy = || socket.try_clone().map_err(Failure::from);
    let source = Some(Source::new(copy()?, 0, context)?);
    let sink = Sink::new(copy()?, AtEnd::ShutDown, context)?;
    Ok(Connection::Open { source, sink })
}

impl Connect {
    /// Moves from pending to open; a server that listens on `localhost` may have only ::1.
    fn advance(&mut self, context: &mut Context) -> Result<(), Failure> {
        let (socket, ipv6) = match &self.connection {
            Connection::Pending {
                socket,
                ipv6,
                ready: true,
            } => (socket, *ipv6),
            _ => return Ok(()),
        };
        match sys::socket_error(socket) {
            Err(_) if !ipv6 => self.connection = begin(self.port, true, context)?,
            Err(error) => return Err(error.into()),
            Ok(()) => {
                self.connection = both_ways(socket, context)?;
                context.out.frame(context.id, frame::OPENED, &[]);
            }
        }
        Ok(())
    }
}

impl Stream for Connect {
    fn pump(&mut self, context: &mut Context) -> Progress {
        if self.cancelled {
            context.end(&Fields::new());
            return Progress::Done;
        }
        if let Err(failure) = self.advance(context) {
            context.end(&failure.fields());
            return Progress::Done;
        }
        let (source, sink) = match &mut self.connection {
            Connection::Open { source, sink } => (source, sink),
            Connection::Pending { .. } => return Progress::Wait,
        };
        sink.pump(context);
        let moved = source.as_mut().map(|source| source.pump(context));
        if let Some(Moved::Ended) = moved {
            *source = None;
        }
        if source.is_none() && sink.is_closed() {
            context.end(&Fields::new());
            return Progress::Done;
        }
        match moved {
            Some(Moved::Bytes(_)) => Progress::Again,
            _ => Progress::Wait,
        }
    }

    fn event(&mut self, channel: u8, event: Event) {
        match &mut self.connection {
            Connection::Pending { ready, .. } => *ready |= event.writable,
            Connection::Open {
                source: Some(source), ..
            } if channel == 1 && event.readable => source.ready = true,
            Connection::Open { .. } => {}
        }
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.connection {
            Connection::Open { sink, .. } => sink.push(bytes),
            Connection::Pending { .. } => Err(Failure::INVALID),
        }
    }

    fn eof(&mut self) {
        if let Connection::Open { sink, .. } = &mut self.connection {
            sink.end();
        }
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.cancelled = true;
    }
}
