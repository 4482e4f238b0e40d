//! Requests and answers of etcd's `KV` as the history has them.
//!
//! Names are etcd's, in the words of `checker::model::etcd`. Whatever has its default is left out.
//! Bytes are texts in which each byte is the character of that number. Of a value longer than
//! [`LITERAL_MAX`] the history has length, hash and beginning.

use checker::history::generic::Datum;
use node::kv;
use proto::{
    etcd::{
        Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest,
        RangeResponse, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
        compare::{CompareResult, CompareTarget, TargetUnion},
        range_request::{SortOrder, SortTarget},
        request_op::Request,
        response_op::Response,
    },
    mvcc::KeyValue,
};
use xxhash_rust::xxh3::xxh3_64;

/// Longer values are named by their hash.
const LITERAL_MAX: usize = 64;
/// Bytes of a longer value that the history shows.
const START: usize = 16;

/// The name of a call.
pub(crate) fn function(request: &kv::Request) -> &'static str {
    match request {
        kv::Request::Put(_) => "put",
        kv::Request::Range(_) => "range",
        kv::Request::DeleteRange(_) => "delete-range",
        kv::Request::Txn(_) => "txn",
    }
}

/// A request.
pub(crate) fn request(request: &kv::Request) -> Datum {
    match request {
        kv::Request::Put(put) => put_request(put),
        kv::Request::Range(range) => range_request(range),
        kv::Request::DeleteRange(delete) => delete_request(delete),
        kv::Request::Txn(txn) => txn_request(txn),
    }
}

/// An answer.
pub(crate) fn response(response: &kv::Response) -> Datum {
    match response {
        kv::Response::Put(put) => put_response(put),
        kv::Response::Range(range) => range_response(range),
        kv::Response::DeleteRange(delete) => delete_response(delete),
        kv::Response::Txn(txn) => txn_response(txn),
    }
}

/// A map in the making. It leaves out what has its default.
#[derive(Default)]
struct Fields(Vec<(Datum, Datum)>);

impl Fields {
    fn with(mut self, name: &str, value: Datum) -> Self {
        self.0.push((Datum::Text(name.into()), value));
        self
    }

    fn unless_nil(self, name: &str, value: Datum) -> Self {
        if value.is_nil() { self } else { self.with(name, value) }
    }

    fn bytes(self, name: &str, value: &[u8]) -> Self {
        if value.is_empty() { self } else { self.with(name, bytes(value)) }
    }

    fn value(self, name: &str, value: &[u8]) -> Self {
        if value.is_empty() { self } else { self.with(name, long(value)) }
    }

    fn int(self, name: &str, value: i64) -> Self {
        if value == 0 { self } else { self.with(name, Datum::Int(value)) }
    }

    fn flag(self, name: &str, value: bool) -> Self {
        if value { self.with(name, Datum::Bool(true)) } else { self }
    }

    fn list(self, name: &str, members: Vec<Datum>) -> Self {
        if members.is_empty() { self } else { self.with(name, Datum::List(members)) }
    }

    fn header(self, header: Option<&ResponseHeader>) -> Self {
        self.int("revision", header.map_or(0, |header| header.revision))
    }

    fn map(mut self) -> Datum {
        self.0.sort_unstable();
        Datum::Map(self.0)
    }
}

fn bytes(value: &[u8]) -> Datum {
    Datum::Text(value.iter().map(|byte| char::from(*byte)).collect::<String>().into())
}

fn long(value: &[u8]) -> Datum {
    if value.len() <= LITERAL_MAX {
        return bytes(value);
    }
    Fields::default()
        .int("length", i64::try_from(value.len()).unwrap_or(i64::MAX))
        .with("hash", Datum::Text(format!("{:016x}", xxh3_64(value)).into()))
        .bytes("start", &value[..START])
        .map()
}

fn put_request(put: &PutRequest) -> Datum {
    Fields::default()
        .bytes("key", &put.key)
        .value("value", &put.value)
        .int("lease", put.lease)
        .flag("prev_kv", put.prev_kv)
        .flag("ignore_value", put.ignore_value)
        .flag("ignore_lease", put.ignore_lease)
        .map()
}

