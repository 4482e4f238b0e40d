//! What etcd 3.4 answers, case by case.

use bytes::Bytes;
use proto::{
    etcd::{
        self, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp,
        TxnRequest, TxnResponse,
        compare::{CompareResult as Is, CompareTarget as Of, TargetUnion},
        range_request::{SortOrder, SortTarget},
        request_op::Request as Op,
        response_op,
    },
    peer::{Session, command},
};
use tonic::Code;

use super::*;

fn command(request: command::Request) -> Command {
    Command { id: None, request: Some(request), session: None }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: bytes(key), value: bytes(value), ..Default::default() }
}

fn delete(key: &str, range_end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { key: bytes(key), range_end: bytes(range_end), prev_kv: true }
}

fn range(key: &str, range_end: &str) -> RangeRequest {
    RangeRequest { key: bytes(key), range_end: bytes(range_end), ..Default::default() }
}

fn op(request: Op) -> RequestOp {
    RequestOp { request: Some(request) }
}

fn nested(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
    op(Op::RequestTxn(TxnRequest { compare: vec![], success, failure }))
}

fn op_put(key: &str, value: &str) -> RequestOp {
    op(Op::RequestPut(put(key, value)))
}

fn op_delete(key: &str, range_end: &str) -> RequestOp {
    op(Op::RequestDeleteRange(delete(key, range_end)))
}

fn op_range(key: &str) -> RequestOp {
    op(Op::RequestRange(range(key, "")))
}

fn txn(success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { compare: vec![], success, failure: vec![] }
}

fn apply_put(store: &mut Store, put: PutRequest) -> Result<etcd::PutResponse, Error> {
    match store.apply(&command(command::Request::Put(put)))? {
        Response::Put(response) => Ok(response),
        other => panic!("{other:?}"),
    }
}

fn apply_delete(store: &mut Store, delete: DeleteRangeRequest) -> etcd::DeleteRangeResponse {
    match store.apply(&command(command::Request::DeleteRange(delete))) {
        Ok(Response::DeleteRange(response)) => response,
        other => panic!("{other:?}"),
    }
}

fn apply_txn(store: &mut Store, txn: TxnRequest) -> Result<TxnResponse, Error> {
    match store.apply(&command(command::Request::Txn(txn)))? {
        Response::Txn(response) => Ok(response),
        other => panic!("{other:?}"),
    }
}

fn read(store: &Store, range: RangeRequest) -> Result<RangeResponse, Error> {
    match store.read(&Request::Range(range))? {
        Response::Range(response) => Ok(response),
        other => panic!("{other:?}"),
    }
}

/// `key=value@create/mod/version` of each pair.
fn show(response: &RangeResponse) -> String {
    let pairs = response.kvs.iter().map(|pair| {
        format!(
            "{}={}@{}/{}/{}",
            String::from_utf8_lossy(&pair.key),
            String::from_utf8_lossy(&pair.value),
            pair.create_revision,
            pair.mod_revision,
            pair.version
        )
    });
    let more = if response.more { " more" } else { "" };
    format!("[{}] of {}{more}", pairs.collect::<Vec<_>>().join(" "), response.count)
}

fn revision(header: &Option<etcd::ResponseHeader>) -> i64 {
    header.as_ref().unwrap().revision
}

/// a=1 (2), b=2 (3), c=3 (4), a=4 (5), b deleted (6), d=0 (7).
fn sample() -> Store {
    let mut store = Store::default();
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")] {
        apply_put(&mut store, put(key, value)).unwrap();
    }
    apply_delete(&mut store, delete("b", ""));
    apply_put(&mut store, put("d", "0")).unwrap();
    store
}

#[test]
fn an_empty_store_is_at_revision_1() {
    let store = Store::default();
    assert_eq!(store.revision(), 1);
    let response = read(&store, range("a", "")).unwrap();
    assert_eq!((show(&response).as_str(), revision(&response.header)), ("[] of 0", 1));
}

