//! Stores of texts: what an operation of a history is to the model, and which deciders are asked.

use crate::{
    budget::{Budget, Limits},
    history::{
        generic::{Datum, Operation as Source, Outcome},
        operation::MISMATCH,
    },
    linear::{
        append_text, certificate,
        generic::{Decision, Object, Objects, Told},
        witness,
    },
    model::{
        Unexpected,
        kv::{Kv, Operation, Seen},
    },
    verdict::Property,
};

/// Decides a history of `get`, `put`, `append`, `cas` and `delete` (or `read` and `write`), each
/// key on its own. Texts are strings. A key that is not there reads as nil; in a history without
/// any nil in an answer it reads as the empty text, and is the same as a key that holds that.
///
/// # Errors
/// An event that is none of such a store.
pub fn check(operations: &[Source<'_>], limits: &Limits) -> Result<Property, Unexpected> {
    let nil = operations.iter().any(|operation| match operation.f {
        "get" | "read" => matches!(operation.outcome, Outcome::Ok { value: Datum::Nil, .. }),
        "cas" => operation.found() == Some(&Datum::Nil),
        _ => false,
    });
    let objects = Objects::of(operations, |operation| read(operation, nil))?;
    Ok(objects.check(limits, decide))
}

fn decide(object: &Object<'_, Operation<'_>>, budget: &Budget) -> Decision {
    let model = Seen::by(&object.intervals);
    let order = witness::order(&model, &object.intervals, &object.revisions());
    let valid = |order: &Vec<usize>| certificate::verify(&model, &object.intervals, order);
    if order.is_some_and(|order| valid(&order) && object.in_turn(&order)) {
        return Decision::Linearizable;
    }
    match append_text::decide(&object.intervals) {
        append_text::Found::Linearizable(order) if object.in_turn(&order) => {
            return Decision::Linearizable;
        }
        append_text::Found::Illegal(conflict) => {
            let part = conflict.part(&object.intervals);
            let told = Told { summary: conflict.told(object), part: part.told() };
            let (needed, part) = (conflict.operations(), |operation: &_| part.of(operation));
            return object.refuted(&Kv::default(), told, &needed, part, budget, |state| {
                state.as_ref().map_or("absent".into(), |text| format!("\"{text}\""))
            });
        }
        append_text::Found::Linearizable(_) | append_text::Found::Undecided => {}
    }
    object.search(&model, budget, |state| match model.text(*state) {
        Some(Some(text)) => format!("\"{text}\""),
        Some(None) => "absent".into(),
        None => "another that no answer shows".into(),
    })
}

/// What an operation of a history says of its key. `nil` is whether a missing key reads as nil.
fn read<'a>(source: &Source<'a>, nil: bool) -> Result<Option<Operation<'a>>, Unexpected> {
    let present = |text: &'a str| (nil || !text.is_empty()).then_some(text);
    let argument =
        |expected| source.argument.text().ok_or_else(|| Unexpected::argument(source, expected));
    let text = |datum: &'a Datum| match datum {
        Datum::Nil => Some(None),
        Datum::Text(text) => Some(present(text)),
        _ => None,
    };
    let pair = || {
        let wrong = || Unexpected::argument(source, "[expected new] of texts or nil");
        let Some([expected, new]) = source.argument.list() else { return Err(wrong()) };
        Ok((text(expected).ok_or_else(wrong)?, text(new).ok_or_else(wrong)?))
    };
    let found = |found: &'a Datum| {
        text(found).ok_or_else(|| Unexpected::answer(source, "[found], a text or nil"))
    };
    let refused = matches!(source.outcome, Outcome::Failed { error: Some(MISMATCH), .. });
    let failed = matches!(source.outcome, Outcome::Failed { .. });
    Ok(match source.f {
        "get" | "read" => match source.outcome {
            Outcome::Ok { value: Datum::Nil, .. } => Some(Operation::Get(None)),
            Outcome::Ok { value: Datum::Text(text), .. } => Some(Operation::Get(present(text))),
            Outcome::Ok { .. } => return Err(Unexpected::answer(source, "the text or nil")),
            Outcome::Failed { .. } | Outcome::Unknown { .. } => None,
        },
        "put" | "write" => {
            let text = argument("the text to put")?;
            Some(present(text).map_or(Operation::Delete, Operation::Put)).filter(|_| !failed)
        }
        "append" => {
            let piece = argument("the text to append")?;
            present(piece).map(Operation::Append).filter(|_| !failed)
        }
        "delete" => Some(Operation::Delete).filter(|_| !failed),
        "cas" => {
            let (expected, new) = pair()?;
            if refused {
                Some(match source.found().map(found).transpose()? {
                    None => Operation::Mismatch(expected),
                    Some(found) if found == expected => Operation::Contradiction,
                    Some(found) => Operation::Get(found),
                })
            } else {
                Some(Operation::Cas(expected, new)).filter(|_| !failed)
            }
        }
        _ => return Err(Unexpected::function(source, "get, put, append, cas or delete")),
    })
}
