//! The store against a naive model: a full copy of all pairs for every revision.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use proto::{
    etcd::{self, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op},
    mvcc::KeyValue,
    peer::{Session, command},
};

use super::*;

type Pairs = BTreeMap<Vec<u8>, KeyValue>;

/// Pairs at each revision, from 1.
struct Model {
    revisions: Vec<Pairs>,
}

impl Model {
    fn new() -> Self {
        Self { revisions: vec![Pairs::new()] }
    }

    fn apply(&mut self, operations: &[Operation]) {
        let mut pairs = self.revisions.last().unwrap().clone();
        let revision = self.revisions.len() as i64 + 1;
        let mut changed = false;
        for operation in operations {
            match operation {
                Operation::Put(key, value) => {
                    let old = pairs.get(key.as_slice()).cloned().unwrap_or_default();
                    let create_revision = match old.version {
                        0 => revision,
                        _ => old.create_revision,
                    };
                    let pair = KeyValue {
                        key: key.clone().into(),
                        create_revision,
                        mod_revision: revision,
                        version: old.version + 1,
                        value: value.clone().into(),
                        lease: 0,
                    };
                    pairs.insert(key.clone(), pair);
                    changed = true;
                }
                Operation::Delete(key, end) => {
                    let before = pairs.len();
                    pairs.retain(|name, _| !within(name, key, end));
                    changed |= pairs.len() != before;
                }
            }
        }
        if changed {
            self.revisions.push(pairs);
        }
    }

    fn range(&self, key: &[u8], end: &[u8], revision: i64) -> Vec<KeyValue> {
        let pairs = &self.revisions[revision as usize - 1];
        pairs.values().filter(|pair| within(&pair.key, key, end)).cloned().collect()
    }
}

fn within(name: &[u8], key: &[u8], end: &[u8]) -> bool {
    match end {
        [] => name == key,
        [0] => name >= key,
        _ => name >= key && name < end,
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>, Vec<u8>),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(b'a'..=b'c', 1..=2)
}

fn end() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => Just(vec![]), 1 => Just(vec![0]), 3 => key()]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => (key(), prop::collection::vec(any::<u8>(), 0..3))
            .prop_map(|(key, value)| Operation::Put(key, value)),
        1 => (key(), end()).prop_map(|(key, end)| Operation::Delete(key, end)),
    ]
}

/// One operation alone, or a transaction.
fn encode(operations: &[Operation]) -> command::Request {
    let put = |key: &[u8], value: &[u8]| PutRequest {
        key: Bytes::copy_from_slice(key),
        value: Bytes::copy_from_slice(value),
        ..Default::default()
    };
    let delete = |key: &[u8], end: &[u8]| DeleteRangeRequest {
        key: Bytes::copy_from_slice(key),
        range_end: Bytes::copy_from_slice(end),
        prev_kv: true,
    };
    match operations {
        [Operation::Put(key, value)] => command::Request::Put(put(key, value)),
        [Operation::Delete(key, end)] => command::Request::DeleteRange(delete(key, end)),
        _ => {
            let success = operations.iter().map(|operation| RequestOp {
                request: Some(match operation {
                    Operation::Put(key, value) => request_op::Request::RequestPut(put(key, value)),
                    Operation::Delete(key, end) => {
                        request_op::Request::RequestDeleteRange(delete(key, end))
                    }
                }),
            });
            command::Request::Txn(TxnRequest { success: success.collect(), ..Default::default() })
        }
    }
}