#[test]
fn revisions_and_versions() {
    let mut store = Store::default();
    let response = apply_put(&mut store, put("k", "1")).unwrap();
    assert_eq!((revision(&response.header), response.prev_kv), (2, None));
    apply_put(&mut store, put("k", "2")).unwrap();
    assert_eq!(show(&read(&store, range("k", "")).unwrap()), "[k=2@2/3/2] of 1");
    let response = apply_delete(&mut store, delete("k", ""));
    assert_eq!((revision(&response.header), response.deleted), (4, 1));
    assert_eq!(response.prev_kvs[0].value, bytes("2"));
    // Deleting nothing makes no revision.
    let response = apply_delete(&mut store, delete("k", ""));
    assert_eq!((revision(&response.header), response.deleted), (4, 0));
    assert_eq!(response.prev_kvs, []);
    // A key that comes back starts anew.
    let response = apply_put(&mut store, PutRequest { prev_kv: true, ..put("k", "3") }).unwrap();
    assert_eq!(response.prev_kv, None);
    assert_eq!(show(&read(&store, range("k", "")).unwrap()), "[k=3@5/5/1] of 1");
    let response = apply_put(&mut store, PutRequest { prev_kv: true, ..put("k", "4") }).unwrap();
    assert_eq!(response.prev_kv.unwrap().value, bytes("3"));
}

#[test]
fn ranges() {
    let store = sample();
    let all = || range("a", "\0");
    let sorted = |order: SortOrder, target: SortTarget| RangeRequest {
        sort_order: order as i32,
        sort_target: target as i32,
        ..all()
    };
    let table = [
        (range("a", ""), "[a=4@2/5/2] of 1"),
        (range("b", ""), "[] of 0"),
        (all(), "[a=4@2/5/2 c=3@4/4/1 d=0@7/7/1] of 3"),
        (range("\0", "\0"), "[a=4@2/5/2 c=3@4/4/1 d=0@7/7/1] of 3"),
        (range("a", "d"), "[a=4@2/5/2 c=3@4/4/1] of 2"),
        (range("b", "\0"), "[c=3@4/4/1 d=0@7/7/1] of 2"),
        (range("d", "a"), "[] of 0"),
        (range("a", "a"), "[] of 0"),
        (RangeRequest { limit: 2, ..all() }, "[a=4@2/5/2 c=3@4/4/1] of 3 more"),
        (RangeRequest { limit: 3, ..all() }, "[a=4@2/5/2 c=3@4/4/1 d=0@7/7/1] of 3"),
        (RangeRequest { limit: -1, ..all() }, "[a=4@2/5/2 c=3@4/4/1 d=0@7/7/1] of 3"),
        (RangeRequest { limit: i64::MAX, ..range("d", "") }, "[d=0@7/7/1] of 1"),
        (RangeRequest { count_only: true, limit: 1, ..all() }, "[] of 3"),
        (RangeRequest { keys_only: true, ..range("c", "") }, "[c=@4/4/1] of 1"),
        (RangeRequest { revision: 1, ..all() }, "[] of 0"),
        (RangeRequest { revision: 3, ..all() }, "[a=1@2/2/1 b=2@3/3/1] of 2"),
        (RangeRequest { revision: 5, ..all() }, "[a=4@2/5/2 b=2@3/3/1 c=3@4/4/1] of 3"),
        (RangeRequest { revision: 6, ..all() }, "[a=4@2/5/2 c=3@4/4/1] of 2"),
        (RangeRequest { revision: -7, ..range("d", "") }, "[d=0@7/7/1] of 1"),
        (RangeRequest { serializable: true, ..range("d", "") }, "[d=0@7/7/1] of 1"),
        // Filters and limits leave the count alone.
        (RangeRequest { min_mod_revision: 5, ..all() }, "[a=4@2/5/2 d=0@7/7/1] of 3"),
        (RangeRequest { max_mod_revision: 5, ..all() }, "[a=4@2/5/2 c=3@4/4/1] of 3"),
        (RangeRequest { min_create_revision: 3, limit: 1, ..all() }, "[c=3@4/4/1] of 3 more"),
        (RangeRequest { max_create_revision: 2, ..all() }, "[a=4@2/5/2] of 3"),
        (sorted(SortOrder::Descend, SortTarget::Key), "[d=0@7/7/1 c=3@4/4/1 a=4@2/5/2] of 3"),
        (sorted(SortOrder::Ascend, SortTarget::Mod), "[c=3@4/4/1 a=4@2/5/2 d=0@7/7/1] of 3"),
        (sorted(SortOrder::Descend, SortTarget::Create), "[d=0@7/7/1 c=3@4/4/1 a=4@2/5/2] of 3"),
        (sorted(SortOrder::Ascend, SortTarget::Value), "[d=0@7/7/1 c=3@4/4/1 a=4@2/5/2] of 3"),
        (sorted(SortOrder::Descend, SortTarget::Version), "[a=4@2/5/2 c=3@4/4/1 d=0@7/7/1] of 3"),
        // A target without an order ascends; with a limit, it sorts what the limit lets it see.
        (
            RangeRequest { limit: 1, ..sorted(SortOrder::None, SortTarget::Value) },
            "[c=3@4/4/1] of 3 more",
        ),
        (sorted(SortOrder::None, SortTarget::Value), "[d=0@7/7/1 c=3@4/4/1 a=4@2/5/2] of 3"),
        (
            RangeRequest { limit: 1, ..sorted(SortOrder::Descend, SortTarget::Key) },
            "[d=0@7/7/1] of 3 more",
        ),
    ];
    for (request, expected) in table {
        let response = read(&store, request.clone()).unwrap();
        assert_eq!(show(&response), expected, "{request:?}");
        assert_eq!(revision(&response.header), 7, "the header tells the latest revision");
    }
}

