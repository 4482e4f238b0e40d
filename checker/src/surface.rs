//! What of etcd's `KV` a history tested: calls, options, limits, refusals.
//!
//! [`TABLE`] has a line for each part that a node serves. A part counts as tested if an answer
//! shows it: a request with the option was answered, or refused for that reason. A new request, or
//! a new option, adds its line.

use crate::{
    history::{Events, Function, generic, operation},
    model::etcd::{Range, Relation, Request, Response, SortOrder, SortTarget, Target, Txn, Value},
};

/// A request that was answered.
struct Call<'a> {
    request: &'a Request,
    answer: &'a Response,
    /// It is an operation of a transaction.
    within: bool,
}

/// Whether a call shows a part.
type Shows = fn(&Call<'_>) -> bool;

/// What shows a part.
enum By {
    /// A call that was answered.
    Call(Shows),
    /// A refusal that ends so.
    Refusal(&'static str),
}

const LARGE: u64 = 1 << 20;

fn range(call: &Call<'_>, is: fn(&Range) -> bool) -> bool {
    matches!(call.request, Request::Range(range) if is(range))
}

fn txn(call: &Call<'_>, is: fn(&Txn) -> bool) -> bool {
    matches!(call.request, Request::Txn(txn) if is(txn))
}

fn compares(call: &Call<'_>, target: Target, result: Relation) -> bool {
    let Request::Txn(txn) = call.request else { return false };
    txn.compare.iter().any(|compare| (compare.target, compare.result) == (target, result))
}

fn length(value: &Value) -> u64 {
    match value {
        Value::Whole(bytes) => bytes.0.len() as u64,
        Value::Digest(digest) => digest.length,
    }
}

/// A line of the table for each relation to a target.
macro_rules! compares {
    ($($name:literal: $target:ident $relation:ident,)*) => {
        [$(($name, By::Call(|call| compares(call, Target::$target, Relation::$relation)))),*]
    };
}

/// Compares of transactions.
const COMPARES: [(&str, By); 16] = compares! {
    "compare version equal": Version Equal,
    "compare version greater": Version Greater,
    "compare version less": Version Less,
    "compare version not-equal": Version NotEqual,
    "compare create equal": Create Equal,
    "compare create greater": Create Greater,
    "compare create less": Create Less,
    "compare create not-equal": Create NotEqual,
    "compare mod equal": Mod Equal,
    "compare mod greater": Mod Greater,
    "compare mod less": Mod Less,
    "compare mod not-equal": Mod NotEqual,
    "compare value equal": Value Equal,
    "compare value greater": Value Greater,
    "compare value less": Value Less,
    "compare value not-equal": Value NotEqual,
};

/// Everything else.
const TABLE: &[(&str, By)] = &[
    ("put", By::Call(|call| matches!(call.request, Request::Put(_)))),
    ("put prev_kv", By::Call(|call| matches!(call.request, Request::Put(put) if put.prev_kv))),
    (
        "put ignore_value",
        By::Call(|call| matches!(call.request, Request::Put(put) if put.ignore_value)),
    ),
    (
        "put ignore_lease",
        By::Call(|call| matches!(call.request, Request::Put(put) if put.ignore_lease)),
    ),
    (
        "put of an empty value",
        By::Call(|call| {
            matches!(call.request, Request::Put(put)
                if length(&put.value) == 0 && !put.ignore_value)
        }),
    ),
    (
        "put of more than 1 MiB",
        By::Call(|call| matches!(call.request, Request::Put(put) if length(&put.value) > LARGE)),
    ),
    ("range of one key", By::Call(|call| range(call, |range| range.range_end.0.is_empty()))),
    (
        "range of several keys",
        By::Call(|call| range(call, |range| !matches!(*range.range_end.0, [] | [0]))),
    ),
    ("range from a key on", By::Call(|call| range(call, |range| *range.range_end.0 == [0]))),
    (
        "range of the whole store",
        By::Call(|call| range(call, |range| *range.key.0 == [0] && *range.range_end.0 == [0])),
    ),
    ("range limit", By::Call(|call| range(call, |range| range.limit > 0))),
    ("range more", By::Call(|call| matches!(call.answer, Response::Range(answer) if answer.more))),
    ("range at an old revision", By::Call(|call| range(call, |range| range.revision > 0))),
    ("range serializable", By::Call(|call| range(call, |range| range.serializable))),
    ("range keys_only", By::Call(|call| range(call, |range| range.keys_only))),
    ("range count_only", By::Call(|call| range(call, |range| range.count_only))),
    (
        "range ascending",
        By::Call(|call| range(call, |range| range.sort_order == SortOrder::Ascend)),
    ),
    (
        "range descending",
        By::Call(|call| range(call, |range| range.sort_order == SortOrder::Descend)),
    ),
    (
        "range by version",
        By::Call(|call| range(call, |range| range.sort_target == SortTarget::Version)),
    ),
    (
        "range by create",
        By::Call(|call| range(call, |range| range.sort_target == SortTarget::Create)),
    ),
    ("range by mod", By::Call(|call| range(call, |range| range.sort_target == SortTarget::Mod))),
    (
        "range by value",
        By::Call(|call| range(call, |range| range.sort_target == SortTarget::Value)),
    ),
    ("range min_mod_revision", By::Call(|call| range(call, |range| range.min_mod_revision > 0))),
    ("range max_mod_revision", By::Call(|call| range(call, |range| range.max_mod_revision > 0))),
    (
        "range min_create_revision",
        By::Call(|call| range(call, |range| range.min_create_revision > 0)),
    ),
    (
        "range max_create_revision",
        By::Call(|call| range(call, |range| range.max_create_revision > 0)),
    ),
    ("delete", By::Call(|call| matches!(call.request, Request::DeleteRange(_)))),
    (
        "delete of several keys",
        By::Call(
            |call| matches!(call.request, Request::DeleteRange(delete) if !delete.range_end.0.is_empty()),
        ),
    ),
    (
        "delete prev_kv",
        By::Call(|call| matches!(call.request, Request::DeleteRange(delete) if delete.prev_kv)),
    ),
    (
        "delete of nothing",
        By::Call(
            |call| matches!(call.answer, Response::DeleteRange(answer) if answer.deleted == 0),
        ),
    ),
    ("txn", By::Call(|call| matches!(call.request, Request::Txn(_)))),
    (
        "txn success",
        By::Call(|call| matches!(call.answer, Response::Txn(answer) if answer.succeeded)),
    ),
    (
        "txn failure",
        By::Call(|call| matches!(call.answer, Response::Txn(answer) if !answer.succeeded)),
    ),
    (
        "txn of several operations",
        By::Call(|call| matches!(call.answer, Response::Txn(answer) if answer.responses.len() > 1)),
    ),
    ("txn within a txn", By::Call(|call| call.within && txn(call, |_| true))),
    (
        "compare of several keys",
        By::Call(|call| txn(call, |txn| txn.compare.iter().any(|it| !it.range_end.0.is_empty()))),
    ),
    (
        "compare without operand",
        By::Call(|call| txn(call, |txn| txn.compare.iter().any(|it| it.operand.is_none()))),
    ),
    ("refusal: key is not provided", By::Refusal("key is not provided")),
    ("refusal: key not found", By::Refusal("key not found")),
    ("refusal: value is provided", By::Refusal("value is provided")),
    ("refusal: lease is provided", By::Refusal("lease is provided")),
    ("refusal: requested lease not found", By::Refusal("requested lease not found")),
    ("refusal: too many operations", By::Refusal("too many operations in txn request")),
    ("refusal: duplicate key", By::Refusal("duplicate key given in txn request")),
    ("refusal: future revision", By::Refusal("required revision is a future revision")),
    ("refusal: request is too large", By::Refusal("request is too large")),
];

fn parts() -> impl Iterator<Item = &'static (&'static str, By)> {
    TABLE.iter().chain(&COMPARES)
}

/// The parts that were tested: a bit for each line of the tables, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tested(u128);

impl std::ops::BitOrAssign for Tested {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Tested {
    /// What a history tested.
    pub fn of(events: &Events) -> Self {
        let mut tested = Self::default();
        match events {
            Events::Register(events) => {
                let mut kinds = Vec::new();
                for operation in operation::pair(events).unwrap_or_default() {
                    let kind = (operation.f, crate::history::Request::succeeded(&operation));
                    if operation.is_told() && !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                }
                for (f, succeeded) in kinds {
                    tested.register(f, succeeded);
                }
            }
            Events::Generic(events) => {
                for operation in generic::pair(events).unwrap_or_default() {
                    tested.operation(&operation);
                }
            }
        }
        tested
    }

    /// The parts that there are.
    pub fn count() -> usize {
        parts().count()
    }

    /// The parts that were not tested.
    pub fn missing(self) -> Vec<&'static str> {
        let lines = (0..).zip(parts());
        lines.filter(|(bit, _)| self.0 & (1 << bit) == 0).map(|(_, (name, _))| *name).collect()
    }

    fn mark(&mut self, shown: impl Fn(&By) -> bool) {
        for (bit, (_, by)) in (0..).zip(parts()) {
            if self.0 & (1 << bit) == 0 && shown(by) {
                self.0 |= 1 << bit;
            }
        }
    }

    fn named(&mut self, names: &[&str]) {
        for (bit, (name, _)) in (0..).zip(parts()) {
            if names.contains(name) {
                self.0 |= 1 << bit;
            }
        }
    }

    /// An operation on a register, which a client performs by one of three requests.
    fn register(&mut self, f: Function, succeeded: bool) {
        match f {
            Function::Read => self.named(&["range of one key"]),
            Function::Write => self.named(&["put"]),
            Function::Delete => self.named(&["delete"]),
            Function::Cas => {
                let branch = if succeeded { "txn success" } else { "txn failure" };
                self.named(&["txn", branch, "compare value equal"]);
            }
        }
    }

    fn operation(&mut self, operation: &generic::Operation<'_>) {
        match operation.outcome {
            generic::Outcome::Ok { value, .. } => {
                let request = Request::read(operation.f, operation.argument);
                let answer = Response::read(operation.f, value);
                if let (Ok(request), Ok(answer)) = (request, answer) {
                    self.call(&Call { request: &request, answer: &answer, within: false });
                }
            }
            generic::Outcome::Failed { error: Some(error), .. } => {
                self.mark(|by| matches!(by, By::Refusal(text) if error.ends_with(text)));
            }
            generic::Outcome::Failed { .. } | generic::Outcome::Unknown { .. } => {}
        }
    }

    fn call(&mut self, call: &Call<'_>) {
        self.mark(|by| matches!(by, By::Call(shows) if shows(call)));
        if let (Request::Txn(request), Response::Txn(answer)) = (call.request, call.answer) {
            let taken = if answer.succeeded { &request.success } else { &request.failure };
            for (request, answer) in taken.iter().zip(&answer.responses) {
                self.call(&Call { request, answer, within: true });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn tested(lines: &[&str]) -> Tested {
        let events: Vec<generic::Event> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        Tested::of(&Events::Generic(events))
    }

    fn names(tested: Tested) -> BTreeSet<&'static str> {
        let missing = tested.missing();
        parts().map(|(name, _)| *name).filter(|name| !missing.contains(name)).collect()
    }

    #[test]
    fn every_part_has_a_bit_and_a_name_of_its_own() {
        assert!(Tested::count() <= 128);
        assert_eq!(parts().map(|(name, _)| name).collect::<BTreeSet<_>>().len(), Tested::count());
        assert_eq!(Tested::default().missing().len(), Tested::count());
    }

    #[test]
    fn only_what_was_answered_is_tested() {
        let get = r#"{"index":0,"time":1,"process":1,"type":"invoke","f":"range","value":{"key":"k","limit":1}}"#;
        let info = r#"{"index":1,"time":2,"process":1,"type":"info","f":"range","error":"?"}"#;
        let ok =
            r#"{"index":1,"time":2,"process":1,"type":"ok","f":"range","value":{"revision":1}}"#;
        let refused = r#"{"index":1,"time":2,"process":1,"type":"fail","f":"range","error":"INVALID_ARGUMENT: etcdserver: key is not provided"}"#;
        assert_eq!(names(tested(&[get])), BTreeSet::new());
        assert_eq!(names(tested(&[get, info])), BTreeSet::new());
        assert_eq!(names(tested(&[get, ok])), BTreeSet::from(["range limit", "range of one key"]));
        assert_eq!(
            names(tested(&[get, refused])),
            BTreeSet::from(["refusal: key is not provided"])
        );
    }

    #[test]
    fn the_branch_of_a_transaction_that_was_taken_is_tested() {
        let txn = r#"{"index":0,"time":1,"process":1,"type":"invoke","f":"txn","value":{
            "compare":[{"key":"k","target":"mod","result":"less","operand":9}],
            "success":[{"put":{"key":"k","prev_kv":true,"value":"v"}}],
            "failure":[{"delete-range":{"key":"k"}},{"txn":{}}]}}"#;
        let ok = r#"{"index":1,"time":2,"process":1,"type":"ok","f":"txn","value":{"revision":2,
            "succeeded":true,"responses":[{"put":{"revision":2}}]}}"#;
        assert_eq!(
            names(tested(&[txn, ok])),
            BTreeSet::from(["compare mod less", "put", "put prev_kv", "txn", "txn success"])
        );
    }
}
