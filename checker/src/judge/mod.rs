//! Judges a bare history, of whatever kind: chooses the model that its functions tell, checks, and
//! says what was found.
//!
//! [`models::MODELS`] is the list of all models; a new one is a line there.

pub mod front;
pub mod models;
mod run;

use std::{collections::BTreeSet, fmt};

use crate::{
    budget::Limits,
    explanation::{self, Explanation, Tell},
    history::{
        Events, Format, History, Kind, generic,
        operation::{self, Malformed},
        register,
    },
    linear,
    property::completeness,
    text::{count, grouped},
    verdict::{Outcome, Property, Verdict},
};
use models::{Check, MODELS, Model};
pub use run::{run, run_after};

/// What a history is: `Jepsen EDN, 1,234 operations of 12 processes, functions cas read write:
/// register`.
#[derive(Clone, Debug)]
pub struct Found {
    /// How it was written.
    pub format: Format,
    /// Invocations.
    pub operations: u64,
    /// Clients.
    pub processes: u64,
    /// The names of the functions, in order.
    pub functions: Vec<String>,
    /// Events of no client, which were left out.
    pub skipped: u64,
    /// The model that it is checked against.
    pub model: &'static Model,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n: u64, plural| if n == 1 { "" } else { plural };
        let Self { format, operations, processes, .. } = self;
        write!(f, "{format}, {} operation{}", grouped(*operations), plural(*operations, "s"))?;
        write!(f, " of {} process{}", grouped(*processes), plural(*processes, "es"))?;
        if !self.functions.is_empty() {
            write!(f, ", functions {}", self.functions.join(" "))?;
        }
        if self.skipped > 0 {
            let skipped = usize::try_from(self.skipped).unwrap_or(usize::MAX);
            write!(f, ", {} of the nemesis left out", count(skipped, "event"))?;
        }
        write!(f, ": {}", self.model.name)
    }
}

/// What was said of a history.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What it is.
    pub found: Found,
    /// What it is worth.
    pub verdict: Verdict,
    /// Why properties are violated, for a picture.
    pub explanations: Vec<Explanation>,
}

/// Why a history cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No model has all its functions.
    #[error("no model has the functions {}; {}", .0.join(" "), known())]
    NoModel(Vec<String>),
    /// The model does not understand an event.
    #[error("{problem} (it is checked as {model}; --model names another)")]
    Unfit {
        /// The model.
        model: &'static str,
        /// The event, and what belongs there.
        problem: String,
    },
}

fn known() -> String {
    let models: Vec<String> = MODELS
        .iter()
        .map(|model| format!("{} ({})", model.name, model.functions.join(" ")))
        .collect();
    format!("there are {}", models.join(", "))
}

/// Judges a history by a model, or by the one that its functions tell.
///
/// # Errors
/// No model fits, or the one that was asked for does not.
pub fn judge(
    history: History,
    model: Option<&'static Model>,
    limits: &Limits,
) -> Result<Judgement, Error> {
    let History { format, events, skipped, gaps, numbering: _ } = history;
    let (functions, operations, processes) = summary(&events);
    // In Porcupine's text a key that is not there reads as the empty text, append or not.
    let told = (format == Format::Porcupine).then(|| Model::named("kv")).flatten();
    let (model, events) = choose(model.or(told), events, &functions)?;
    let length = events.len();
    let mut explanations = Vec::new();
    let anything;
    let (checked, malformed) = match &events {
        Events::Register(events) => {
            let (operations, malformed) = paired(operation::pair(events));
            anything = operations.iter().any(operation::Operation::is_told);
            let properties = vec![linear::check(&operations, limits)];
            explanations = explain(&properties, &operations);
            (Ok(properties), malformed)
        }
        Events::Generic(events) => {
            let (operations, malformed) = paired(generic::pair(events));
            anything = operations.iter().any(generic::Operation::is_told);
            let checked = match model.check {
                Check::Model(check) => check(&operations, limits),
                Check::Register => any_registers(&operations, limits),
            };
            if let Ok(properties) = &checked {
                explanations = explain(properties, &operations);
            }
            (checked, malformed)
        }
    };
    let mut properties = checked.map_err(|problem| Error::Unfit { model: model.name, problem })?;
    if malformed.is_some() {
        for property in &mut properties {
            property.outcome = Outcome::Unknown;
            property.detail = "not checked: the history contradicts itself".into();
        }
    } else if length > 0 && !anything {
        for property in properties.iter_mut().filter(|p| p.outcome == Outcome::Ok) {
            property.outcome = Outcome::Unknown;
            property.detail =
                "not checked: of no operation it is known that it took effect or observed anything"
                    .into();
        }
    }
    properties.push(completeness::check_history(length, &gaps, malformed.as_ref()));
    let found = Found { format, operations, processes, functions, skipped, model };
    Ok(Judgement { found, verdict: Verdict::of(properties), explanations })
}

/// The operations, none where the history contradicts itself.
fn paired<O>(pairs: Result<Vec<O>, Malformed>) -> (Vec<O>, Option<Malformed>) {
    match pairs {
        Ok(operations) => (operations, None),
        Err(malformed) => (Vec::new(), Some(malformed)),
    }
}

fn explain(properties: &[Property], operations: &[impl Tell]) -> Vec<Explanation> {
    explanation::of(properties.iter().flat_map(|property| &property.violations), operations)
}

/// Registers of other values than integers.
fn any_registers(
    operations: &[generic::Operation<'_>],
    limits: &Limits,
) -> Result<Vec<Property>, String> {
    let property = front::register::check(operations, limits);
    property.map(|property| vec![property]).map_err(|unexpected| unexpected.to_string())
}

/// The model, and the events in the type that it reads.
fn choose(
    asked: Option<&'static Model>,
    events: Events,
    functions: &[String],
) -> Result<(&'static Model, Events), Error> {
    // Registers of integers, which have a type of their own, are recognized by their values too.
    let is_register =
        |model: Option<&Model>| model.is_none_or(|model| matches!(model.check, Check::Register));
    let events = match events {
        Events::Generic(events) if is_register(asked) => {
            register::from_generic(events).map_or_else(Events::Generic, Events::Register)
        }
        Events::Register(events) if !is_register(asked) => {
            Events::Generic(events.into_iter().map(Into::into).collect())
        }
        events => events,
    };
    let names: Vec<&str> = functions.iter().map(String::as_str).collect();
    let told = match events {
        Events::Register(_) => MODELS.iter().find(|model| is_register(Some(model))),
        Events::Generic(_) => MODELS.iter().find(|model| model.is_told_by(&names)),
    };
    match asked.or(told) {
        Some(model) => Ok((model, events)),
        None => Err(Error::NoModel(functions.to_vec())),
    }
}

/// Functions in order, operations and processes.
fn summary(events: &Events) -> (Vec<String>, u64, u64) {
    fn count<'a>(events: impl Iterator<Item = (Kind, &'a str, u64)>) -> (Vec<String>, u64, u64) {
        let (mut functions, mut processes) = (BTreeSet::new(), BTreeSet::new());
        let mut operations = 0;
        for (_, f, process) in events.filter(|(kind, ..)| *kind == Kind::Invoke) {
            if !functions.contains(f) {
                functions.insert(f.to_owned());
            }
            processes.insert(process);
            operations += 1;
        }
        (functions.into_iter().collect(), operations, processes.len() as u64)
    }
    match events {
        Events::Register(events) => count(events.iter().map(|e| (e.kind, e.f.name(), e.process))),
        Events::Generic(events) => count(events.iter().map(|e| (e.kind, &*e.f, e.process))),
    }
}
