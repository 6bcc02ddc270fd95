//! Volumes: directories whose files are the host's. The kernel's FUSE device asks, the host answers; the agent only
//! passes on both, as a stream. A mount outlives the host's connection: questions without an answer are kept, and asked
//! again of the host that comes next.

use crate::pipes::Taken;
use crate::protocol::{failure, frame, tag, GUEST_FRAME_BYTES, HEADER_BYTES};
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::sys::{self, Ended, Errno, Event, Io};
use crate::tlv::{Failure, Request};
use std::collections::{BTreeMap, VecDeque};
use std::os::unix::io::{AsRawFd, OwnedFd};
use std::rc::Rc;

/// Largest write that the kernel asks for at once.
const MAX_WRITE: usize = 128 * 1024;
/// A question or answer with all that can come with it.
const MAX_MESSAGE: usize = MAX_WRITE + 8 * 1024;
/// Questions that the kernel wants no answer to: FORGET, INTERRUPT, BATCH_FORGET. The host keeps no count of what the
/// kernel knows, and answers everything soon.
const UNANSWERED: [u32; 3] = [2, 36, 42];

/// A mounted volume that no stream serves now.
pub struct Mount {
    device: OwnedFd,
    /// Questions that the host has, or had when it left, by their number.
    asked: BTreeMap<u64, Rc<Vec<u8>>>,
}

struct Volume {
    name: Vec<u8>,
    /// None once it was given back to the machine.
    mount: Option<Mount>,
    state: State,
    /// On their way to the host; of the first one `sent` bytes are gone.
    outgoing: VecDeque<Rc<Vec<u8>>>,
    sent: usize,
    /// An answer that is not complete yet.
    incoming: Vec<u8>,
    taken: Taken,
    /// The device may have a question.
    ready: bool,
    /// The loop hears of questions, and the host that it is mounted.
    begun: bool,
}

enum State {
    /// By this process.
    Mounting(i32),
    Mounted,
    Failed(Errno),
    Cancelled,
}

/// Mounts the volume of that name, or takes up the one that is mounted.
pub fn open(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let name = request.get(tag::NAME).ok_or(Failure::INVALID)?.to_vec();
    let path = request.path(tag::PATH)?;
    let read_only = request.has(tag::READ_ONLY);
    let machine = &mut *context.machine;
    if let Some(mount) = machine.mounts.remove(&name) {
        let outgoing = mount.asked.values().cloned().collect();
        return Ok(Opened::Stream(Box::new(Volume::new(
            name,
            mount,
            State::Mounted,
            outgoing,
        ))));
    }
    if !machine.volumes.insert(name.clone()) {
        return Err(Errno(libc::EBUSY).into());
    }
    let begun = sys::open(b"/dev/fuse", libc::O_RDWR | libc::O_NONBLOCK)
        .and_then(|device| Ok((sys::fork(|| mount(&name, path, read_only, &device))?, device)));
    match begun {
        Ok((pid, device)) => {
            let mount = Mount {
                device,
                asked: BTreeMap::new(),
            };
            let volume = Volume::new(name, mount, State::Mounting(pid), VecDeque::new());
            Ok(Opened::Stream(Box::new(volume)))
        }
        Err(error) => {
            context.machine.volumes.remove(&name);
            Err(error.into())
        }
    }
}

/// In a copy of this process: the place may be in a volume. Returns 0 or an error number.
fn mount(name: &[u8], path: &[u8], read_only: bool, device: &OwnedFd) -> i32 {
    use std::os::unix::ffi::OsStrExt;
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,max_read={}",
        device.as_raw_fd(),
        MAX_WRITE
    );
    let flags = libc::MS_NODEV | libc::MS_NOSUID | if read_only { libc::MS_RDONLY } else { 0 };
    let place = std::ffi::OsStr::from_bytes(path);
    if let Err(Errno(libc::ENOTCONN)) = std::fs::metadata(place).map_err(Errno::from) {
        let _ = sys::unmount(path); // left by a mount that was broken off; if not, what follows fails
    }
    let made = std::fs::create_dir_all(place).map_err(Errno::from);
    match made.and_then(|()| sys::mount(name, path, b"fuse", flags, options.as_bytes())) {
        Ok(()) => 0,
        Err(Errno(error)) => error & 0xff,
    }
}

impl Volume {
    fn new(name: Vec<u8>, mount: Mount, state: State, outgoing: VecDeque<Rc<Vec<u8>>>) -> Self {
        Volume {
            name,
            mount: Some(mount),
            state,
            outgoing,
            sent: 0,
            incoming: Vec::new(),
            taken: Taken::default(),
            ready: true,
            begun: false,
        }
    }

    fn begin(&mut self, context: &mut Context) -> sys::Result<()> {
        if let (false, Some(mount)) = (self.begun, &self.mount) {
            // Not before it is mounted: until then the device tells nobody of anything.
            context.machine.poll.watch(&mount.device, context.token(0))?;
            context.out.frame(context.id, frame::OPENED, &[]);
            self.begun = true;
        }
        Ok(())
    }