fn range(store: &Store, key: &[u8], end: &[u8], revision: i64) -> Vec<KeyValue> {
    let request = RangeRequest {
        key: Bytes::copy_from_slice(key),
        range_end: Bytes::copy_from_slice(end),
        revision,
        ..Default::default()
    };
    match store.read(&Request::Range(request)).unwrap() {
        Response::Range(response) => {
            assert_eq!(response.count as usize, response.kvs.len());
            response.kvs
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn every_past_revision_reads_as_it_was(
        commands in prop::collection::vec(prop::collection::vec(operation(), 1..4), 1..40),
        reads in prop::collection::vec((key(), end()), 1..8),
    ) {
        let mut store = Store::default();
        let mut model = Model::new();
        let mut hashes = BTreeMap::from([(1, store.hash_kv(0))]);
        for operations in &commands {
            let command = Command { request: Some(encode(operations)), ..Default::default() };
            match store.apply(&command) {
                Ok(_) => model.apply(operations),
                Err(why) => prop_assert_eq!(why, Error::DuplicateKey),
            }
            hashes.insert(store.revision(), store.hash_kv(0));
        }
        prop_assert_eq!(store.revision(), model.revisions.len() as i64);
        for revision in 1..=store.revision() {
            for (key, end) in &reads {
                prop_assert_eq!(
                    range(&store, key, end, revision),
                    model.range(key, end, revision)
                );
            }
            prop_assert_eq!(store.hash_kv(revision), hashes[&revision].clone());
        }
    }

    /// Equal commands, equal digests; and a command that is lost, or applied twice, shows.
    #[test]
    fn the_digest_is_a_function_of_the_commands(
        commands in prop::collection::vec(
            (prop::collection::vec(operation(), 1..4), any::<bool>()), 1..20),
        odd in any::<prop::sample::Index>(),
    ) {
        let commands: Vec<Command> = commands
            .iter()
            .zip(1..)
            .map(|((operations, session), number)| Command {
                request: Some(encode(operations)),
                session: session.then(|| Session { id: format!("s{number}"), sequence: 1 }),
                ..Default::default()
            })
            .collect();
        let digest = |commands: &[Command]| {
            let mut store = Store::default();
            for command in commands {
                // A refusal too must be the same everywhere.
                let _ = store.apply(command);
            }
            (store.digest(), store.hash_kv(0))
        };
        let all = digest(&commands);
        prop_assert_eq!(all.clone(), digest(&commands));
        let odd = odd.index(commands.len());
        let mut lost = commands.clone();
        let command = lost.remove(odd);
        prop_assert_ne!(all.0, digest(&lost).0);
        lost.insert(odd, command.clone());
        lost.insert(odd, command);
        prop_assert_ne!(all.0, digest(&lost).0);
    }

    /// No bytes that decode make the store panic.
    #[test]
    fn any_command_that_decodes_is_answered(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        enums in (any::<i32>(), any::<i32>()),
        revision in any::<i64>(),
        limit in any::<i64>(),
        (key, end) in (prop::collection::vec(any::<u8>(), 0..3), prop::collection::vec(any::<u8>(), 0..3)),
    ) {
        let mut store = Store::default();
        let fill = encode(&[Operation::Put(b"k".to_vec(), vec![])]);
        store.apply(&Command { request: Some(fill), ..Default::default() }).unwrap();
        if let Ok(command) = <Command as prost::Message>::decode(bytes.as_slice()) {
            let _ = store.apply(&command);
        }
        let request = RangeRequest {
            key: key.into(),
            range_end: end.into(),
            revision,
            limit,
            sort_order: enums.0 % 4,
            sort_target: enums.1 % 6,
            ..Default::default()
        };
        let _ = store.read(&Request::Range(request.clone()));
        let op = RequestOp { request: Some(request_op::Request::RequestRange(request.clone())) };
        let compare = etcd::Compare {
            key: request.key,
            range_end: request.range_end,
            result: enums.0,
            target: enums.1,
            target_union: None,
        };
        let txn = TxnRequest { compare: vec![compare], success: vec![op.clone()], failure: vec![op] };
        let _ = store.apply(&Command {
            request: Some(command::Request::Txn(txn)),
            ..Default::default()
        });
        prop_assert!(store.revision() >= 2);
    }
}
