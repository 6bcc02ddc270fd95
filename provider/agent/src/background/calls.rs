//! The host's calls about programs in the background. Each answers in one END; two of them when there is news.

use super::program::{Program, State};
use crate::protocol::{failure, tag};
use crate::stream::{Context, Machine, Opened, Progress, Stream};
use crate::tlv::{Failure, Fields, Request};

/// Of output in one answer, which has to fit into a frame with what is told of the program.
const ANSWER_BYTES: usize = 24 * 1024;
const MAX_NAME_BYTES: usize = 64;

const UNKNOWN: Failure = Failure {
    kind: failure::UNKNOWN_PROGRAM,
    errno: 0,
};
const CANCELLED: Failure = Failure {
    kind: failure::CANCELLED,
    errno: 0,
};

fn name<'a>(request: &Request<'a>) -> Result<&'a [u8], Failure> {
    let name = request.get(tag::NAME).ok_or(Failure::INVALID)?;
    if (1..=MAX_NAME_BYTES).contains(&name.len()) {
        Ok(name)
    } else {
        Err(Failure::INVALID)
    }
}

fn find(request: &Request, machine: &Machine) -> Result<u32, Failure> {
    machine.background.find(name(request)?).ok_or(UNKNOWN)
}

/// Starts a program, unless there is one of that name: whoever lost the answer may ask again.
pub fn start(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let name = name(request)?;
    let machine = &mut *context.machine;
    if let Some(program) = machine.background.find(name) {
        return Ok(waiting(program, For::Start));
    }
    machine.background.make_room()?;
    let id = machine.background.next_id();
    let program = Program::start(id, name, request, machine)?;
    machine.background.programs.insert(id, program);
    machine.background.work.insert(id);
    Ok(waiting(id, For::Start))
}

pub fn list(context: &mut Context) -> Opened {
    let programs = context.machine.background.programs.values();
    let shown = programs.filter(|program| !program.removed && !matches!(program.state, State::NotStarted(_)));
    Opened::Reply(shown.fold(Fields::new(), |fields, program| {
        fields.bytes(tag::ENTRY, program.describe().as_slice())
    }))
}

/// Output from a place on, and what became of the program.
pub fn read(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let program = find(request, context.machine)?;
    let from = request.number(tag::OFFSET)?.unwrap_or(0);
    let wait = request.has(tag::WAIT);
    Ok(waiting(program, For::Output { from, wait }))
}

/// Signals the whole tree; nothing happens to one that has ended.
pub fn signal(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let id = find(request, context.machine)?;
    request.number(tag::SIGNAL)?.ok_or(Failure::INVALID)?;
    if let Some(mut program) = context.machine.background.programs.remove(&id) {
        program.control(id, request, context.machine);
        context.machine.background.programs.insert(id, program);
        context.machine.background.work.insert(id);
    }
    Ok(Opened::Reply(Fields::new()))
}

/// Kills the whole tree, forgets the program, and answers when both is done.
pub fn remove(request: &Request, context: &mut Context) -> Result<Opened, Failure> {
    let id = find(request, context.machine)?;
    if let Some(mut program) = context.machine.background.programs.remove(&id) {
        program.remove(context.machine);
        if !program.has_ended() {
            context.machine.background.programs.insert(id, program);
            context.machine.background.work.insert(id);
        }
    }
    Ok(waiting(id, For::End))
}

fn waiting(program: u32, wanted: For) -> Opened {
    Opened::Stream(Box::new(Waiting {
        program,
        wanted,
        cancelled: false,
    }))
}

/// A call whose answer may have to be waited for.
struct Waiting {
    program: u32,
    wanted: For,
    cancelled: bool,
}

enum For {
    Start,
    Output { from: u64, wait: bool },
    End,
}

impl Waiting {
    /// None while there is nothing to answer yet.
    fn answer(&self, machine: &mut Machine) -> Option<Result<Fields, Failure>> {
        let program = match machine.background.programs.get(&self.program) {
            Some(program) => program,
            None if matches!(self.wanted, For::End) => return Some(Ok(Fields::new())),
            None => return Some(Err(UNKNOWN)),
        };
        match (&self.wanted, &program.state) {
            (For::End, _) | (_, State::Starting) => None,
            (_, State::NotStarted(why)) => {
                let why = Fields::new().append(why);
                machine.background.programs.remove(&self.program);
                Some(Ok(why))
            }
            (For::Start, _) => Some(Ok(program.describe())),
            (For::Output { from, .. }, _) if *from > program.ring.end() => Some(Err(Failure::INVALID)),
            (For::Output { from, wait }, _) => {
                let has_news = program.ring.end() > *from || program.has_ended();
                (has_news || !wait).then(|| Ok(output(program, *from)))
            }
        }
    }
}

fn output(program: &Program, from: u64) -> Fields {
    let (place, pieces) = program.ring.read(from, ANSWER_BYTES);
    let fields = Fields::new().u64(tag::LENGTH, place);
    let fields = pieces.iter().fold(fields, |fields, (channel, bytes)| {
        let output = if *channel == 0 { tag::OUTPUT } else { tag::ERROR_OUTPUT };
        fields.bytes(output, bytes)
    });
    fields.append(program.describe().as_slice())
}

impl Stream for Waiting {
    fn pump(&mut self, context: &mut Context) -> Progress {
        let answer = match self.answer(context.machine) {
            Some(answer) => answer,
            None if self.cancelled => Err(CANCELLED),
            None => return Progress::Wait,
        };
        match answer {
            Ok(fields) => context.end(&fields),
            Err(failure) => context.end(&failure.fields()),
        }
        Progress::Done
    }

    fn follows(&self) -> Option<u32> {
        Some(self.program)
    }

    fn cancel(&mut self, _machine: &Machine) {
        self.cancelled = true;
    }
}
