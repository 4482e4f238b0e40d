//! Each way in which a sequence of requests can end, against a store of its own.

use node::kv::Store;
use tonic::Code;

use super::*;
use crate::workload::{
    append::{Step, Transaction},
    bank::Transfer,
    set::{self as set_of, Action},
};

/// Executes a request as a node does.
fn execute(store: &mut Store, request: kv::Request) -> Response {
    if request.is_read() {
        return store.read(&request).unwrap();
    }
    let command = proto::peer::Command { id: None, session: None, request: request.into_command() };
    store.apply(&command).unwrap()
}

/// Begins an operation that has a first request.
fn begin(operation: Operation) -> (Steps, kv::Request) {
    let (steps, Next::Send(request)) = Steps::begin(operation) else { panic!("it has a request") };
    (steps, request)
}

/// Performs an operation while nobody else does anything. Returns its end and how many requests it
/// took.
fn perform(store: &mut Store, operation: Operation) -> (Completion, usize) {
    perform_beside(store, operation, |_, _| {})
}

/// The same, where something else happens before each request, which is numbered from 0.
fn perform_beside(
    store: &mut Store,
    operation: Operation,
    mut beside: impl FnMut(usize, &mut Store),
) -> (Completion, usize) {
    let (mut steps, mut request) = begin(operation);
    for number in 0.. {
        beside(number, store);
        let answer = execute(store, request);
        match steps.answered(answer) {
            Next::Send(next) => request = next,
            Next::Done(completion) => return (completion, number + 1),
        }
    }
    unreachable!("operations end")
}

fn append(list: u64, element: i64) -> Step {
    Step::Append { list, element }
}

fn transaction(steps: &[Step]) -> Operation {
    Operation::Append(Transaction { steps: steps.to_vec() })
}

fn transfer(number: i64, from: u32, to: u32, amount: i64) -> Operation {
    Operation::Bank(bank_of::Operation::Transfer(Transfer { number, from, to, amount }))
}

/// Kind, answer in the history's words, and error.
fn told(completion: &Completion) -> (Kind, String, Option<&str>) {
    let answer = match &completion.answer {
        Answer::Told(told) => told.to_string(),
        _ => String::new(),
    };
    (completion.kind, answer, completion.error.as_deref())
}

#[test]
fn a_transaction_reads_what_it_appends_to_and_then_does_all_at_once() {
    let mut store = Store::default();
    let (done, requests) = perform(&mut store, transaction(&[append(0, 1)]));
    assert_eq!((told(&done), requests), ((Kind::Ok, "[[append l0 1]]".into(), None), 2));
    let steps = [Step::Read { list: 0 }, append(0, 2), append(1, 3), Step::Read { list: 0 }];
    let (done, requests) = perform(&mut store, transaction(&steps));
    let answer = "[[r l0 [1]] [append l0 2] [append l1 3] [r l0 [1 2]]]";
    assert_eq!((told(&done), requests), ((Kind::Ok, answer.into(), None), 2));
    let reads = [Step::Read { list: 1 }, Step::Read { list: 7 }];
    let (done, requests) = perform(&mut store, transaction(&reads));
    assert_eq!((told(&done), requests), ((Kind::Ok, "[[r l1 [3]] [r l7 []]]".into(), None), 1));
    assert!(done.conclusive && !done.broken);
}

#[test]
fn what_others_wrote_meanwhile_is_read_again_and_kept() {
    let mut store = Store::default();
    let other = |number: usize, store: &mut Store| {
        if number == 1 {
            perform(store, transaction(&[append(0, 9)]));
        }
    };
    let (done, requests) =
        perform_beside(&mut store, transaction(&[append(0, 1), Step::Read { list: 0 }]), other);
    let answer = "[[append l0 1] [r l0 [9 1]]]";
    assert_eq!((told(&done), requests), ((Kind::Ok, answer.into(), None), 3));
}

#[test]
fn it_gives_up_when_others_were_always_faster() {
    let mut store = Store::default();
    let other = |number: usize, store: &mut Store| {
        if number > 0 {
            perform(store, transaction(&[append(0, 100 + number as i64)]));
        }
    };
    let (done, requests) = perform_beside(&mut store, transaction(&[append(0, 1)]), other);
    assert_eq!(told(&done), (Kind::Fail, String::new(), Some(CONFLICT)));
    assert_eq!(requests, 1 + ATTEMPTS_MAX as usize);
    assert!(done.conclusive, "the node did what it is there for");
    let (done, _) = perform(&mut store, transaction(&[Step::Read { list: 0 }]));
    assert_eq!(told(&done).1, "[[r l0 [101 102 103 104]]]", "it changed nothing");
}

