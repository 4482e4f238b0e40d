//! What clients saw, checked against a model.

use super::{
    front,
    models::{Check, Model},
};
use crate::{
    budget::Limits,
    history::{
        Event, Events, Operation, generic,
        operation::{self, Malformed},
    },
    linear,
    verdict::{Outcome, Property},
};

/// Operations of one kind, and what was found.
pub(super) struct Checked<O> {
    /// All operations; none if the history contradicts itself.
    pub(super) operations: Vec<O>,
    /// How the history contradicts itself, if so.
    pub(super) malformed: Option<Malformed>,
    /// What the model's deciders say; or which event is none of the model's.
    pub(super) properties: Result<Vec<Property>, String>,
}

/// Whether the events have the type that the model's deciders read.
pub(super) fn is_typed(events: &Events, model: &Model) -> bool {
    matches!(events, Events::Register(_)) == matches!(model.check, Check::Register)
}

/// The events in the type that the model's deciders read. Registers of integers, which have a type
/// of their own, are recognized by their values; registers of other values stay generic.
pub(super) fn typed(events: Events, model: &Model) -> Events {
    match (events, model.check) {
        (Events::Generic(events), Check::Register) => events.into(),
        (Events::Register(events), Check::Model(_)) => {
            Events::Generic(events.into_iter().map(Into::into).collect())
        }
        (events, _) => events,
    }
}

/// Checks registers of integers.
pub(super) fn registers<'a>(events: &'a [Event], limits: &Limits) -> Checked<Operation<'a>> {
    Checked::of(operation::pair(events), Operation::is_told, |operations| {
        Ok(vec![linear::check(operations, limits)])
    })
}

/// Checks events of any model.
pub(super) fn generic<'a>(
    events: &'a [generic::Event],
    model: &Model,
    limits: &Limits,
) -> Checked<generic::Operation<'a>> {
    Checked::of(generic::pair(events), generic::Operation::is_told, |operations| {
        match model.check {
            Check::Model(check) => check(operations, limits),
            Check::Register => front::register::check(operations, limits)
                .map(|property| vec![property])
                .map_err(|unexpected| unexpected.to_string()),
        }
    })
}

impl<O> Checked<O> {
    /// Checks operations, of which `is_told` says whether their answers say anything.
    pub(super) fn of(
        operations: Result<Vec<O>, Malformed>,
        is_told: impl Fn(&O) -> bool,
        check: impl FnOnce(&[O]) -> Result<Vec<Property>, String>,
    ) -> Self {
        let (operations, malformed) = match operations {
            Ok(operations) => (operations, None),
            Err(malformed) => (Vec::new(), Some(malformed)),
        };
        let anything = operations.is_empty() || operations.iter().any(is_told);
        let mut properties = check(&operations);
        for property in properties.iter_mut().flatten() {
            if malformed.is_some() {
                property.outcome = Outcome::Unknown;
                property.detail = "not checked: the history contradicts itself".into();
            } else if !anything && property.outcome == Outcome::Ok {
                property.outcome = Outcome::Unknown;
                property.detail =
                    "not checked: of no operation it is known that it took effect or \
                                   observed anything"
                        .into();
            }
        }
        Self { operations, malformed, properties }
    }
}
