//! What one connected host has going on: its streams, and which of them have something to do.

use crate::frames::Frame;
use crate::listen::{self, Arrivals};
use crate::outbox::Outbox;
use crate::protocol::{failure, frame, GUEST_WINDOW, MAX_ARRIVALS, MAX_REQUEST, MAX_STREAMS};
use crate::stream::{self, Context, Machine, Opened, Progress, Stream, EPOCH_SHIFT};
use crate::sys::{self, Ended, Event};
use crate::tlv::{Failure, Request};
use std::collections::{BTreeMap, VecDeque};
use std::os::unix::io::OwnedFd;

pub struct Session {
    pub nonce: [u8; 16],
    epoch: u32,
    streams: BTreeMap<u32, Slot>,
    /// Streams to pump, in turn.
    work: VecDeque<u32>,
    /// Requests of which only the first parts have come.
    parts: BTreeMap<u32, Vec<u8>>,
    arrivals: Arrivals,
    /// Of the next stream that the guest opens: odd.
    next_own: u32,
}

struct Slot {
    stream: Box<dyn Stream>,
    /// Of a connection that came to a listener.
    listener: Option<u32>,
    credit: [u32; 2],
    queued: bool,
}

impl Session {
    pub fn new(nonce: [u8; 16], epoch: u32) -> Self {
        Session {
            nonce,
            epoch,
            streams: BTreeMap::new(),
            work: VecDeque::new(),
            parts: BTreeMap::new(),
            arrivals: Arrivals {
                sockets: Vec::new(),
                room: MAX_ARRIVALS,
            },
            next_own: 1,
        }
    }

    pub fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    pub fn deadline(&self) -> Option<u64> {
        self.streams.values().filter_map(|slot| slot.stream.deadline()).min()
    }

    pub fn frame(&mut self, received: &Frame, out: &mut Outbox, machine: &mut Machine) {
        let (id, payload) = (received.stream, received.payload);
        let slot = self.streams.get_mut(&id);
        if slot.map_or(false, |slot| slot.stream.frame(id, received.kind, payload)) {
            self.queue(id);
            return;
        }
        match received.kind {
            frame::OPEN => self.open(id, payload, out, machine),
            frame::OPEN_PART => self.add_part(id, payload),
            frame::RESET => {
                self.parts.remove(&id);
                self.with(id, |slot| slot.stream.cancel(machine));
            }
            frame::DATA => self.with(id, |slot| {
                if slot.stream.data(payload).is_err() {
                    slot.stream.cancel(machine);
                }
            }),
            frame::EOF => self.with(id, |slot| slot.stream.eof()),
            frame::CREDIT => self.with(id, |slot| {
                if let [channel @ 0..=1, a, b, c, d] = *payload {
                    let credit = &mut slot.credit[channel as usize];
                    *credit = credit.saturating_add(u32::from_be_bytes([a, b, c, d]));
                }
            }),
            frame::CONTROL => self.with(id, |slot| {
                if let Ok(request) = Request::parse(payload) {
                    slot.stream.control(&request, machine);
                }
            }),
            _ => {} // of a later version
        }
    }

    pub fn owns(&self, token: u64) -> bool {
        (token >> EPOCH_SHIFT) as u32 == self.epoch
    }

    /// There is news of these background programs.
    pub fn tell(&mut self, programs: &[u32]) {
        let waits = |slot: &Slot| {
            slot.stream
                .follows()
                .map_or(false, |program| programs.contains(&program))
        };
        let waiting: Vec<u32> = self
            .streams
            .iter()
            .filter(|(_, slot)| waits(slot))
            .map(|(id, _)| *id)
            .collect();
        waiting.into_iter().for_each(|id| self.queue(id));
    }

    pub fn event(&mut self, token: u64, event: Event) {
        self.with((token >> 8) as u32, |slot| slot.stream.event(token as u8, event));
    }

    /// True if the dead child belonged to a stream.
    pub fn exited(&mut self, pid: i32, ended: Ended) -> bool {
        let owner = self
            .streams
            .iter_mut()
            .find_map(|(id, slot)| slot.stream.exited(pid, ended).then_some(*id));
        if let Some(id) = owner {
            self.queue(id);
        }
        owner.is_some()
    }

    /// Lets every stream with something to do move one step, while the port takes it. Deadlines do not wait for the
    /// port: a time limit holds also while the host takes nothing.
    pub fn pump(&mut self, out: &mut Outbox, machine: &mut Machine) {
        for id in self.expired() {
            self.step(id, out, machine);
        }
        for _ in 0..self.work.len() {
            if !out.has_room() {
                break;
            }
            if let Some(id) = self.work.pop_front() {
                if let Some(slot) = self.streams.get_mut(&id) {
                    slot.queued = false;
                }
                self.step(id, out, machine);
            }
        }
    }

    fn step(&mut self, id: u32, out: &mut Outbox, machine: &mut Machine) {
        let slot = match self.streams.get_mut(&id) {
            Some(slot) => slot,
            None => return,
        };
        let mut context = Context {
            id,
            epoch: self.epoch,
            out,
            credit: &mut slot.credit,
            arrivals: &mut self.arrivals,
            machine,
        };
        match slot.stream.pump(&mut context) {
            Progress::Again => self.queue(id),
            Progress::Wait => {}
            Progress::Done => {
                if let Some(mut slot) = self.streams.remove(&id) {
                    slot.stream.release(machine);
                    if let Some(listener) = slot.listener {
                        self.arrivals.room += 1;
                        self.queue(listener);
                    }
                }
            }
        }
        for (listener, socket) in std::mem::take(&mut self.arrivals.sockets) {
            self.arrive(listener, socket, out, machine);
        }
    }