#[test]
fn before_the_first_write_an_error_is_a_failure_and_later_it_is_what_it_says() {
    let operations = [transaction(&[append(0, 1)]), transfer(1, 0, 1, 5)];
    for operation in operations {
        let mut store = Store::default();
        let (mut steps, read) = begin(operation);
        let lost = Status::deadline_exceeded("no answer");
        let mut harmless = Status::unavailable("no leader");
        harmless.metadata_mut().insert("raft-outcome", "none".parse().unwrap());
        assert_eq!(steps.refused(&lost, true).kind, Kind::Fail);
        let Next::Send(_) = steps.answered(execute(&mut store, read)) else { panic!() };
        let refused = |status: &Status, tells| steps.refused(status, tells).kind;
        assert_eq!(refused(&lost, true), Kind::Info);
        assert_eq!(refused(&harmless, true), Kind::Fail);
        assert_eq!(refused(&harmless, false), Kind::Info);
        assert_eq!(refused(&Status::new(Code::InvalidArgument, ""), false), Kind::Fail);
    }
    // What only reads fails whatever happens.
    let (steps, _) = begin(transaction(&[Step::Read { list: 0 }]));
    assert_eq!(steps.refused(&Status::unknown("?"), true).kind, Kind::Fail);
    // What is one write is unknown at once.
    let add = Operation::Set(set_of::Operation { set: "s0".into(), action: Action::Add(1) });
    let (steps, _) = begin(add);
    assert_eq!(steps.refused(&Status::unknown("?"), true).kind, Kind::Info);
}

#[test]
fn an_answer_of_something_else_is_an_error() {
    let put = Response::Put(proto::etcd::PutResponse::default());
    let empty = Response::Txn(TxnResponse { succeeded: true, ..TxnResponse::default() });
    for answer in [put, empty.clone()] {
        let (mut steps, _) = begin(transaction(&[append(0, 1)]));
        let Next::Done(done) = steps.answered(answer) else { panic!() };
        assert_eq!((done.kind, done.broken), (Kind::Fail, true), "nothing was written");
    }
    let mut store = Store::default();
    let (mut steps, read) = begin(transfer(1, 0, 1, 5));
    let Next::Send(_) = steps.answered(execute(&mut store, read)) else { panic!() };
    let Next::Done(done) = steps.answered(empty) else { panic!() };
    assert_eq!((done.kind, done.broken), (Kind::Info, true), "it says that it succeeded");
}

#[test]
fn money_moves_if_there_is_enough() {
    let mut store = Store::default();
    let read = Operation::Bank(bank_of::Operation::Read);
    let (done, requests) = perform(&mut store, transfer(1, 0, 1, 60));
    assert_eq!((told(&done), requests), ((Kind::Ok, "{}".into(), None), 2));
    let (done, requests) = perform(&mut store, transfer(2, 0, 2, 41));
    let found = "{a0 [40 1 1]}";
    assert_eq!(told(&done), (Kind::Fail, found.into(), Some("insufficient")));
    assert_eq!((requests, done.conclusive), (1, true));
    let (done, _) = perform(&mut store, transfer(3, 1, 0, 10));
    assert_eq!(told(&done), (Kind::Ok, "{a0 [40 1 1], a1 [160 1 1]}".into(), None));
    let (done, requests) = perform(&mut store, read);
    let all = "{a0 [50 2 3], a1 [150 2 3]}";
    assert_eq!((told(&done), requests), ((Kind::Ok, all.into(), None), 1));
}

#[test]
fn a_transfer_meets_another() {
    let mut store = Store::default();
    let other = |number: usize, store: &mut Store| {
        if number == 1 {
            perform(store, transfer(1, 1, 2, 30));
        }
    };
    let (done, requests) = perform_beside(&mut store, transfer(2, 0, 1, 5), other);
    assert_eq!((told(&done), requests), ((Kind::Ok, "{a1 [70 1 1]}".into(), None), 3));
}

#[test]
fn a_set_has_a_key_for_each_element() {
    let mut store = Store::default();
    let operation =
        |set: &str, action| Operation::Set(set_of::Operation { set: set.to_owned(), action });
    for (set, element) in [("s1", 5), ("s1", 12), ("s10", 7)] {
        let (done, requests) = perform(&mut store, operation(set, Action::Add(element)));
        assert_eq!((told(&done), requests), ((Kind::Ok, element.to_string(), None), 1));
    }
    let mut read = |set| told(&perform(&mut store, operation(set, Action::Read)).0).1;
    assert_eq!((read("s1"), read("s10"), read("s2")), ("[12 5]".into(), "[7]".into(), "[]".into()));
}

#[test]
fn what_no_client_wrote_is_garbage() {
    assert_eq!(numbers(b"1 x 3"), [1, GARBAGE, 3]);
    assert_eq!(numbers(b"\xff"), [GARBAGE]);
    let pair = |key: &'static [u8], value: &'static [u8]| KeyValue {
        key: Bytes::from_static(key),
        value: Bytes::from_static(value),
        ..KeyValue::default()
    };
    let kvs = vec![pair(b"bank/a0", b"1 2"), pair(b"bank/a1", b"95 1 7")];
    let states = bank::states(&RangeResponse { kvs, ..RangeResponse::default() });
    assert_eq!(states.to_string(), format!("{{a0 [{GARBAGE} 1 {GARBAGE}], a1 [95 1 7]}}"));
}