fn range_request(range: &RangeRequest) -> Datum {
    let order = match SortOrder::try_from(range.sort_order) {
        Ok(SortOrder::None) => Datum::Nil,
        Ok(SortOrder::Ascend) => Datum::Text("ascend".into()),
        Ok(SortOrder::Descend) => Datum::Text("descend".into()),
        Err(_) => Datum::Int(range.sort_order.into()),
    };
    let target = match SortTarget::try_from(range.sort_target) {
        Ok(SortTarget::Key) => Datum::Nil,
        Ok(SortTarget::Version) => Datum::Text("version".into()),
        Ok(SortTarget::Create) => Datum::Text("create".into()),
        Ok(SortTarget::Mod) => Datum::Text("mod".into()),
        Ok(SortTarget::Value) => Datum::Text("value".into()),
        Err(_) => Datum::Int(range.sort_target.into()),
    };
    Fields::default()
        .bytes("key", &range.key)
        .bytes("range_end", &range.range_end)
        .int("limit", range.limit)
        .int("revision", range.revision)
        .flag("serializable", range.serializable)
        .flag("keys_only", range.keys_only)
        .flag("count_only", range.count_only)
        .int("min_mod_revision", range.min_mod_revision)
        .int("max_mod_revision", range.max_mod_revision)
        .int("min_create_revision", range.min_create_revision)
        .int("max_create_revision", range.max_create_revision)
        .unless_nil("sort_order", order)
        .unless_nil("sort_target", target)
        .map()
}

fn delete_request(delete: &DeleteRangeRequest) -> Datum {
    Fields::default()
        .bytes("key", &delete.key)
        .bytes("range_end", &delete.range_end)
        .flag("prev_kv", delete.prev_kv)
        .map()
}

fn txn_request(txn: &TxnRequest) -> Datum {
    let branch = |operations: &[RequestOp]| operations.iter().map(operation).collect();
    Fields::default()
        .list("compare", txn.compare.iter().map(compare).collect())
        .list("success", branch(&txn.success))
        .list("failure", branch(&txn.failure))
        .map()
}

fn operation(operation: &RequestOp) -> Datum {
    let (name, request) = match &operation.request {
        Some(Request::RequestPut(put)) => ("put", put_request(put)),
        Some(Request::RequestRange(range)) => ("range", range_request(range)),
        Some(Request::RequestDeleteRange(delete)) => ("delete-range", delete_request(delete)),
        Some(Request::RequestTxn(txn)) => ("txn", txn_request(txn)),
        None => return Fields::default().map(),
    };
    Fields::default().with(name, request).map()
}

fn compare(compare: &Compare) -> Datum {
    let target = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Version) => Datum::Nil,
        Ok(CompareTarget::Create) => Datum::Text("create".into()),
        Ok(CompareTarget::Mod) => Datum::Text("mod".into()),
        Ok(CompareTarget::Value) => Datum::Text("value".into()),
        Ok(CompareTarget::Lease) => Datum::Text("lease".into()),
        Err(_) => Datum::Int(compare.target.into()),
    };
    let result = match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => Datum::Nil,
        Ok(CompareResult::Greater) => Datum::Text("greater".into()),
        Ok(CompareResult::Less) => Datum::Text("less".into()),
        Ok(CompareResult::NotEqual) => Datum::Text("not-equal".into()),
        Err(_) => Datum::Int(compare.result.into()),
    };
    let fields = Fields::default()
        .bytes("key", &compare.key)
        .bytes("range_end", &compare.range_end)
        .unless_nil("target", target)
        .unless_nil("result", result);
    let fields = match &compare.target_union {
        Some(TargetUnion::Value(value)) => fields.with("operand", long(value)),
        Some(
            TargetUnion::Version(number)
            | TargetUnion::CreateRevision(number)
            | TargetUnion::ModRevision(number)
            | TargetUnion::Lease(number),
        ) => fields.with("operand", Datum::Int(*number)),
        None => fields,
    };
    fields.map()
}

fn pair(pair: &KeyValue) -> Datum {
    Fields::default()
        .bytes("key", &pair.key)
        .value("value", &pair.value)
        .int("create", pair.create_revision)
        .int("mod", pair.mod_revision)
        .int("version", pair.version)
        .int("lease", pair.lease)
        .map()
}

fn put_response(put: &PutResponse) -> Datum {
    let fields = Fields::default().header(put.header.as_ref());
    match &put.prev_kv {
        Some(previous) => fields.with("prev_kv", pair(previous)),
        None => fields,
    }
    .map()
}

