//! Errors as clients see them.
//!
//! Codes and texts are etcd's, so that its clients understand them. But etcd's codes leave open
//! what a test must know: whether a failed request may still take effect. So each error also
//! carries metadata `raft-outcome`: `none` (it certainly had and will have no effect) or `unknown`.
//!
//! | error | code | text | outcome |
//! |---|---|---|---|
//! | the store refuses the request | [`kv::Error::code`] | etcd's | none |
//! | a session forgot the command | `FAILED_PRECONDITION` | says so | unknown |
//! | bad session metadata | `INVALID_ARGUMENT` | says what | none |
//! | no leader, or it refused | `UNAVAILABLE` | `etcdserver: no leader` | none |
//! | a limit is reached | `RESOURCE_EXHAUSTED` | `etcdserver: too many requests` | none |
//! | no answer in time | `UNAVAILABLE` | `etcdserver: request timed out` | unknown |
//! | the node stops before it took the request | `UNAVAILABLE` | `etcdserver: server stopped` | none |
//! | the node stops before it has the answer | `UNAVAILABLE` | `etcdserver: server stopped` | unknown |
//! | larger than [`replica::Limits::request_bytes`] | `INVALID_ARGUMENT` | `etcdserver: request is too large` | none |
//! | larger by more than half a MiB | `RESOURCE_EXHAUSTED` | says so | none |
//! | a call that the node does not serve | `UNIMPLEMENTED` | | none |

use tonic::{
    Code, Status,
    codegen::http::{HeaderValue, Response},
    metadata::AsciiMetadataValue,
};

use crate::{kv, replica};

/// The metadata key of an error's outcome.
const OUTCOME: &str = "raft-outcome";

/// The status that a client gets for a replica's error, its `raft-outcome` included.
pub fn of(error: &replica::Error) -> Status {
    let text = error.to_string();
    match error {
        replica::Error::Store(why) if why.outcome_unknown() => {
            unknown(Status::new(why.code(), text))
        }
        replica::Error::Store(why) => refused(Status::new(why.code(), text)),
        replica::Error::NoLeader => refused(Status::unavailable(text)),
        replica::Error::TooManyRequests => refused(Status::resource_exhausted(text)),
        replica::Error::TooLarge => refused(Status::invalid_argument(text)),
        replica::Error::Timeout => unknown(Status::unavailable(text)),
    }
}

/// The node stops and certainly did not take the request.
pub(super) fn stopped_before() -> Status {
    refused(Status::unavailable("etcdserver: server stopped"))
}

/// The node stops and cannot say what becomes of the request.
pub(super) fn stopped_meanwhile() -> Status {
    unknown(Status::unavailable("etcdserver: server stopped"))
}

/// Says that the request certainly has no effect.
pub(super) fn refused(mut status: Status) -> Status {
    status.metadata_mut().insert(OUTCOME, AsciiMetadataValue::from_static("none"));
    status
}

/// Says that the request may or may not take effect.
pub(super) fn unknown(mut status: Status) -> Status {
    status.metadata_mut().insert(OUTCOME, AsciiMetadataValue::from_static("unknown"));
    status
}

/// The replica answered with something else than was asked for; it may well have done it.
pub(super) fn mismatched(asked: &str, answer: &kv::Response) -> Status {
    tracing::error!("asked for {asked}, the replica answered {answer:?}");
    unknown(Status::internal("the node answered with something else than was asked for"))
}

/// Amends what tonic answers by itself: a message that is too large to be decoded gets gRPC's usual
/// code, as in etcd, and that as well as a call that is not served says that it had no effect.
pub(super) fn amend<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let code = match headers.get(Status::GRPC_STATUS) {
        Some(value) => Code::from_bytes(value.as_bytes()),
        None => return response,
    };
    let too_large = code == Code::OutOfRange
        && headers.get(Status::GRPC_MESSAGE).is_some_and(|message| {
            message.to_str().is_ok_and(|text| text.contains("message%20length%20too%20large"))
        });
    if too_large {
        let code = HeaderValue::from(Code::ResourceExhausted as i32);
        headers.insert(Status::GRPC_STATUS, code);
    }
    if too_large || code == Code::Unimplemented {
        headers.insert(OUTCOME, HeaderValue::from_static("none"));
    }
    response
}
