//! Pairing: which completion belongs to which invocation, for events of any kind.

use rustc_hash::FxHashMap;

use super::{Kind, Value};

/// A rule of well-formed histories that an event breaks: the fault of whoever recorded it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Two operations of one process were open at once.
    #[error(
        "event {index}: process {process} invokes an operation while that of event {open} is open"
    )]
    Concurrent {
        /// The second invocation.
        index: u64,
        /// The process.
        process: u64,
        /// The first invocation.
        open: u64,
    },
    /// An operation ended that had not begun.
    #[error("event {index}: process {process} completes an operation that it has not invoked")]
    NotInvoked {
        /// The completion.
        index: u64,
        /// The process.
        process: u64,
    },
    /// A process went on after an unknown outcome, so two of its operations may overlap.
    #[error(
        "event {index}: process {process} is used again after the unknown outcome of event {unknown}"
    )]
    Reused {
        /// The second invocation.
        index: u64,
        /// The process.
        process: u64,
        /// The `info` event.
        unknown: u64,
    },
    /// Time ran backwards.
    #[error("event {index}: its time {time} ns is before that of the event before, {before} ns")]
    Backwards {
        /// The later event.
        index: u64,
        /// Its time.
        time: u64,
        /// The time of the event before.
        before: u64,
    },
    /// Indices are not 0, 1, 2, …
    #[error("event {expected} has index {index}: events are missing or out of order")]
    Gap {
        /// The index that stands there.
        index: u64,
        /// The index that should.
        expected: u64,
    },
    /// A completion names another function or key than its invocation.
    #[error(
        "event {index}: process {process} completes another operation than it invoked in event {open}"
    )]
    Different {
        /// The completion.
        index: u64,
        /// The process.
        process: u64,
        /// The invocation.
        open: u64,
    },
    /// A completion repeats another value than the operation was invoked with.
    #[error("event {index}: expected {asked}, as in event {open}, or nil, found {found}")]
    Repeated {
        /// The completion.
        index: u64,
        /// The invocation.
        open: u64,
        /// The value of the invocation.
        asked: String,
        /// That of the completion.
        found: String,
    },
    /// A value that the operation cannot have.
    #[error("event {index}: expected {expected}, found {found}")]
    Value {
        /// The event.
        index: u64,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: Value,
    },
}

/// What every event says, whatever its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position in the history.
    pub index: u64,
    /// When it was.
    pub time: u64,
    /// The logical client.
    pub process: u64,
    /// Invocation or kind of completion.
    pub kind: Kind,
}

/// What every operation says, whatever its model.
pub trait Request {
    /// Index of the invocation.
    fn index(&self) -> u64;
    /// The node that was asked, or that answered.
    fn node(&self) -> Option<&str>;
    /// Time of the invocation.
    fn call(&self) -> u64;
    /// Time of the answer, if it says that the operation took effect, or what it observed.
    fn answered(&self) -> Option<u64>;
    /// Whether it took effect.
    fn succeeded(&self) -> bool;
}

/// An event that opens or completes an operation.
pub(crate) trait Recorded {
    type Operation<'a>
    where
        Self: 'a;

    fn place(&self) -> Place;

    /// The operation that this event opens, its outcome unknown.
    fn invoke(&self) -> Result<Self::Operation<'_>, Malformed>;

    /// Tells `operation` how it ended; false where this event is of another function or key.
    fn complete<'a>(&'a self, operation: &mut Self::Operation<'a>) -> Result<bool, Malformed>;
}

/// What a process is at.
enum Process {
    /// Its last operation has ended.
    Idle,
    /// The operation at a position, invoked by an event.
    Open { position: usize, index: u64 },
    /// Nobody knows whether its last operation still takes effect: it may do nothing more.
    Unknown { index: u64 },
}

/// The operations of a history, in order of invocation.
pub(super) fn pair<E: Recorded>(history: &[E]) -> Result<Vec<E::Operation<'_>>, Malformed> {
    let mut operations = Vec::with_capacity(history.len() / 2);
    let mut processes: FxHashMap<u64, Process> = FxHashMap::default();
    let mut before = 0;
    for (expected, event) in (0..).zip(history) {
        let Place { index, time, process, kind } = event.place();
        if index != expected {
            return Err(Malformed::Gap { index, expected });
        }
        if time < before {
            return Err(Malformed::Backwards { index, time, before });
        }
        before = time;
        let state = processes.entry(process).or_insert(Process::Idle);
        *state = match (kind, &*state) {
            (Kind::Invoke, &Process::Open { index: open, .. }) => {
                return Err(Malformed::Concurrent { index, process, open });
            }
            (Kind::Invoke, &Process::Unknown { index: unknown }) => {
                return Err(Malformed::Reused { index, process, unknown });
            }
            (Kind::Invoke, Process::Idle) => {
                let position = operations.len();
                operations.push(event.invoke()?);
                Process::Open { position, index }
            }
            (Kind::Ok | Kind::Fail | Kind::Info, &Process::Open { position, index: open }) => {
                if !event.complete(&mut operations[position])? {
                    return Err(Malformed::Different { index, process, open });
                }
                if kind == Kind::Info { Process::Unknown { index } } else { Process::Idle }
            }
            (Kind::Ok | Kind::Fail | Kind::Info, _) => {
                return Err(Malformed::NotInvoked { index, process });
            }
        };
    }
    Ok(operations)
}
