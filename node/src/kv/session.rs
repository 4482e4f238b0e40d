//! Sessions: exactly-once retries (Raft dissertation, section 6.3).
//!
//! A client that does not know what became of a command sends it again under the same session id
//! and sequence number. The table remembers each session's last sequence number and result: the
//! same number again gets the recorded result, a smaller one is refused, a larger one is a new
//! command. A new session begins with sequence number 1, and has one command at a time under way.
//!
//! The table is bounded in sessions and in bytes of results. The session that was used least
//! recently, in the order of the log, is forgotten first. What that costs: the retry of a command
//! of a forgotten session is refused, which leaves its outcome unknown to the client, except that
//! the retry of a session's *first* command is taken for a new session and runs again. A client
//! that wants to exclude even that sends a harmless first command.

use std::collections::BTreeMap;

use proto::peer::Session;

use super::{Error, Response};

/// Sessions that the table holds.
pub const SESSIONS_MAX: usize = 10_000;
/// Bytes of results, encoded, that the table holds.
pub const SESSION_RESPONSE_BYTES_MAX: usize = 64 << 20;
/// Longest session id, in bytes.
pub const SESSION_ID_BYTES_MAX: usize = 128;

type Result = std::result::Result<Response, Error>;

#[derive(Debug)]
struct Entry {
    sequence: u64,
    result: Result,
    bytes: usize,
    /// When it was last used, on the table's own clock; names its place in `Sessions::by_use`.
    used: u64,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_id: BTreeMap<String, Entry>,
    by_use: BTreeMap<u64, String>,
    bytes: usize,
    /// Counts uses.
    clock: u64,
}

impl Sessions {
    /// The recorded result of a command, or none where it is new.
    pub(super) fn find(&self, session: &Session) -> std::result::Result<Option<Result>, Error> {
        let Session { id, sequence } = session;
        if id.is_empty() || id.len() > SESSION_ID_BYTES_MAX || *sequence == 0 {
            return Err(Error::InvalidSession);
        }
        match self.by_id.get(id) {
            Some(entry) if *sequence == entry.sequence => Ok(Some(entry.result.clone())),
            Some(entry) if *sequence < entry.sequence => {
                Err(Error::SessionAhead { sequence: *sequence, last: entry.sequence })
            }
            None if *sequence != 1 => Err(Error::SessionExpired),
            _ => Ok(None),
        }
    }

    /// Notes that a session was used.
    pub(super) fn touch(&mut self, session: &Session, effects: &mut Vec<u8>) {
        if let Some(entry) = self.by_id.get_mut(&session.id) {
            self.clock += 1;
            self.by_use.remove(&entry.used);
            entry.used = self.clock;
            self.by_use.insert(self.clock, session.id.clone());
        }
        encode(session, effects);
    }

    /// Records the result of a session's new command, and forgets what is too much.
    pub(super) fn record(&mut self, session: &Session, result: Result, effects: &mut Vec<u8>) {
        self.forget(&session.id);
        self.clock += 1;
        let bytes = bytes(&result);
        let entry = Entry { sequence: session.sequence, result, bytes, used: self.clock };
        self.by_use.insert(self.clock, session.id.clone());
        self.by_id.insert(session.id.clone(), entry);
        self.bytes += bytes;
        encode(session, effects);
        while self.by_id.len() > SESSIONS_MAX || self.bytes > SESSION_RESPONSE_BYTES_MAX {
            let Some((_, oldest)) = self.by_use.first_key_value() else { break };
            let oldest = oldest.clone();
            effects.extend_from_slice(oldest.as_bytes());
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, id: &str) {
        if let Some(entry) = self.by_id.remove(id) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

fn bytes(result: &Result) -> usize {
    result.as_ref().map_or(0, Response::encoded_len)
}

/// A session's canonical encoding, for the digest.
fn encode(session: &Session, into: &mut Vec<u8>) {
    into.extend_from_slice(&(session.id.len() as u64).to_le_bytes());
    into.extend_from_slice(session.id.as_bytes());
    into.extend_from_slice(&session.sequence.to_le_bytes());
}
