//! The one door into the checker. Picks the model and its deciders, and says what was found.
//!
//! - [`history()`] judges a bare history. Its functions tell the model, unless one is named.
//! - [`run()`] judges a run directory. `run.json` names the model.
//! - [`online()`] looks at a history while it is recorded.
//!
//! [`models::MODELS`] is the list of all models; a new one is a line there.

mod clients;
pub mod front;
pub mod models;
pub mod online;
mod run;

use std::{collections::BTreeSet, fmt};

use crate::{
    budget::Limits,
    history::{Events, Format, History, Kind},
    property::completeness,
    text::{count, grouped},
    verdict::Verdict,
};
use clients::Checked;
use models::{Check, MODELS, Model};
pub use run::{online, run, run_after};

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
    /// Its events, as they were checked.
    pub events: Events,
}

/// Why a history cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No model has all its functions.
    #[error("no model has the functions {}; {}", .0.join(" "), models::known())]
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

/// Judges a bare history by a model, or by the one that its functions tell.
///
/// # Errors
/// No model fits, or the one that was asked for does not.
pub fn history(
    history: History,
    model: Option<&'static Model>,
    limits: &Limits,
) -> Result<Judgement, Error> {
    let History { format, events, skipped, gaps, numbering: _ } = history;
    let (functions, operations, processes) = summary(&events);
    // In Porcupine's text a key that is not there reads as the empty text, append or not.
    let told = (format == Format::Porcupine).then(|| Model::named("kv")).flatten();
    let (model, events) = choose(model.or(told), events, &functions)?;
    let (properties, malformed) = match &events {
        Events::Register(events) => {
            let Checked { properties, malformed, .. } = clients::registers(events, limits);
            (properties, malformed)
        }
        Events::Generic(events) => {
            let Checked { properties, malformed, .. } = clients::generic(events, model, limits);
            (properties, malformed)
        }
    };
    let mut properties =
        properties.map_err(|problem| Error::Unfit { model: model.name, problem })?;
    properties.push(completeness::check_history(events.len(), &gaps, malformed.as_ref()));
    let found = Found { format, operations, processes, functions, skipped, model };
    Ok(Judgement { found, verdict: Verdict::of(properties), events })
}

/// The model, and the events in the type that it reads.
fn choose(
    asked: Option<&'static Model>,
    events: Events,
    functions: &[String],
) -> Result<(&'static Model, Events), Error> {
    let is_register = |model: &Model| matches!(model.check, Check::Register);
    let registers = MODELS.iter().find(|model| is_register(model));
    // Registers of integers are recognized by their values too.
    let events = match asked.or(registers) {
        Some(model) => clients::typed(events, model),
        None => events,
    };
    let names: Vec<&str> = functions.iter().map(String::as_str).collect();
    let told = match events {
        Events::Register(_) => registers,
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
