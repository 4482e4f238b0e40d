//! Everything that etcd's `KV` serves: puts, ranges, deletions and transactions, with every option,
//! and requests that must be refused.
//!
//! Keys are few, and some differ in one byte 0x00 or 0xff only, so that ranges with wrong bounds
//! meet a neighbour. Half of the requests stay with the key of the one before, so that clients meet
//! on a key. Compares expect what a client last saw of a key, so that both branches are taken.
//! Written values are unique; some are empty, and some long.
//!
//! - `request`: draws a request;
//! - `record`: requests and answers as the history has them.

pub(crate) mod record;
mod request;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use anyhow::ensure;
use bytes::Bytes;
use node::kv;
use proto::{
    etcd::{
        DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, ResponseHeader, TxnRequest,
        TxnResponse, request_op::Request, response_op::Response,
    },
    mvcc::KeyValue,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Answer, FinalRead, Generator, Kind, Turn};

/// The first keys, in the order in which a small workload takes them.
const KEYS: [&[u8]; 12] = [
    b"a",
    b"a\0",
    b"a\xff",
    b"b",
    b"\0",
    b"\xff",
    b"a/1",
    b"a/2",
    b"\xff\xff",
    b"b\0",
    b"\x80",
    b"c",
];

/// The end of a range that has none: every key from its start on.
const FROM_KEY: &[u8] = b"\0";

/// So many old revisions are read at the end at most.
const UNEXPLAINED_MAX: usize = 500;

/// Parameters of the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Number of keys, from 1.
    pub keys: u32,
    /// How many requests are about as large as a node takes them: some a little smaller, some
    /// larger.
    #[serde(default)]
    pub large: u32,
    /// Transactions that write never read at a revision that is not there: in etcd up to 3.6 the
    /// member that was asked refuses these, and all others execute them (etcd-io/etcd#18667).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sparing: bool,
}

/// A request, and how its client performs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What is asked.
    pub request: kv::Request,
    /// Whether it is sent again.
    pub retry: Retry,
}

/// When a client sends an operation again, through another node. It then says by session and
/// sequence number that it is the same: for the history too it is one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Never: nothing would say that it is the same.
    Never,
    /// When its answer was lost.
    IfLost,
    /// Also once after an answer, as if that had been lost.
    Always,
}

/// What is known of a key, from the latest answer that showed it.
#[derive(Clone, Debug, Default)]
struct Known {
    value: Bytes,
    create: i64,
    modified: i64,
    version: i64,
}

/// The generator.
#[derive(Debug)]
pub struct Etcd {
    keys: Vec<Bytes>,
    rng: ChaCha8Rng,
    /// Values written so far.
    writes: u64,
    /// The latest revision that an answer named.
    revision: i64,
    /// Revisions made by writes that were acknowledged.
    made: BTreeSet<i64>,
    known: BTreeMap<Bytes, Known>,
    last: Bytes,
    /// Large requests that are left.
    large: u32,
    /// See [`Options::sparing`].
    sparing: bool,
    /// What must follow before anything is drawn.
    next: VecDeque<kv::Request>,
}

/// The name of a key.
fn key(number: u32) -> Bytes {
    match KEYS.get(number as usize) {
        Some(key) => Bytes::from_static(key),
        None => Bytes::from(format!("k{number}")),
    }
}

impl Kind for Options {
    fn model(&self) -> &'static str {
        "etcd"
    }

    fn keys(&self) -> usize {
        self.keys as usize
    }

    fn validate(&self, _: u64, _: Duration) -> anyhow::Result<()> {
        ensure!(
            self.large <= 1000,
            "the workload has at most 1000 large requests, not {}",
            self.large
        );
        Ok(())
    }

    fn generator(&self, seed: u64) -> Box<dyn Generator> {
        Box::new(Etcd::new(self, seed))
    }

    fn probe(&self) -> super::Operation {
        read(RangeRequest { key: key(0), ..RangeRequest::default() })
    }

    fn final_reads(&self, nodes: u64) -> Vec<FinalRead> {
        (1..=nodes).map(|node| whole_store(Some(node), 0)).collect()
    }
}

impl Generator for Etcd {
    fn next(&mut self, _: u64) -> Option<(super::Operation, Turn)> {
        Some((super::Operation::Etcd(Box::new(self.operation())), Turn::Paced))
    }

    fn write(&mut self) -> Option<super::Operation> {
        let place = self.rng.random_range(0..self.keys.len());
        let (key, value) = (self.keys[place].clone(), self.short_value());
        let put = PutRequest { key, value, ..PutRequest::default() };
        let operation = Operation { request: kv::Request::Put(put), retry: Retry::Never };
        Some(super::Operation::Etcd(Box::new(operation)))
    }