    /// Opens a stream of our own for a connection.
    fn arrive(&mut self, listener: u32, socket: OwnedFd, out: &mut Outbox, machine: &mut Machine) {
        while self.streams.contains_key(&self.next_own) {
            self.next_own = self.next_own.wrapping_add(2);
        }
        let id = self.next_own;
        self.next_own = id.wrapping_add(2);
        let mut credit = [GUEST_WINDOW; 2];
        let mut context = Context {
            id,
            epoch: self.epoch,
            out,
            credit: &mut credit,
            arrivals: &mut self.arrivals,
            machine,
        };
        match listen::arrive(listener, socket, &mut context) {
            Ok(stream) => self.insert(id, stream, credit, Some(listener)),
            // Its program finds the connection closed.
            Err(_) => self.arrivals.room += 1,
        }
    }

    fn insert(&mut self, id: u32, stream: Box<dyn Stream>, credit: [u32; 2], listener: Option<u32>) {
        let slot = Slot {
            stream,
            listener,
            credit,
            queued: false,
        };
        self.streams.insert(id, slot);
        self.queue(id);
    }

    /// Ends all that runs for this host. What finished calls left in the background belongs to the machine and stays.
    pub fn end(&mut self, machine: &mut Machine) {
        for (_, slot) in std::mem::take(&mut self.streams) {
            end_slot(slot, machine);
        }
        self.work.clear();
        self.parts.clear();
    }

    /// Ends what cannot go on without this host, and leaves the rest for `pump_alone`; None if that is nothing.
    pub fn abandon(mut self, keep_programs: bool, machine: &mut Machine) -> Option<Session> {
        let (kept, ended): (Vec<_>, Vec<_>) = std::mem::take(&mut self.streams)
            .into_iter()
            .partition(|(_, slot)| keep_programs && slot.stream.is_program());
        ended.into_iter().for_each(|(_, slot)| end_slot(slot, machine));
        self.streams = kept.into_iter().collect();
        self.work.clear();
        self.parts.clear();
        for (id, slot) in &mut self.streams {
            slot.queued = true;
            self.work.push_back(*id);
        }
        Some(self).filter(|session| !session.streams.is_empty())
    }

    /// Moves on what was abandoned, and throws away what it has to say; false once it is over.
    pub fn pump_alone(&mut self, machine: &mut Machine) -> bool {
        for slot in self.streams.values_mut() {
            slot.credit = [u32::MAX; 2];
        }
        self.pump(&mut Outbox::default(), machine);
        !self.streams.is_empty()
    }

    fn open(&mut self, id: u32, payload: &[u8], out: &mut Outbox, machine: &mut Machine) {
        let mut bytes = self.parts.remove(&id).unwrap_or_default();
        bytes.extend_from_slice(payload);
        let mut credit = [GUEST_WINDOW; 2];
        let mut context = Context {
            id,
            epoch: self.epoch,
            out,
            credit: &mut credit,
            arrivals: &mut self.arrivals,
            machine,
        };
        let opened = if self.streams.len() >= MAX_STREAMS {
            Err(Failure {
                kind: failure::TOO_MANY,
                errno: 0,
            })
        } else if bytes.len() > MAX_REQUEST || id % 2 == 1 || self.streams.contains_key(&id) {
            Err(Failure::INVALID)
        } else {
            Request::parse(&bytes).and_then(|request| stream::open(&request, &mut context))
        };
        match opened {
            Ok(Opened::Reply(fields)) => context.end(&fields),
            Err(failure) => context.end(&failure.fields()),
            Ok(Opened::Stream(stream)) => self.insert(id, stream, credit, None),
        }
    }

    fn add_part(&mut self, id: u32, payload: &[u8]) {
        let held: usize = self.parts.values().map(Vec::len).sum();
        // Beyond the limit the part is dropped, and what is left will not parse.
        if held + payload.len() <= MAX_REQUEST {
            self.parts.entry(id).or_default().extend_from_slice(payload);
        }
    }

    fn with(&mut self, id: u32, action: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.streams.get_mut(&id) {
            action(slot);
            self.queue(id);
        }
    }

    fn queue(&mut self, id: u32) {
        if let Some(slot) = self.streams.get_mut(&id) {
            if !slot.queued {
                slot.queued = true;
                self.work.push_back(id);
            }
        }
    }

    fn expired(&self) -> Vec<u32> {
        if self.deadline().is_none() {
            return Vec::new();
        }
        let now = sys::monotonic_ns();
        let expired = |slot: &Slot| slot.stream.deadline().map_or(false, |deadline| deadline <= now);
        self.streams
            .iter()
            .filter(|(_, slot)| expired(slot))
            .map(|(id, _)| *id)
            .collect()
    }
}

fn end_slot(mut slot: Slot, machine: &mut Machine) {
    slot.stream.cancel(machine);
    slot.stream.release(machine);
}