#[test]
fn refusals_have_etcds_texts_and_codes_and_change_nothing() {
    let lease = |lease| PutRequest { lease, ..put("k", "v") };
    let future = || RangeRequest { revision: 8, ..range("a", "") };
    let many =
        |operation: &dyn Fn(usize) -> RequestOp| txn((0..=OPERATIONS_MAX).map(operation).collect());
    let unsorted = |order, target| {
        Request::Range(RangeRequest { sort_order: order, sort_target: target, ..range("a", "") })
    };
    let txn_of = |operations| Request::Txn(txn(operations));
    let empty_compare = TxnRequest { compare: vec![Compare::default()], ..Default::default() };
    let (empty, none) = ("etcdserver: key is not provided", "etcdserver: key not found");
    let duplicate = "etcdserver: duplicate key given in txn request";
    let too_many = "etcdserver: too many operations in txn request";
    let unsortable = "etcdserver: invalid sort option";
    let is_future = "etcdserver: mvcc: required revision is a future revision";
    let no_lease = "etcdserver: requested lease not found";
    let invalid = Code::InvalidArgument;
    let table = [
        (Request::Range(range("", "x")), empty, invalid),
        (Request::Put(put("", "v")), empty, invalid),
        (Request::DeleteRange(delete("", "")), empty, invalid),
        (Request::Txn(empty_compare), empty, invalid),
        (txn_of(vec![op_put("", "v")]), empty, invalid),
        (txn_of(vec![nested(vec![], vec![op_range("")])]), empty, invalid),
        (txn_of(vec![RequestOp { request: None }]), none, invalid),
        (Request::Put(PutRequest { ignore_value: true, ..put("b", "") }), none, invalid),
        (Request::Put(PutRequest { ignore_lease: true, ..put("b", "") }), none, invalid),
        (
            Request::Put(PutRequest { ignore_value: true, ..put("a", "v") }),
            "etcdserver: value is provided",
            invalid,
        ),
        (
            Request::Put(PutRequest { ignore_lease: true, ..lease(7) }),
            "etcdserver: lease is provided",
            invalid,
        ),
        (Request::Put(lease(7)), no_lease, Code::NotFound),
        (unsorted(3, 0), unsortable, invalid),
        (unsorted(0, -1), unsortable, invalid),
        (Request::Range(future()), is_future, Code::OutOfRange),
        // What fails in a transaction fails before its first write.
        (txn_of(vec![op_put("x", "1"), op(Op::RequestPut(lease(7)))]), no_lease, Code::NotFound),
        (
            txn_of(vec![op_put("x", "1"), op(Op::RequestRange(future()))]),
            is_future,
            Code::OutOfRange,
        ),
        (Request::Txn(many(&|_| op_range("a"))), too_many, invalid),
        // A nested transaction has what its parent leaves over.
        (
            Request::Txn(txn((0..100)
                .map(|_| nested((0..29).map(|_| op_range("a")).collect(), vec![]))
                .collect())),
            too_many,
            invalid,
        ),
        (txn_of(vec![op_put("k", "1"), op_put("k", "2")]), duplicate, invalid),
        (txn_of(vec![op_put("k", "1"), op_delete("a", "z")]), duplicate, invalid),
        (txn_of(vec![op_put("k", "1"), op_delete("a", "\0")]), duplicate, invalid),
        (
            txn_of(vec![op_put("k", "1"), nested(vec![], vec![op_put("k", "2")])]),
            duplicate,
            invalid,
        ),
        (
            txn_of(vec![
                nested(vec![op_put("k", "")], vec![]),
                nested(vec![op_put("k", "")], vec![]),
            ]),
            duplicate,
            invalid,
        ),
        (
            txn_of(vec![
                nested(vec![op_delete("k", "")], vec![]),
                nested(vec![], vec![op_put("k", "")]),
            ]),
            duplicate,
            invalid,
        ),
    ];
    for (request, text, code) in table {
        let mut store = sample();
        let before = (store.revision(), store.hash_kv(0));
        let error = match &request {
            Request::Range(_) => store.read(&request).unwrap_err(),
            Request::Txn(_) if request.is_read() => store.read(&request).unwrap_err(),
            Request::Put(put) => apply_put(&mut store, put.clone()).unwrap_err(),
            Request::Txn(txn) => apply_txn(&mut store, txn.clone()).unwrap_err(),
            Request::DeleteRange(delete) => {
                store.apply(&command(command::Request::DeleteRange(delete.clone()))).unwrap_err()
            }
        };
        assert_eq!((error.to_string().as_str(), error.code()), (text, code), "{request:?}");
        assert_eq!((store.revision(), store.hash_kv(0)), before, "{request:?}");
        assert_eq!(show(&read(&store, range("x", "")).unwrap()), "[] of 0");
        // Only what depends on the state may pass the check before the proposal.
        let stateful = [no_lease, is_future].contains(&text)
            || (text == none && matches!(request, Request::Put(_)));
        assert_eq!(request.check().is_err(), !stateful, "{request:?}");
    }
}

