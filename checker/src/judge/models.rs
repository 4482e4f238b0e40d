//! The models that a history can be checked against, a line each.

use super::front::{bank, etcd, kv, lock, queue, set};
use crate::{
    budget::Limits,
    consistency::{sequential, session},
    history::generic::Operation,
    txn,
    verdict::Property,
    watch,
};

/// A model, as the command line and the detection know it.
#[derive(Debug)]
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// What it is, and what is checked.
    pub about: &'static str,
    /// The functions that it understands.
    pub functions: &'static [&'static str],
    /// A history with one of these, and no function that the model lacks, is the model's; with none
    /// here, the model must be asked for.
    pub told_by: &'static [&'static str],
    /// How it is checked.
    pub check: Check,
}

/// How a history is checked against a model.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// A register, whose values are integers or else anything.
    Register,
    /// Any other model: what is no operation of it is an error, in words.
    Model(fn(&[Operation<'_>], &Limits) -> Result<Vec<Property>, String>),
}

/// What is done to a register.
const REGISTER: &[&str] = &["read", "get", "write", "put", "set", "cas", "delete", "del"];

/// Nothing tells a promise that is weaker: to take it for the one that was made would hide
/// violations.
const ASKED_FOR: &[&str] = &[];

/// Every model. The first that a history's functions tell is the one it is checked against.
pub const MODELS: &[Model] = &[
    Model {
        name: "register",
        about: "registers, linearizable",
        functions: REGISTER,
        told_by: REGISTER,
        check: Check::Register,
    },
    Model {
        name: "kv",
        about: "a store of texts that can be appended to, linearizable",
        functions: &["read", "get", "write", "put", "append", "cas", "delete"],
        told_by: &["append"],
        check: Check::Model(|operations, limits| one(kv::check(operations, limits))),
    },
    Model {
        name: "etcd",
        about: "the whole store of etcd's KV: ranges, transactions, revisions; linearizable",
        functions: crate::model::etcd::FUNCTIONS,
        told_by: &["range", "delete-range"],
        check: Check::Model(|operations, limits| one(etcd::check(operations, limits))),
    },
    Model {
        name: "set",
        about: "sets that are read whole, linearizable",
        functions: &["add", "remove", "read"],
        told_by: &["add", "remove"],
        check: Check::Model(|operations, limits| one(set::check(operations, limits))),
    },
    Model {
        name: "queue",
        about: "queues, first in, first out, linearizable",
        functions: &["enqueue", "dequeue"],
        told_by: &["enqueue", "dequeue"],
        check: Check::Model(|operations, limits| one(queue::check(operations, limits))),
    },
    Model {
        name: "mutex",
        about: "locks, held by one at a time, linearizable",
        functions: &["acquire", "release"],
        told_by: &["acquire", "release"],
        check: Check::Model(|operations, limits| one(lock::check(operations, limits))),
    },
    Model {
        name: "list-append",
        about: "transactions that append to lists and read them, strictly serializable",
        functions: &["txn"],
        told_by: &["txn"],
        check: Check::Model(|operations, limits| one(txn::check(operations, limits))),
    },
    Model {
        name: "bank",
        about: "accounts with transfers and reads of all, strictly serializable, one constant total",
        functions: bank::FUNCTIONS,
        told_by: &["transfer"],
        check: Check::Model(|operations, limits| several(bank::check(operations, limits))),
    },
    Model {
        name: "sequential",
        about: "registers, sequentially consistent: one order for all, real time apart",
        functions: REGISTER,
        told_by: ASKED_FOR,
        check: Check::Model(|operations, limits| several(sequential::check(operations, limits))),
    },
    Model {
        name: "session",
        about: "registers whose reads may be stale: what each session may still rely on",
        functions: REGISTER,
        told_by: ASKED_FOR,
        check: Check::Model(|operations, limits| several(session::check(operations, limits))),
    },
    Model {
        name: "watch",
        about: "streams of changes, with the writes that they tell: in order, once, without a gap",
        functions: watch::FUNCTIONS,
        told_by: &["watch"],
        check: Check::Model(|operations, limits| several(watch::check(operations, limits))),
    },
];

/// Other names of models: `txn` is what a history of transactions calls its operations.
pub const ALIASES: &[(&str, &str)] = &[("txn", "list-append")];

/// What a model with one property says.
fn one<E: ToString>(property: Result<Property, E>) -> Result<Vec<Property>, String> {
    property.map(|property| vec![property]).map_err(|unexpected| unexpected.to_string())
}

/// What a model with several properties says.
fn several<E: ToString>(properties: Result<Vec<Property>, E>) -> Result<Vec<Property>, String> {
    properties.map_err(|unexpected| unexpected.to_string())
}

impl Model {
    /// The model that is called so.
    pub fn named(name: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.name == name || model.aliases().any(|also| also == name))
    }

    /// Other names of the model.
    pub fn aliases(&self) -> impl Iterator<Item = &'static str> {
        ALIASES.iter().filter(|(_, name)| *name == self.name).map(|(also, _)| *also)
    }

    /// Whether a history with these functions is this model's.
    pub fn is_told_by(&self, functions: &[&str]) -> bool {
        functions.iter().all(|f| self.functions.contains(f))
            && functions.iter().any(|f| self.told_by.contains(f))
    }
}

/// The models that there are, and their functions, in words.
pub(super) fn known() -> String {
    let models: Vec<String> = MODELS
        .iter()
        .map(|model| format!("{} ({})", model.name, model.functions.join(" ")))
        .collect();
    format!("there are {}", models.join(", "))
}
