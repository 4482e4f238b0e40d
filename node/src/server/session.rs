//! Sessions for exactly-once retries, as gRPC metadata (Raft dissertation, section 6.3).
//!
//! A client that may send a command a second time, because it does not know what became of the
//! first, sends both with the same `raft-session-id` (text that no other client uses) and
//! `raft-session-sequence` (a number from 1 that grows by one with each new command).

use proto::peer::Session;
use tonic::{Status, metadata::MetadataMap};

use crate::kv::SESSION_ID_BYTES_MAX;

const ID: &str = "raft-session-id";
const SEQUENCE: &str = "raft-session-sequence";

/// The session of a request, if it has one.
///
/// # Errors
///
/// `INVALID_ARGUMENT` when only one of the two is there, or either is malformed.
pub(super) fn read(metadata: &MetadataMap) -> Result<Option<Session>, Status> {
    let (id, sequence) = match (metadata.get(ID), metadata.get(SEQUENCE)) {
        (None, None) => return Ok(None),
        (Some(id), Some(sequence)) => (id, sequence),
        _ => return Err(malformed(format!("{ID} and {SEQUENCE} must come together"))),
    };
    let id = id.to_str().unwrap_or_default();
    if id.is_empty() || id.len() > SESSION_ID_BYTES_MAX {
        return Err(malformed(format!(
            "{ID} must be 1 to {SESSION_ID_BYTES_MAX} ASCII characters"
        )));
    }
    match sequence.to_str().unwrap_or_default().parse() {
        Ok(sequence) if sequence > 0 => Ok(Some(Session { id: id.to_owned(), sequence })),
        _ => Err(malformed(format!("{SEQUENCE} must be a number from 1"))),
    }
}

fn malformed(why: String) -> Status {
    super::status::refused(Status::invalid_argument(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(id: Option<&str>, sequence: Option<&str>) -> Result<Option<Session>, tonic::Code> {
        let mut metadata = MetadataMap::new();
        for (key, value) in [(ID, id), (SEQUENCE, sequence)] {
            if let Some(value) = value {
                metadata.insert(key, value.parse().unwrap());
            }
        }
        read(&metadata).map_err(|status| status.code())
    }

    #[test]
    fn a_session_is_both_headers_or_none() {
        assert_eq!(parse(None, None), Ok(None));
        assert_eq!(
            parse(Some("c1"), Some("7")),
            Ok(Some(Session { id: "c1".into(), sequence: 7 }))
        );
        for (id, sequence) in [
            (Some("c1"), None),
            (None, Some("7")),
            (Some(""), Some("7")),
            (Some("c1"), Some("0")),
            (Some("c1"), Some("-1")),
            (Some("c1"), Some("x")),
            (Some("c1"), Some("18446744073709551616")),
            (Some("x".repeat(129).as_str()), Some("7")),
        ] {
            assert_eq!(parse(id, sequence), Err(tonic::Code::InvalidArgument), "{id:?}");
        }
    }
}