    fn learn(&mut self, operation: &super::Operation, answer: &Answer) {
        if let (super::Operation::Etcd(asked), Answer::Etcd(told)) = (operation, answer) {
            self.learn_answer(&asked.request, told);
        }
    }

    fn further_reads(&self) -> Vec<FinalRead> {
        self.unexplained()
    }
}

/// Reads everything, at one node or at whichever answers, as it was at a revision; 0: as it is.
fn whole_store(node: Option<u64>, revision: i64) -> FinalRead {
    let (key, range_end) = (Bytes::from_static(FROM_KEY), Bytes::from_static(FROM_KEY));
    let place = node.map(|node| format!(" at n{node}")).unwrap_or_default();
    let then = if revision > 0 { format!(" as of revision {revision}") } else { String::new() };
    FinalRead {
        of: format!("the whole store{place}{then}"),
        operation: read(RangeRequest { key, range_end, revision, ..RangeRequest::default() }),
        at: node,
    }
}

fn read(range: RangeRequest) -> super::Operation {
    let (request, retry) = (kv::Request::Range(range), Retry::Never);
    super::Operation::Etcd(Box::new(Operation { request, retry }))
}

impl Etcd {
    /// A generator that has seen nothing yet.
    pub fn new(options: &Options, seed: u64) -> Self {
        Self {
            keys: (0..options.keys.max(1)).map(key).collect(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            writes: 0,
            revision: 1,
            made: BTreeSet::new(),
            known: BTreeMap::new(),
            last: key(0),
            large: options.large,
            sparing: options.sparing,
            next: VecDeque::new(),
        }
    }

    /// The next operation.
    pub fn operation(&mut self) -> Operation {
        let request = self.next.pop_front().unwrap_or_else(|| self.request());
        // A read that is lost is asked again as another one.
        let retry = match self.rng.random_range(0..10) {
            _ if request.is_read() => Retry::Never,
            0..5 => Retry::Never,
            5..8 => Retry::IfLost,
            _ => Retry::Always,
        };
        Operation { request, retry }
    }

    /// Reads of the whole store as it was at each revision that no acknowledged write made, as far
    /// as is known: they show which writes of unknown outcome made them. Of very many, the latest.
    fn unexplained(&self) -> Vec<FinalRead> {
        let missing = (2..=self.revision).rev().filter(|revision| !self.made.contains(revision));
        let mut latest: Vec<i64> = missing.take(UNEXPLAINED_MAX).collect();
        latest.reverse();
        latest.into_iter().map(|revision| whole_store(None, revision)).collect()
    }

    /// A client was given this answer.
    fn learn_answer(&mut self, request: &kv::Request, answer: &kv::Response) {
        match (request, answer) {
            (kv::Request::Put(put), kv::Response::Put(answer)) => {
                self.learn_put(put, answer.header.as_ref());
            }
            (kv::Request::Range(range), kv::Response::Range(answer)) => {
                self.learn_range(range, answer);
            }
            (kv::Request::DeleteRange(delete), kv::Response::DeleteRange(answer)) => {
                self.learn_delete(delete, answer.deleted, answer.header.as_ref());
            }
            (kv::Request::Txn(txn), kv::Response::Txn(answer)) => self.learn_txn(txn, answer),
            _ => {}
        }
    }

    fn learn_revision(&mut self, header: Option<&ResponseHeader>) -> i64 {
        let revision = header.map_or(0, |header| header.revision);
        self.revision = self.revision.max(revision);
        revision
    }

    fn learn_put(&mut self, put: &PutRequest, header: Option<&ResponseHeader>) {
        let revision = self.learn_revision(header);
        self.made.insert(revision);
        let known = self.known.entry(put.key.clone()).or_default();
        if known.version == 0 {
            known.create = revision;
        }
        if !put.ignore_value {
            known.value = put.value.clone();
        }
        known.modified = revision;
        known.version += 1;
    }

    fn learn_range(&mut self, range: &RangeRequest, answer: &RangeResponse) {
        self.learn_revision(answer.header.as_ref());
        if range.revision > 0 || range.keys_only || range.count_only {
            return;
        }
        for pair in &answer.kvs {
            let KeyValue { key, value, create_revision, mod_revision, version, .. } = pair;
            let known = Known {
                value: value.clone(),
                create: *create_revision,
                modified: *mod_revision,
                version: *version,
            };
            self.known.insert(key.clone(), known);
        }
    }

    fn learn_delete(
        &mut self,
        delete: &DeleteRangeRequest,
        deleted: i64,
        header: Option<&ResponseHeader>,
    ) {
        let revision = self.learn_revision(header);
        if deleted > 0 {
            self.made.insert(revision);
        }
        self.known.remove(&delete.key);
    }

    fn learn_txn(&mut self, txn: &TxnRequest, answer: &TxnResponse) {
        self.learn_revision(answer.header.as_ref());
        let branch = if answer.succeeded { &txn.success } else { &txn.failure };
        for (asked, told) in branch.iter().zip(&answer.responses) {
            match (&asked.request, &told.response) {
                (Some(Request::RequestPut(asked)), Some(Response::ResponsePut(_))) => {
                    self.learn_put(asked, answer.header.as_ref());
                }
                (Some(Request::RequestRange(asked)), Some(Response::ResponseRange(told))) => {
                    self.learn_range(asked, told);
                }
                (
                    Some(Request::RequestDeleteRange(asked)),
                    Some(Response::ResponseDeleteRange(told)),
                ) => self.learn_delete(asked, told.deleted, answer.header.as_ref()),
                (Some(Request::RequestTxn(asked)), Some(Response::ResponseTxn(told))) => {
                    self.learn_txn(asked, told);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use checker::{
        history::generic::{Datum, to_datum},
        model::etcd,
    };

    use super::*;

    fn operations(seed: u64) -> Vec<Operation> {
        let mut etcd = Etcd::new(&Options { keys: 8, large: 2, sparing: false }, seed);
        (0..4000).map(|_| etcd.operation()).collect()
    }

    #[test]
    fn it_is_a_function_of_the_seed() {
        assert_eq!(operations(1), operations(1));
        assert_ne!(operations(1), operations(2));
    }

    #[test]
    fn the_checker_s_model_reads_every_request() {
        for operation in operations(1) {
            let (f, datum) =
                (record::function(&operation.request), record::request(&operation.request));
            let request = etcd::Request::read(f, &datum).unwrap();
            let Datum::Map(fields) = to_datum(&request).unwrap() else { panic!() };
            assert_eq!(fields, [(Datum::Text(f.into()), datum)]);
        }
    }

    #[test]
    fn every_call_and_every_retry_occurs() {
        let operations = operations(1);
        let calls: BTreeSet<_> =
            operations.iter().map(|operation| record::function(&operation.request)).collect();
        assert_eq!(calls, BTreeSet::from(["delete-range", "put", "range", "txn"]));
        for retry in [Retry::Never, Retry::IfLost, Retry::Always] {
            let count = operations.iter().filter(|operation| operation.retry == retry).count();
            assert!(count > 300, "{retry:?}: {count}");
        }
    }

    /// Whether a transaction writes, and reads at some revision by itself.
    fn writes_and_reads_old(txn: &TxnRequest) -> bool {
        let all = || txn.success.iter().chain(&txn.failure).flat_map(|it| &it.request);
        let old = |it: &Request| matches!(it, Request::RequestRange(range) if range.revision != 0);
        all().any(old) && !kv::Request::Txn(txn.clone()).is_read()
    }

    #[test]
    fn who_is_spared_is_not_asked_to_write_and_to_read_at_a_revision() {
        let asked = |sparing| {
            let mut etcd = Etcd::new(&Options { keys: 8, large: 0, sparing }, 1);
            let requests: Vec<_> = (0..4000).map(|_| etcd.operation().request).collect();
            let bad = |request: &&kv::Request| matches!(request, kv::Request::Txn(txn) if writes_and_reads_old(txn));
            requests.iter().filter(bad).count()
        };
        assert!(asked(false) > 20);
        assert_eq!(asked(true), 0);
    }

    #[test]
    fn few_requests_are_large_and_some_of_them_are_too_large() {
        let limit = node::replica::Limits::default().request_bytes;
        let sizes: Vec<usize> = (0..20)
            .flat_map(operations)
            .map(|operation| operation.request.encoded_len())
            .filter(|size| *size > 100_000)
            .collect();
        assert_eq!(sizes.len(), 40);
        assert!(sizes.contains(&limit) && sizes.contains(&(limit + 1)), "{sizes:?}");
    }

    #[test]
    fn most_requests_are_well_formed() {
        let operations = operations(1);
        let refused = operations.iter().filter(|it| it.request.check().is_err()).count();
        assert!((20..400).contains(&refused), "{refused}");
    }
}