#[test]
fn what_a_transaction_may_repeat() {
    let table = [
        vec![op_delete("a", "z"), op_delete("b", "y")],
        vec![op_put("k", "1"), op_range("k"), op_range("k")],
        vec![nested(vec![op_put("k", "1")], vec![op_put("k", "2")])],
        vec![op_put("k", "1"), op_delete("z", "a")],
        vec![op_put("k", "1"), op_delete("a", "k")],
    ];
    for operations in table {
        let request = Request::Txn(txn(operations));
        assert_eq!(request.check(), Ok(()), "{request:?}");
    }
}

#[test]
fn a_transaction_is_one_revision_and_sees_its_own_writes() {
    let mut store = sample();
    let response = apply_txn(
        &mut store,
        txn(vec![
            op_range("x"),
            op_put("x", "1"),
            op_range("x"),
            op_delete("c", "e"),
            nested(vec![op_range("c"), op_put("y", "2")], vec![]),
            op(Op::RequestRange(RangeRequest { revision: 7, ..range("c", "") })),
        ]),
    )
    .unwrap();
    assert!(response.succeeded);
    assert_eq!((revision(&response.header), store.revision()), (8, 8));
    let shown: Vec<String> = response
        .responses
        .iter()
        .map(|op| match op.response.as_ref().unwrap() {
            response_op::Response::ResponseRange(range) => show(range),
            response_op::Response::ResponsePut(put) => format!("put @{}", revision(&put.header)),
            response_op::Response::ResponseDeleteRange(delete) => {
                format!("deleted {} @{}", delete.deleted, revision(&delete.header))
            }
            response_op::Response::ResponseTxn(txn) => format!("txn of {}", txn.responses.len()),
        })
        .collect();
    assert_eq!(
        shown,
        ["[] of 0", "put @8", "[x=1@8/8/1] of 1", "deleted 2 @8", "txn of 2", "[c=3@4/4/1] of 1"]
    );
    assert_eq!(
        show(&read(&store, range("a", "\0")).unwrap()),
        "[a=4@2/5/2 x=1@8/8/1 y=2@8/8/1] of 3"
    );
    // One that writes nothing makes no revision.
    let response = apply_txn(&mut store, txn(vec![op_range("a"), op_delete("q", "")])).unwrap();
    assert_eq!((revision(&response.header), store.revision()), (8, 8));
}

