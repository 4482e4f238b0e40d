//! Sets: what an operation of a history is to the model, and which deciders are asked. Of a set
//! that was refuted, each element that was lost, came back, is there twice or was never added is
//! named too.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    budget::Limits,
    history::generic::{Datum, Operation as Source, Outcome},
    linear::{
        elements::{self, Finding, Wrong},
        generic::{Decision, Object, Objects, Told},
        grow_only_set,
    },
    model::{
        Numbers, Unexpected,
        set::{Operation, Set},
    },
    text::count,
    verdict::{self, Property, VIOLATIONS_MAX, Violation},
};

/// Decides a history of `add`, `remove` and `read`, each key on its own. A read is answered with a
/// list of all members, in any order; one that holds a member twice is the answer of no set.
///
/// # Errors
/// An event that is none of a set.
pub fn check(operations: &[Source<'_>], limits: &Limits) -> Result<Property, Unexpected> {
    let mut members = Numbers::default();
    let objects = Objects::of(operations, |source| read(source, &mut members))?;
    let words = |state: &BTreeSet<usize>| {
        let names: Vec<String> =
            state.iter().map(|&member| members.datum(member).to_string()).collect();
        format!("{{{}}}", names.join(" "))
    };
    let mut property = objects.check(limits, |object, budget| {
        match grow_only_set::decide(&object.intervals) {
            grow_only_set::Found::Linearizable(order) if object.in_turn(&order) => {
                return Decision::Linearizable;
            }
            grow_only_set::Found::Illegal(conflict) => {
                let elements = conflict.elements(&object.intervals).into_iter().collect();
                let told = Told { summary: conflict.told(object), part: Some(words(&elements)) };
                let (needed, part) = (conflict.operations(), conflict.part(&object.intervals));
                return object.refuted(&Set, told, &needed, part, budget, words);
            }
            grow_only_set::Found::Linearizable(_) | grow_only_set::Found::Undecided => {}
        }
        object.search(&Set, budget, words)
    });
    if property.outcome == verdict::Outcome::Violated {
        name_elements(&objects, &members, &mut property);
    }
    Ok(property)
}

/// Adds what became of elements to a property that is violated: the first of them each as a
/// violation of its own, the others by number.
fn name_elements(objects: &Objects<'_, Operation>, names: &Numbers<'_>, property: &mut Property) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for object in objects.iter() {
        for finding in elements::find(&object.intervals) {
            let violation = named(object, names, finding);
            *counts.entry(fate(finding.wrong)).or_default() += 1;
            if property.violations.len() < VIOLATIONS_MAX {
                property.violations.push(violation);
            }
        }
    }
    for (fate, number) in counts {
        property.detail += &format!("; {fate}: {}", count(number, "element"));
    }
}

/// What became of an element, in a word.
fn fate(wrong: Wrong) -> &'static str {
    match wrong {
        Wrong::Lost { .. } => "lost",
        Wrong::Resurrected { .. } => "resurrected",
        Wrong::Duplicated { .. } => "duplicated",
        Wrong::NeverAdded { .. } => "never added",
    }
}

/// What became of an element: which, who knew it when, who lacks it when.
fn named(
    object: &Object<'_, Operation>,
    names: &Numbers<'_>,
    Finding { element, wrong }: Finding,
) -> Violation {
    let element = names.datum(element);
    let who = |at: usize| object.who(at);
    let when = |at: usize| object.when(at);
    let known = |at: usize| {
        let verb = match object.intervals[at].operation {
            Operation::Read(_) => "showed",
            Operation::Add(_) | Operation::Remove(_) => "acknowledged",
        };
        format!("{} {verb} it {}", who(at), when(at))
    };
    let (rule, summary, concerned) = match wrong {
        Wrong::Lost { known: by, read } => (
            "lost-element",
            format!(
                "element {element} was lost: {}; the read that {} answered {} lacks it, and so does \
                 every later read",
                known(by),
                who(read),
                when(read)
            ),
            vec![by, read],
        ),
        Wrong::Resurrected { known: by, read, again } => (
            "resurrected-element",
            format!(
                "element {element} was gone and came back: {}; the read that {} answered {} lacks \
                 it; {} showed it again {}",
                known(by),
                who(read),
                when(read),
                who(again),
                when(again)
            ),
            vec![by, read, again],
        ),
        Wrong::Duplicated { read } => (
            "duplicated-element",
            format!("{} showed element {element} twice {}", who(read), when(read)),
            vec![read],
        ),
        Wrong::NeverAdded { read } => (
            "never-added-element",
            format!(
                "{} showed element {element} {}, and no client had added it by then",
                who(read),
                when(read)
            ),
            vec![read],
        ),
    };
    let concerned: Vec<_> = concerned.into_iter().map(|at| object.source(at)).collect();
    Violation::by(rule, summary, &concerned)
}

fn read<'a>(
    source: &'a Source<'a>,
    numbers: &mut Numbers<'a>,
) -> Result<Option<Operation>, Unexpected> {
    if matches!(source.outcome, Outcome::Failed { .. }) {
        return Ok(None);
    }
    let member = |numbers: &mut Numbers<'a>, expected| match source.argument {
        Datum::Nil => Err(Unexpected::argument(source, expected)),
        member => Ok(numbers.number(member)),
    };
    Ok(match (source.f, source.outcome) {
        ("add", _) => Some(Operation::Add(member(numbers, "the element to add")?)),
        ("remove", _) => Some(Operation::Remove(member(numbers, "the element to remove")?)),
        ("read", Outcome::Ok { value, .. }) => {
            let wrong = || Unexpected::answer(source, "a list of all elements");
            let members = value.list().ok_or_else(wrong)?;
            let mut members: Box<[usize]> =
                members.iter().map(|member| numbers.number(member)).collect();
            members.sort_unstable();
            Some(Operation::Read(members))
        }
        ("read", _) => None,
        _ => return Err(Unexpected::function(source, "add, remove or read")),
    })
}
