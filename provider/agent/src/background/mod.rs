//! Programs that belong to the machine and to no host: they are started under a name, go on whoever comes and leaves, and
//! are asked for later. The newest part of their output and how they ended are kept here, where snapshots keep them, too.

mod calls;
mod program;
mod ring;

pub use calls::{list, read, remove, signal, start};

use crate::protocol::{failure, MAX_STARTED};
use crate::stream::Machine;
use crate::sys::{self, Ended, Event};
use crate::tlv::Failure;
use program::Program;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct Background {
    /// In the order of their starts.
    programs: BTreeMap<u32, Program>,
    last: u32,
    /// Those that have something to do.
    work: BTreeSet<u32>,
    /// Those that ended without a pump: forgotten ones.
    gone: Vec<u32>,
}

impl Background {
    pub fn has_work(&self) -> bool {
        !self.work.is_empty() || !self.gone.is_empty()
    }

    pub fn deadline(&self) -> Option<u64> {
        self.programs.values().filter_map(Program::deadline).min()
    }

    pub fn event(&mut self, token: u64, event: Event) {
        let id = (token >> 8) as u32;
        if let Some(program) = self.programs.get_mut(&id) {
            program.event(token as u8, event);
            self.work.insert(id);
        }
    }

    /// True if the dead child was one of these, or ran one.
    pub fn exited(&mut self, pid: i32, ended: Ended) -> bool {
        let mut programs = self.programs.iter_mut();
        let owner = programs.find_map(|(id, program)| program.exited(pid, ended).then_some(*id));
        self.work.extend(owner);
        owner.is_some()
    }

    fn find(&self, name: &[u8]) -> Option<u32> {
        let named = |(_, program): &(&u32, &Program)| program.name == name && !program.removed;
        self.programs.iter().find(named).map(|(id, _)| *id)
    }

    /// Forgets the oldest that has ended if there is no room for another.
    fn make_room(&mut self) -> Result<(), Failure> {
        if self.programs.len() < MAX_STARTED {
            return Ok(());
        }
        let mut programs = self.programs.iter();
        let ended = programs.find(|(_, program)| program.has_ended()).map(|(id, _)| *id);
        let id = ended.ok_or(Failure {
            kind: failure::TOO_MANY,
            errno: 0,
        })?;
        self.programs.remove(&id);
        self.gone.push(id);
        Ok(())
    }

    /// Even, as the ids of a host's streams are: a copy of the agent is spoken to as by a host.
    fn next_id(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(2).max(2);
            if !self.programs.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    /// Those with something to do, and those whose time is over.
    fn due(&mut self) -> BTreeSet<u32> {
        let mut due = std::mem::take(&mut self.work);
        if self.deadline().is_some() {
            let now = sys::monotonic_ns();
            let expired = |program: &Program| program.deadline().map_or(false, |deadline| deadline <= now);
            due.extend(
                self.programs
                    .iter()
                    .filter(|(_, program)| expired(program))
                    .map(|(id, _)| *id),
            );
        }
        due
    }
}

/// Lets every program with something to do move one step. Returns those of which there is news.
pub fn pump(machine: &mut Machine) -> Vec<u32> {
    let mut news = std::mem::take(&mut machine.background.gone);
    for id in machine.background.due() {
        // Apart from the machine while it moves, which it moves in.
        let mut program = match machine.background.programs.remove(&id) {
            Some(program) => program,
            None => continue,
        };
        let step = program.step(id, machine);
        if step.has_news {
            news.push(id);
        }
        if program.removed && program.has_ended() {
            news.push(id);
            continue;
        }
        if step.again {
            machine.background.work.insert(id);
        }
        machine.background.programs.insert(id, program);
    }
    news
}

/// Ends them all; for an agent that ends without its machine.
pub fn end(machine: &mut Machine) {
    for mut program in std::mem::take(&mut machine.background.programs).into_values() {
        program.abandon(machine);
    }
}