#[test]
fn nested_compares_see_the_state_before_the_transaction() {
    let mut store = Store::default();
    let exists = Compare {
        result: Is::Greater as i32,
        target: Of::Version as i32,
        key: bytes("k"),
        target_union: Some(TargetUnion::Version(0)),
        ..Default::default()
    };
    let inner = TxnRequest {
        compare: vec![exists],
        success: vec![op_put("seen", "yes")],
        failure: vec![op_put("seen", "no")],
    };
    apply_txn(&mut store, txn(vec![op_put("k", "1"), op(Op::RequestTxn(inner))])).unwrap();
    assert_eq!(show(&read(&store, range("seen", "")).unwrap()), "[seen=no@2/2/1] of 1");
}

#[test]
fn compares() {
    use TargetUnion::{CreateRevision, Lease, ModRevision, Value, Version};
    let mut store = sample();
    let value = |text| Some(Value(bytes(text)));
    let table = [
        // a is 4, created at 2, modified at 5, of version 2.
        (Is::Equal as i32, Of::Value as i32, "a", "", value("4"), true),
        (Is::Equal as i32, Of::Value as i32, "a", "", value("1"), false),
        (Is::NotEqual as i32, Of::Value as i32, "a", "", value("1"), true),
        (Is::Greater as i32, Of::Value as i32, "a", "", value("3"), true),
        (Is::Less as i32, Of::Value as i32, "a", "", value("4"), false),
        (Is::Equal as i32, Of::Create as i32, "a", "", Some(CreateRevision(2)), true),
        (Is::Equal as i32, Of::Mod as i32, "a", "", Some(ModRevision(5)), true),
        (Is::Less as i32, Of::Mod as i32, "a", "", Some(ModRevision(6)), true),
        (Is::Equal as i32, Of::Version as i32, "a", "", Some(Version(2)), true),
        (Is::Equal as i32, Of::Lease as i32, "a", "", Some(Lease(0)), true),
        // A missing key has version and revisions 0, but no value.
        (Is::Equal as i32, Of::Version as i32, "b", "", Some(Version(0)), true),
        (Is::Equal as i32, Of::Create as i32, "b", "", Some(CreateRevision(0)), true),
        (Is::Greater as i32, Of::Mod as i32, "b", "", Some(ModRevision(0)), false),
        (Is::Equal as i32, Of::Value as i32, "b", "", value(""), false),
        (Is::NotEqual as i32, Of::Value as i32, "b", "", value("x"), false),
        // A range holds if all its keys do; an empty one is a missing key.
        (Is::Greater as i32, Of::Mod as i32, "a", "\0", Some(ModRevision(3)), true),
        (Is::Greater as i32, Of::Mod as i32, "a", "\0", Some(ModRevision(4)), false),
        (Is::Equal as i32, Of::Version as i32, "x", "z", Some(Version(0)), true),
        (Is::Equal as i32, Of::Version as i32, "z", "a", Some(Version(0)), true),
        // An absent or mismatched operand is 0; what is unknown is equal, or true.
        (Is::Equal as i32, Of::Version as i32, "b", "", None, true),
        (Is::Equal as i32, Of::Version as i32, "a", "", Some(ModRevision(2)), false),
        (Is::Equal as i32, 99, "a", "", None, true),
        (Is::Less as i32, -1, "a", "", None, false),
        (99, Of::Version as i32, "a", "", None, true),
    ];
    for (result, target, key, range_end, target_union, expected) in table {
        let compare =
            Compare { result, target, key: bytes(key), range_end: bytes(range_end), target_union };
        let request = TxnRequest { compare: vec![compare], ..Default::default() };
        let as_read = store.read(&Request::Txn(request.clone())).unwrap();
        let applied = apply_txn(&mut store, request.clone()).unwrap();
        assert_eq!(applied.succeeded, expected, "{request:?}");
        assert_eq!(as_read, Response::Txn(applied));
    }
}

