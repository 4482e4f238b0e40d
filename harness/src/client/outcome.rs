//! What a gRPC error says of the operation that it answers.
//!
//! A read changes nothing, so a failed read certainly had no effect, whatever the code. For a write
//! the question is whether the code can come from any place after the write was proposed. If in
//! doubt it can: a `fail` that was executed after all makes the checker report a bug that is not
//! there, an `info` that was not costs the checker only time.
//!
//! | code | a write | why |
//! |---|---|---|
//! | OK | – | an unfinished reply; `tonic` never gives it as an error, and it promises nothing |
//! | CANCELLED | unknown | the call was abandoned, perhaps after the node had proposed the write |
//! | UNKNOWN | unknown | also what a broken connection can look like |
//! | INVALID_ARGUMENT | none | the request is malformed; nodes check it before they propose it |
//! | DEADLINE_EXCEEDED | unknown | the time ended, not the write |
//! | NOT_FOUND | unknown | may be found out while applying; no request of ours gets it |
//! | ALREADY_EXISTS | unknown | as NOT_FOUND |
//! | PERMISSION_DENIED | none | refused at the door |
//! | RESOURCE_EXHAUSTED | unknown | "too many requests" comes before the proposal, but a full store or a too large reply after it |
//! | FAILED_PRECONDITION | unknown | a node may find it out while applying |
//! | ABORTED | unknown | says only that something was given up midway |
//! | OUT_OF_RANGE | unknown | the client's own library gives it for a reply that is too large: the write is done |
//! | UNIMPLEMENTED | none | no such method: nothing was called |
//! | INTERNAL | unknown | anything, a reply that cannot be decoded included |
//! | UNAVAILABLE | unknown | a refused connection and one that broke with the write on its way look alike |
//! | DATA_LOSS | unknown | the store is damaged: nothing is certain |
//! | UNAUTHENTICATED | none | refused at the door |
//!
//! Beside the code, this project's node says on each error in the metadata `raft-outcome` whether
//! the request had no effect (`none`) or may have (`unknown`); it sends `none` only where it never
//! proposed the write. That is more than a code can say (UNAVAILABLE for "no leader" is harmless),
//! and is believed of that system only.

use tonic::{Code, Status};

/// Metadata key by which this project's node says what became of a failed request.
pub const METADATA: &str = "raft-outcome";

/// What an operation may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Read,
    /// The store.
    Write,
}

/// What is known after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The operation certainly had no effect and never will: `fail`.
    None,
    /// It may take effect at any later time, or never: `info`.
    Unknown,
}

/// Sorts an error. `tells_outcome`: the system's `raft-outcome` is believed.
pub fn of(status: &Status, effect: Effect, tells_outcome: bool) -> Outcome {
    if effect == Effect::Read {
        return Outcome::None;
    }
    if tells_outcome {
        match status.metadata().get(METADATA).map(|value| value.as_bytes()) {
            Some(b"none") => return Outcome::None,
            Some(_) => return Outcome::Unknown,
            None => {}
        }
    }
    match status.code() {
        Code::InvalidArgument
        | Code::PermissionDenied
        | Code::Unimplemented
        | Code::Unauthenticated => Outcome::None,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Outcome::Unknown,
    }
}

/// The code's name in gRPC's own spelling.
pub fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code (gRPC numbers them 0 to 16) with what it means for a write.
    const TABLE: [(Code, Outcome); 17] = [
        (Code::Ok, Outcome::Unknown),
        (Code::Cancelled, Outcome::Unknown),
        (Code::Unknown, Outcome::Unknown),
        (Code::InvalidArgument, Outcome::None),
        (Code::DeadlineExceeded, Outcome::Unknown),
        (Code::NotFound, Outcome::Unknown),
        (Code::AlreadyExists, Outcome::Unknown),
        (Code::PermissionDenied, Outcome::None),
        (Code::ResourceExhausted, Outcome::Unknown),
        (Code::FailedPrecondition, Outcome::Unknown),
        (Code::Aborted, Outcome::Unknown),
        (Code::OutOfRange, Outcome::Unknown),
        (Code::Unimplemented, Outcome::None),
        (Code::Internal, Outcome::Unknown),
        (Code::Unavailable, Outcome::Unknown),
        (Code::DataLoss, Outcome::Unknown),
        (Code::Unauthenticated, Outcome::None),
    ];

    #[test]
    fn every_code_has_its_place_for_reads_and_writes() {
        for (number, (code, write)) in TABLE.into_iter().enumerate() {
            assert_eq!(code as usize, number, "the table has a gap");
            let status = Status::new(code, "");
            for tells_outcome in [false, true] {
                assert_eq!(of(&status, Effect::Write, tells_outcome), write, "{code:?}");
                assert_eq!(of(&status, Effect::Read, tells_outcome), Outcome::None, "{code:?}");
            }
        }
    }

    #[test]
    fn the_table_in_the_documentation_is_the_one_in_the_code() {
        let rows: Vec<Vec<&str>> = include_str!("outcome.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! | "))
            .map(|row| row.split(" | ").collect())
            .filter(|row: &Vec<&str>| row[0] != "code")
            .collect();
        assert_eq!(rows.len(), TABLE.len());
        for (row, (code, outcome)) in rows.iter().zip(TABLE) {
            assert_eq!(row[0], name(code));
            let said = match outcome {
                _ if code == Code::Ok => "–",
                Outcome::None => "none",
                Outcome::Unknown => "unknown",
            };
            assert_eq!(row[1], said, "{code:?}");
        }
    }

    #[test]
    fn the_node_s_own_word_is_believed_of_our_system_only() {
        for code in TABLE.map(|(code, _)| code) {
            for (word, outcome) in
                [("none", Outcome::None), ("unknown", Outcome::Unknown), ("?", Outcome::Unknown)]
            {
                let mut status = Status::new(code, "");
                status.metadata_mut().insert(METADATA, word.parse().unwrap());
                assert_eq!(of(&status, Effect::Write, true), outcome);
                let plain = of(&Status::new(code, ""), Effect::Write, false);
                assert_eq!(of(&status, Effect::Write, false), plain);
            }
        }
    }
}
