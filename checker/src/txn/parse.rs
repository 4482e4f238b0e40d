//! Transactions as they were told: operations named `txn` whose argument is a list of steps,
//! `[[append k v] [r k nil]]`, and whose answer is the same with what was read,
//! `[[append k v] [r k [1 2 3]]]`. An answer of nil is the empty list.

use super::{
    history::{Builder, History, Micro},
    transaction::{Fate, Transaction, Unfit},
    verify,
};
use crate::{
    budget::{Budget, Spent},
    history::generic::{Datum, Operation, Outcome},
};

/// Operations between two looks at the budget.
const BETWEEN: usize = 4096;

/// Why operations could not be made a [`History`].
pub(super) enum Stopped {
    Unfit(Unfit),
    Spent(Spent),
}

impl From<Unfit> for Stopped {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

/// The compact form of operations. Transactions have the numbers of their operations.
pub(super) fn history(operations: &[Operation<'_>], budget: &Budget) -> Result<History, Stopped> {
    let mut builder = Builder::default();
    let mut steps = Vec::new();
    for (at, operation) in operations.iter().enumerate() {
        if at % BETWEEN == 0 {
            budget.both(builder.bytes()).map_err(Stopped::Spent)?;
        }
        let (transaction, told) = transaction(operation);
        steps.clear();
        micros(operation, told, &mut steps)?;
        builder.push(transaction, steps.drain(..))?;
    }
    Ok(builder.finish())
}

/// The transaction, and what its completion says of its steps if they count.
fn transaction<'a>(operation: &Operation<'a>) -> (Transaction, Option<(u64, &'a Datum)>) {
    let &Operation { process, index, call, .. } = operation;
    let (fate, ret, completion, told) = match operation.outcome {
        Outcome::Ok { time, index, value, .. } => {
            (Fate::Committed, time, Some(index), Some((index, value)))
        }
        Outcome::Failed { time, index, .. } => (Fate::Aborted, time, Some(index), None),
        Outcome::Unknown { .. } => (Fate::Unknown, u64::MAX, None, None),
    };
    (Transaction { process, index, completion, call, ret, fate }, told)
}

/// What a transaction did, step by step.
fn micros<'a>(
    operation: &Operation<'a>,
    told: Option<(u64, &'a Datum)>,
    steps: &mut Vec<Micro<'a>>,
) -> Result<(), Unfit> {
    let index = operation.index;
    if operation.f != "txn" {
        return Err(Unfit::new(index, format!("the function txn, found {}", operation.f)));
    }
    if *operation.key != Datum::Nil {
        let found = format!("no key beside the steps' own, found {}", operation.key);
        return Err(Unfit::new(index, found));
    }
    let asked = list(index, operation.argument)?;
    let answered = match told {
        Some((index, value)) => Some((index, list(index, value)?)),
        None => None,
    };
    if let Some((index, answered)) = answered
        && answered.len() != asked.len()
    {
        let (asked, answered) = (asked.len(), answered.len());
        return Err(Unfit::new(index, format!("{asked} steps as asked for, found {answered}")));
    }
    for (at, asked) in asked.iter().enumerate() {
        let (f, key, value) = step(index, asked)?;
        let answer = match answered {
            Some((index, answered)) => {
                let (g, of, answer) = step(index, &answered[at])?;
                if f != g || key != of || f == "append" && value != answer {
                    let found = format!("the step {asked} to be answered, found {}", answered[at]);
                    return Err(Unfit::new(index, found));
                }
                Some((index, answer))
            }
            None => None,
        };
        steps.push(match (f, answer) {
            ("append", _) => Micro::Append(key, value),
            (_, None) => Micro::Read(key, None),
            (_, Some((_, Datum::Nil))) => Micro::Read(key, Some(&[])),
            (_, Some((_, Datum::List(values)))) => Micro::Read(key, Some(values)),
            (_, Some((index, other))) => {
                let found = format!("a list or nil as what {asked} read, found {other}");
                return Err(Unfit::new(index, found));
            }
        });
    }
    Ok(())
}

fn list(index: u64, value: &Datum) -> Result<&[Datum], Unfit> {
    value.list().ok_or_else(|| {
        Unfit::new(index, format!("steps such as [[append 1 2] [r 3 nil]], found {value}"))
    })
}

/// The function, key and value of a step.
fn step(index: u64, step: &Datum) -> Result<(&str, &Datum, &Datum), Unfit> {
    if let Some([Datum::Text(f), key, value]) = step.list()
        && matches!(&**f, "append" | "r")
    {
        return Ok((f, key, value));
    }
    Err(Unfit::new(index, format!("a step such as [append 1 2] or [r 3 nil], found {step}")))
}

/// Operations as [`verify`] looks at them: it reads what was told, not what [`history`] made of it.
pub(super) struct Recorded<'a>(pub(super) &'a [Operation<'a>]);

impl verify::Subject for Recorded<'_> {
    type Name = Datum;

    fn transactions(&self) -> usize {
        self.0.len()
    }

    fn span(&self, transaction: u32) -> verify::Span {
        let operation = &self.0[transaction as usize];
        let &Operation { process, call, .. } = operation;
        let (ret, fate) = match operation.outcome {
            Outcome::Ok { time, .. } => (time, Fate::Committed),
            Outcome::Failed { time, .. } => (time, Fate::Aborted),
            Outcome::Unknown { .. } => (u64::MAX, Fate::Unknown),
        };
        verify::Span { process, call, ret, fate }
    }

    fn step(&self, transaction: u32, step: u32) -> Option<verify::Step<'_, Datum>> {
        let operation = &self.0[transaction as usize];
        let (value, ok) = match operation.outcome {
            Outcome::Ok { value, .. } => (value, true),
            _ => (operation.argument, false),
        };
        match value.list()?.get(step as usize)?.list()? {
            [f, key, element] if f.text() == Some("append") => {
                Some(verify::Step::Append(key, element))
            }
            [_, key, answer] if ok => {
                Some(verify::Step::Read(key, answer.list().unwrap_or_default()))
            }
            _ => Some(verify::Step::Unanswered),
        }
    }
}
