//! The models that a history can be checked against, a line each.

use crate::{history::generic::Operation, linear::Limits, verdict::Property};

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

/// Every model. The first that a history's functions tell is the one it is checked against.
pub const MODELS: &[Model] = &[Model {
    name: "register",
    about: "registers, linearizable",
    functions: &["read", "get", "write", "put", "set", "cas", "delete", "del"],
    told_by: &["read", "get", "write", "put", "set", "cas", "delete", "del"],
    check: Check::Register,
}];

impl Model {
    /// The model that is called so.
    pub fn named(name: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.name == name)
    }

    /// Whether a history with these functions is this model's.
    pub fn is_told_by(&self, functions: &[&str]) -> bool {
        functions.iter().all(|f| self.functions.contains(f))
            && functions.iter().any(|f| self.told_by.contains(f))
    }
}