    /// One step of questions to the host; false once the volume is no longer mounted.
    fn ask(&mut self, context: &mut Context) -> bool {
        let mount = match &mut self.mount {
            Some(mount) => mount,
            None => return false,
        };
        if self.outgoing.is_empty() && self.ready {
            let mut question = Vec::new();
            match sys::read_append(&mount.device, &mut question, MAX_MESSAGE) {
                Ok(Io::Bytes(_)) => match (number32(&question, 4), number64(&question, 8)) {
                    (Some(kind), Some(number)) if !UNANSWERED.contains(&kind) => {
                        let question = Rc::new(question);
                        mount.asked.insert(number, Rc::clone(&question));
                        self.outgoing.push_back(question);
                    }
                    _ => return true,
                },
                Ok(_) => self.ready = false,
                Err(Errno(libc::ENODEV)) => return false,
                // The asking program was interrupted meanwhile.
                Err(_) => return true,
            }
        }
        while let Some(question) = self.outgoing.front() {
            let left = &question[self.sent..];
            let count = left
                .len()
                .min(context.credit[0] as usize)
                .min(GUEST_FRAME_BYTES - HEADER_BYTES);
            if count == 0 || !context.out.has_room() {
                break;
            }
            context.out.frame(context.id, frame::DATA, &left[..count]);
            context.credit[0] -= count as u32;
            self.sent += count;
            if self.sent == question.len() {
                self.outgoing.pop_front();
                self.sent = 0;
            }
        }
        true
    }

    fn can_ask(&self, context: &Context) -> bool {
        (self.ready || !self.outgoing.is_empty()) && context.credit[0] > 0
    }
}

impl Stream for Volume {
    fn pump(&mut self, context: &mut Context) -> Progress {
        match self.state {
            State::Mounting(_) => return Progress::Wait,
            State::Failed(error) => {
                context.end(&Failure::from(error).fields());
                return Progress::Done;
            }
            State::Cancelled => {
                let kind = failure::CANCELLED;
                context.end(&Failure { kind, errno: 0 }.fields());
                return Progress::Done;
            }
            State::Mounted => {}
        }
        if let Err(error) = self.begin(context) {
            self.state = State::Failed(error);
            return Progress::Again;
        }
        self.taken.pump(context);
        if !self.ask(context) {
            self.state = State::Failed(Errno(libc::ENODEV));
            return Progress::Again;
        }
        if self.can_ask(context) {
            Progress::Again
        } else {
            Progress::Wait
        }
    }

    fn event(&mut self, _channel: u8, event: Event) {
        self.ready |= event.readable;
    }

    /// Answers: each begins with its length and goes to the device in one write.
    fn data(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.incoming.extend_from_slice(bytes);
        self.taken.add(bytes.len());
        let mount = self.mount.as_mut().ok_or(Failure::INVALID)?;
        let mut start = 0;
        while let Some(length) = number32(&self.incoming, start) {
            let length = length as usize;
            if !(16..=MAX_MESSAGE).contains(&length) {
                return Err(Failure::INVALID);
            }
            let answer = match self.incoming.get(start..start + length) {
                Some(answer) => answer,
                None => break,
            };
            if let Some(number) = number64(answer, 8) {
                mount.asked.remove(&number);
            }
            let _ = sys::write(&mount.device, answer); // refused if nobody waits for it any more
            start += length;
        }
        self.incoming.drain(..start);
        Ok(())
    }

    fn exited(&mut self, pid: i32, ended: Ended) -> bool {
        match self.state {
            State::Mounting(mounting) if mounting == pid => {
                self.state = match ended {
                    Ended::Exited(0) => State::Mounted,
                    Ended::Exited(error) => State::Failed(Errno(error)),
                    Ended::Signaled(_) => State::Failed(Errno(libc::EINTR)),
                };
                true
            }
            _ => false,
        }
    }

    fn cancel(&mut self, _machine: &Machine) {
        // A mount stays for the next host; only one that is not there yet is given up.
        match self.state {
            State::Mounting(pid) => {
                let _ = sys::kill(pid, libc::SIGKILL); // it may have ended
                self.state = State::Failed(Errno(libc::EINTR));
            }
            State::Mounted => self.state = State::Cancelled,
            State::Failed(_) | State::Cancelled => {}
        }
    }

    fn release(&mut self, machine: &mut Machine) {
        match (&self.state, self.mount.take()) {
            (State::Failed(_), _) | (_, None) => {
                machine.volumes.remove(&self.name);
            }
            (_, Some(mount)) => {
                machine.mounts.insert(std::mem::take(&mut self.name), mount);
            }
        }
    }
}

/// The kernel's numbers are in its own byte order.
fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn number64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