#[test]
fn ignore_value_keeps_the_value() {
    let mut store = sample();
    apply_put(&mut store, PutRequest { ignore_value: true, ..put("a", "") }).unwrap();
    assert_eq!(show(&read(&store, range("a", "")).unwrap()), "[a=4@2/8/3] of 1");
}

#[test]
fn which_requests_read_only() {
    let table = [
        (Request::Range(range("a", "")), true),
        (Request::Put(put("a", "")), false),
        (Request::DeleteRange(delete("a", "")), false),
        (Request::Txn(TxnRequest::default()), true),
        (Request::Txn(txn(vec![op_range("a"), nested(vec![op_range("a")], vec![])])), true),
        (Request::Txn(txn(vec![nested(vec![], vec![op_delete("a", "")])])), false),
        (Request::Txn(txn(vec![RequestOp { request: None }])), false),
    ];
    for (request, expected) in table {
        assert_eq!(request.is_read(), expected, "{request:?}");
    }
    let error = sample().read(&Request::Put(put("a", ""))).unwrap_err();
    assert_eq!(error, Error::NotARead);
}

#[test]
fn a_command_without_a_request_is_refused() {
    assert_eq!(Store::default().apply(&Command::default()), Err(Error::NoRequest));
}

#[test]
fn hashes_tell_stores_apart_and_past_revisions_keep_theirs() {
    let mut store = sample();
    let (before, at_5) = (store.hash_kv(0).unwrap(), store.hash_kv(5).unwrap());
    assert_eq!(store.hash_kv(7), Ok(before));
    assert_ne!(before, at_5);
    apply_put(&mut store, put("z", "")).unwrap();
    assert_eq!((store.hash_kv(7), store.hash_kv(5)), (Ok(before), Ok(at_5)));
    assert_ne!(store.hash_kv(0), Ok(before));
    assert_eq!(store.hash_kv(9), Err(Error::FutureRevision));
}

fn in_session(id: &str, sequence: u64, put: PutRequest) -> Command {
    let session = Some(Session { id: id.into(), sequence });
    Command { session, ..command(command::Request::Put(put)) }
}

#[test]
fn a_repeated_command_of_a_session_is_answered_and_has_no_effect() {
    let mut store = Store::default();
    let first = store.apply(&in_session("s", 1, put("k", "1")));
    apply_put(&mut store, put("k", "2")).unwrap();
    assert_eq!(store.apply(&in_session("s", 1, put("k", "1"))), first);
    assert_eq!(show(&read(&store, range("k", "")).unwrap()), "[k=2@2/3/2] of 1");
    // A refusal is remembered too, though the state would now allow the command.
    let keep = PutRequest { ignore_value: true, ..put("new", "") };
    assert_eq!(store.apply(&in_session("s", 2, keep.clone())), Err(Error::KeyNotFound));
    apply_put(&mut store, put("new", "")).unwrap();
    assert_eq!(store.apply(&in_session("s", 2, keep)), Err(Error::KeyNotFound));
    // Numbers may be skipped, but not go back.
    store.apply(&in_session("s", 5, put("k", "5"))).unwrap();
    let error = store.apply(&in_session("s", 3, put("k", "3"))).unwrap_err();
    assert_eq!(error, Error::SessionAhead { sequence: 3, last: 5 });
    assert!(error.outcome_unknown());
    assert_eq!(show(&read(&store, range("k", "")).unwrap()), "[k=5@2/5/3] of 1");
}

