//! The replicated state machine: an etcd-style revisioned key-value store.
//!
//! [`Store`] is pure: commands in, responses out, the same on every node. It keeps every revision
//! of every key, so that reads of the past and [`Store::hash_kv`] work. What it answers, the texts
//! and codes of its refusals included, is what etcd 3.4 answers; the tests' tables say it in full.
//!
//! - `requests`: what clients ask for, a file for each call;
//! - `history`: every version of every key, and ranges over them;
//! - `session`: exactly-once retries (Raft dissertation, section 6.3).
//!
//! An empty store is at revision 1. Each command that changes a key makes one new revision, which
//! all changes of a transaction share; a command that changes nothing makes none.
//!
//! Leases, compaction and watches are not here: a lease that is named does not exist. Memory and
//! the cost of [`Store::hash_kv`] grow with the number of versions ever written.

mod error;
mod history;
mod requests;
mod session;

use std::fmt;

use bytes::Bytes;
use proto::{peer::Command, trace::Hash};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use self::{
    error::Error,
    requests::{OPERATIONS_MAX, Request, Response},
    session::{SESSION_ID_BYTES_MAX, SESSION_RESPONSE_BYTES_MAX, SESSIONS_MAX},
};
use self::{history::History, session::Sessions};

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The revision that the change made, with the other changes of its command.
    pub revision: i64,
    /// The key.
    pub key: Bytes,
    /// Its value from now on; none: it was deleted.
    pub value: Option<Bytes>,
}

/// `k1=7 at revision 12`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.escape_ascii();
        match &self.value {
            Some(value) => write!(f, "{key}={}", value.escape_ascii()),
            None => write!(f, "{key} deleted"),
        }?;
        write!(f, " at revision {}", self.revision)
    }
}

/// The store.
#[derive(Debug, Default)]
pub struct Store {
    history: History,
    sessions: Sessions,
    digest: u64,
    /// The changes of the command that is being applied, encoded for the digest. Kept between
    /// commands for its memory alone.
    effects: Vec<u8>,
}

impl Store {
    /// Applies a committed command. An error is as deterministic as a response and changes no key.
    ///
    /// A command with a session that was applied before is answered with the recorded result and
    /// changes nothing; see `session`.
    ///
    /// # Errors
    ///
    /// What [`Request::check`] finds, and what only the state can tell: [`Error::KeyNotFound`],
    /// [`Error::LeaseNotFound`], [`Error::FutureRevision`], and the errors of sessions.
    pub fn apply(&mut self, command: &Command) -> Result<Response, Error> {
        self.effects.clear();
        let result = match &command.session {
            None => self.execute(command),
            Some(session) => match self.sessions.find(session) {
                Ok(Some(recorded)) => {
                    self.sessions.touch(session, &mut self.effects);
                    recorded
                }
                Ok(None) => {
                    let result = self.execute(command);
                    self.sessions.record(session, result.clone(), &mut self.effects);
                    result
                }
                Err(refusal) => Err(refusal),
            },
        };
        self.digest = xxh3_64_with_seed(&self.effects, self.digest);
        result
    }

    /// Answers a request that writes nothing: a range, or a transaction of ranges.
    ///
    /// # Errors
    ///
    /// What [`Request::check`] finds, [`Error::FutureRevision`], and [`Error::NotARead`] for a
    /// request that writes.
    pub fn read(&self, request: &Request) -> Result<Response, Error> {
        request.check()?;
        if request.is_read() { request.read(&self.history) } else { Err(Error::NotARead) }
    }

    /// Notes changes from now on, for [`Store::take_changes`], or no more.
    pub fn note_changes(&mut self, noted: bool) {
        self.history.note_changes(noted);
    }

    /// The changes that were noted since the last call, in the order in which they were made.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.history.take_changes()
    }

    /// Every value that a key ever had, oldest first. A deletion has none.
    pub fn values(&self, key: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.history.values(key)
    }

    /// The latest revision; 1 for an empty store, as in etcd.
    pub fn revision(&self) -> i64 {
        self.history.revision()
    }

    /// Running digest of all changes ever applied (sessions included): equal on nodes that
    /// applied equal commands.
    pub fn digest(&self) -> Hash {
        Hash(self.digest)
    }

    /// Hash of all versions of all keys up to `revision` (0 or less: the latest), for
    /// `Maintenance.HashKV`. The same on every node and at every later time. Not etcd's function:
    /// compare it between nodes of ours only. Reads the whole store.
    ///
    /// # Errors
    ///
    /// [`Error::FutureRevision`].
    pub fn hash_kv(&self, revision: i64) -> Result<u32, Error> {
        self.history.hash(revision)
    }

    fn execute(&mut self, command: &Command) -> Result<Response, Error> {
        let result = match &command.request {
            Some(request) => requests::apply(request, &mut self.history, &mut self.effects),
            None => Err(Error::NoRequest),
        };
        self.history.commit();
        result
    }
}

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod test;
