//! Operations of a history as the model takes them.

use super::{
    error::Refusal, mismatch::Mismatch, request::Request, response::Response, store::Store,
};
use crate::model::{Effect, Model};

/// A request, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// What was asked for.
    pub request: Request,
    /// What was answered.
    pub answer: Answer,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It was answered.
    Told(Response),
    /// It was refused, for a reason that can be judged.
    Refused(Refusal),
    /// Not known.
    Unknown,
}

/// What an operation did to the revision, by its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It made this revision.
    Wrote(i64),
    /// It changed nothing, when the store was at this revision.
    Saw(i64),
    /// It read the store as it was at this revision, perhaps long ago.
    SawOld(i64),
    /// It changed nothing, at a revision that no answer names: a refusal.
    Floats {
        /// The node's state may have been old.
        old: bool,
    },
    /// Nobody knows whether it did anything.
    Open,
    /// It changed the store, and the answer names no revision.
    Unplaced,
}

impl Request {
    /// Why it must be refused whatever the store holds, if so.
    pub fn malformed(&self) -> Option<Refusal> {
        super::check::check(self).err()
    }

    /// Whether it writes nothing, whatever the store holds.
    pub fn is_read(&self) -> bool {
        match self {
            Self::Range(_) => true,
            Self::Put(_) | Self::DeleteRange(_) => false,
            Self::Txn(txn) => txn.success.iter().chain(&txn.failure).all(Self::is_read),
        }
    }

    /// Whether an old state may be read: a range that says so, or a transaction of such ranges
    /// alone; so also, in etcd, a transaction of compares alone.
    pub fn is_serializable(&self) -> bool {
        let serializable =
            |request: &Self| matches!(request, Self::Range(range) if range.serializable);
        match self {
            Self::Txn(txn) => txn.success.iter().chain(&txn.failure).all(serializable),
            other => serializable(other),
        }
    }
}

impl Response {
    /// Whether something was changed, if it is true.
    fn changed(&self) -> bool {
        match self {
            Self::Put(_) => true,
            Self::Range(_) => false,
            Self::DeleteRange(response) => response.deleted > 0,
            Self::Txn(response) => response.responses.iter().any(Self::changed),
        }
    }
}

impl Operation {
    /// What it did to the revision, by its answer.
    pub fn step(&self) -> Step {
        let old = self.request.is_serializable();
        match &self.answer {
            Answer::Unknown => Step::Open,
            Answer::Refused(_) => Step::Floats { old },
            Answer::Told(response) => match response.revision() {
                ..=0 if !old && response.changed() => Step::Unplaced,
                ..=0 => Step::Floats { old },
                revision if old => Step::SawOld(revision),
                revision if response.changed() => Step::Wrote(revision),
                revision => Step::Saw(revision),
            },
        }
    }

    /// Whether a read, or what was refused, saw the store at a revision.
    pub fn saw(&self, store: &Store, revision: i64) -> bool {
        match &self.answer {
            Answer::Told(response) => store.read_at(&self.request, response, revision).is_ok(),
            Answer::Refused(refusal) => store.refuses(&self.request, *refusal, revision),
            Answer::Unknown => true,
        }
    }

    /// Executes it on the store.
    ///
    /// # Errors
    /// The store would have answered otherwise. It is not changed then.
    pub fn execute(&self, store: &mut Store) -> Result<(), Mismatch> {
        let now = store.revision();
        match &self.answer {
            Answer::Told(response) if self.request.is_serializable() => match response.revision() {
                0 if (1..=now).any(|at| self.saw(store, at)) => Ok(()),
                0 => store.read_at(&self.request, response, now),
                told if told < 1 || told > now => {
                    Err(Mismatch::Revision { expected: now, found: told })
                }
                told => store.read_at(&self.request, response, told),
            },
            Answer::Told(response) => store.execute(&self.request, Some(response)),
            Answer::Refused(refusal) => {
                let from = if self.request.is_serializable() { 1 } else { now };
                match (from..=now).any(|at| self.saw(store, at)) {
                    true => Ok(()),
                    false => Err(Mismatch::MustNotRefuse(*refusal)),
                }
            }
            // A request that is refused has been answered with silence.
            Answer::Unknown => {
                let _ = store.execute(&self.request, None);
                Ok(())
            }
        }
    }
}

/// The whole store as a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Etcd;

impl Model for Etcd {
    type State = Store;
    type Operation = Operation;

    fn initial(&self) -> Store {
        Store::default()
    }

    fn apply(&self, state: &Store, operation: &Operation) -> Option<Store> {
        let mut after = state.clone();
        self.advance(&mut after, operation).then_some(after)
    }

    fn advance(&self, state: &mut Store, operation: &Operation) -> bool {
        operation.execute(state).is_ok()
    }

    fn effect(&self, operation: &Operation) -> Effect {
        match operation.answer {
            Answer::Refused(_) => Effect::Observe,
            _ if operation.request.is_read() => Effect::Observe,
            _ => Effect::Update,
        }
    }

    fn heap(&self, state: &Store) -> usize {
        state.size()
    }
}