fn range_response(range: &RangeResponse) -> Datum {
    Fields::default()
        .header(range.header.as_ref())
        .list("kvs", range.kvs.iter().map(pair).collect())
        .flag("more", range.more)
        .int("count", range.count)
        .map()
}

fn delete_response(delete: &DeleteRangeResponse) -> Datum {
    Fields::default()
        .header(delete.header.as_ref())
        .int("deleted", delete.deleted)
        .list("prev_kvs", delete.prev_kvs.iter().map(pair).collect())
        .map()
}

fn txn_response(txn: &TxnResponse) -> Datum {
    Fields::default()
        .header(txn.header.as_ref())
        .flag("succeeded", txn.succeeded)
        .list("responses", txn.responses.iter().map(answer).collect())
        .map()
}

fn answer(answer: &ResponseOp) -> Datum {
    let (name, response) = match &answer.response {
        Some(Response::ResponsePut(put)) => ("put", put_response(put)),
        Some(Response::ResponseRange(range)) => ("range", range_response(range)),
        Some(Response::ResponseDeleteRange(delete)) => ("delete-range", delete_response(delete)),
        Some(Response::ResponseTxn(txn)) => ("txn", txn_response(txn)),
        None => return Fields::default().map(),
    };
    Fields::default().with(name, response).map()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(datum: &Datum) -> String {
        serde_json::to_string(datum).unwrap()
    }

    #[test]
    fn bytes_are_the_characters_of_their_numbers_and_defaults_are_left_out() {
        let put = PutRequest {
            key: [0, b'a', 0xff].to_vec().into(),
            value: b"v".to_vec().into(),
            prev_kv: true,
            ..PutRequest::default()
        };
        assert_eq!(
            json(&request(&kv::Request::Put(put))),
            "{\"key\":\"\\u0000a\u{ff}\",\"prev_kv\":true,\"value\":\"v\"}"
        );
        let range = RangeRequest { sort_order: 2, sort_target: 7, ..RangeRequest::default() };
        assert_eq!(
            json(&request(&kv::Request::Range(range))),
            r#"{"sort_order":"descend","sort_target":7}"#
        );
    }

    #[test]
    fn a_long_value_is_its_length_hash_and_beginning() {
        let value = vec![b'x'; 65];
        let hash = format!("{:016x}", xxh3_64(&value));
        assert_eq!(
            json(&long(&value)),
            format!(r#"{{"hash":"{hash}","length":65,"start":"xxxxxxxxxxxxxxxx"}}"#)
        );
        assert_eq!(json(&long(&value[..64])), format!("\"{}\"", "x".repeat(64)));
    }

    #[test]
    fn a_transaction_and_its_answer_read_aloud() {
        let key = bytes::Bytes::from_static(b"k");
        let get = RangeRequest { key: key.clone(), ..RangeRequest::default() };
        let put = PutRequest { key: key.clone(), ..PutRequest::default() };
        let op = |request| RequestOp { request: Some(request) };
        let nested =
            TxnRequest { success: vec![op(Request::RequestPut(put))], ..TxnRequest::default() };
        let txn = TxnRequest {
            compare: vec![Compare {
                result: CompareResult::Less.into(),
                target: CompareTarget::Mod.into(),
                key,
                target_union: Some(TargetUnion::ModRevision(0)),
                ..Compare::default()
            }],
            success: vec![op(Request::RequestRange(get))],
            failure: vec![op(Request::RequestTxn(nested))],
        };
        assert_eq!(
            json(&request(&kv::Request::Txn(txn))),
            r#"{"compare":[{"key":"k","operand":0,"result":"less","target":"mod"}],"#.to_owned()
                + r#""failure":[{"txn":{"success":[{"put":{"key":"k"}}]}}],"#
                + r#""success":[{"range":{"key":"k"}}]}"#
        );
        let header = Some(ResponseHeader { revision: 9, ..ResponseHeader::default() });
        let put = PutResponse { header, prev_kv: Some(KeyValue::default()) };
        let responses = vec![ResponseOp { response: Some(Response::ResponsePut(put)) }];
        let txn = TxnResponse { header, succeeded: true, responses };
        assert_eq!(
            json(&response(&kv::Response::Txn(txn))),
            r#"{"responses":[{"put":{"prev_kv":{},"revision":9}}],"revision":9,"succeeded":true}"#
        );
    }
}
