//! Sets: one key for each element, and a prefix for each set. The value of a key is its element.

use bytes::Bytes;
use checker::history::generic::Datum;
use node::kv::{self, Response};
use proto::etcd::{PutRequest, RangeRequest};
use tonic::Status;

use super::datum;
use crate::{
    client::codec,
    workload::{
        GARBAGE,
        set::{Action, Operation},
    },
};

/// The request of an operation.
pub(super) fn request(operation: &Operation) -> kv::Request {
    let set = &operation.set;
    match operation.action {
        Action::Add(element) => kv::Request::Put(PutRequest {
            key: Bytes::from(format!("set/{set}/{element}")),
            value: Bytes::from(element.to_string()),
            ..PutRequest::default()
        }),
        Action::Read => kv::Request::Range(RangeRequest {
            key: Bytes::from(format!("set/{set}/")),
            // The character after the slash.
            range_end: Bytes::from(format!("set/{set}0")),
            ..RangeRequest::default()
        }),
    }
}

/// What an answer says: of an add the element, of a read all elements by ascending keys.
pub(super) fn told(operation: &Operation, answer: &Response) -> Result<Datum, Status> {
    match (operation.action, answer) {
        (Action::Add(element), Response::Put(_)) => Ok(Datum::Int(element)),
        (Action::Read, Response::Range(range)) => {
            let element = |value: &[u8]| {
                let text = std::str::from_utf8(value).ok();
                text.and_then(|text| text.parse().ok()).unwrap_or(GARBAGE)
            };
            let elements = range.kvs.iter().map(|pair| datum(element(&pair.value)));
            Ok(Datum::List(elements.collect()))
        }
        _ => Err(codec::unasked()),
    }
}