#[test]
fn sessions_are_checked_and_part_of_the_digest() {
    let long = "x".repeat(SESSION_ID_BYTES_MAX + 1);
    for (id, sequence) in [("", 1), ("s", 0), (long.as_str(), 1)] {
        let result = Store::default().apply(&in_session(id, sequence, put("k", "1")));
        assert_eq!(result, Err(Error::InvalidSession));
    }
    let result = Store::default().apply(&in_session("s", 2, put("k", "1")));
    assert_eq!(result, Err(Error::SessionExpired));

    let digest = |command: Command| {
        let mut store = Store::default();
        store.apply(&command).unwrap();
        (store.digest(), store.hash_kv(0))
    };
    let [none, s, t] = [
        digest(command(command::Request::Put(put("k", "1")))),
        digest(in_session("s", 1, put("k", "1"))),
        digest(in_session("t", 1, put("k", "1"))),
    ];
    assert!(none.0 != s.0 && s.0 != t.0 && none.0 != t.0);
    assert!(none.1 == s.1 && s.1 == t.1);
}

#[test]
fn the_least_recently_used_session_is_forgotten_first() {
    let mut store = Store::default();
    let id = |number: usize| format!("s{number}");
    for number in 0..SESSIONS_MAX {
        store.apply(&in_session(&id(number), 1, put("k", ""))).unwrap();
    }
    // A retry counts as a use.
    store.apply(&in_session("s0", 1, put("k", ""))).unwrap();
    store.apply(&in_session("another", 1, put("k", ""))).unwrap();
    store.apply(&in_session("s0", 2, put("k", ""))).unwrap();
    let error = store.apply(&in_session("s1", 2, put("k", ""))).unwrap_err();
    assert_eq!(error, Error::SessionExpired);
    store.apply(&in_session("s2", 2, put("k", ""))).unwrap();
}

#[test]
fn remembered_results_are_bounded_in_bytes() {
    let mut store = Store::default();
    let megabyte = "x".repeat(1 << 20);
    apply_put(&mut store, put("k", &megabyte)).unwrap();
    let sessions = SESSION_RESPONSE_BYTES_MAX / (1 << 20) + 1;
    let put = || PutRequest { prev_kv: true, ignore_value: true, ..put("k", "") };
    for number in 0..sessions {
        store.apply(&in_session(&format!("s{number}"), 1, put())).unwrap();
    }
    assert_eq!(store.apply(&in_session("s0", 2, put())), Err(Error::SessionExpired));
    let last = format!("s{}", sessions - 1);
    store.apply(&in_session(&last, 2, put())).unwrap();
}

#[test]
fn what_is_well_formed_can_be_replicated_however_deep_it_is() {
    use prost::Message as _;

    let mut deep = txn(vec![op_put("a", "1")]);
    let mut accepted = 0;
    for _ in 0..70 {
        deep = txn(vec![op(Op::RequestTxn(deep))]);
        if TxnRequest::decode(&deep.encode_to_vec()[..]).is_err() {
            break;
        }
        match Request::Txn(deep.clone()).check() {
            Ok(()) => {
                let bytes = command(command::Request::Txn(deep.clone())).encode_to_vec();
                assert!(Command::decode(&bytes[..]).is_ok(), "{accepted}");
                accepted += 1;
            }
            Err(why) => assert_eq!(why, Error::TooManyOperations),
        }
    }
    assert!(accepted > 20, "{accepted}");
}
