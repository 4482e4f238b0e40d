//! Between the two kinds of events: what a register of integers can say, and what all can.

use rustc_hash::FxHashMap;

use super::{
    Event, Function, Kind, Value,
    generic::{self, Datum},
};

/// The key of histories without keys.
const ONLY: &str = "register";

impl From<Event> for generic::Event {
    fn from(event: Event) -> Self {
        let Event { index, time, process, kind, f, key, value, error, node, revision } = event;
        Self {
            index,
            time,
            process,
            kind,
            f: f.name().into(),
            key: Datum::Text(key.into()),
            value: value.into(),
            error: error.map(Into::into),
            node: node.map(Into::into),
            revision,
        }
    }
}

impl From<Value> for Datum {
    fn from(value: Value) -> Self {
        let integer = |value: Option<i64>| value.map_or(Self::Nil, Self::Int);
        match value {
            Value::Nil => Self::Nil,
            Value::Int(value) => Self::Int(value),
            Value::Pair(expected, new) => Self::List(vec![integer(expected), Self::Int(new)]),
            Value::Found(found) => Self::List(vec![integer(found)]),
        }
    }
}

impl Function {
    /// Its name in a history.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Cas => "cas",
            Self::Delete => "delete",
        }
    }

    /// The function that is called so.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "read" | "get" => Self::Read,
            "write" | "put" | "set" => Self::Write,
            "cas" => Self::Cas,
            "delete" | "del" => Self::Delete,
            _ => return None,
        })
    }
}

/// The events of registers of integers, if all are; else the events as they were.
///
/// # Errors
/// The events, where one of them is of another function, or of a value that is no integer.
pub fn from_generic(events: Vec<generic::Event>) -> Result<Vec<Event>, Vec<generic::Event>> {
    let mut names = FxHashMap::default();
    if !events.iter().all(|event| fits(event) && name(&mut names, &event.key).is_some()) {
        return Err(events);
    }
    let typed = |event: generic::Event| {
        let f = Function::of(&event.f)?;
        Some(Event {
            index: event.index,
            time: event.time,
            process: event.process,
            kind: event.kind,
            f,
            key: name(&mut names, &event.key)?,
            value: value(&event.value).unwrap_or(Value::Nil),
            error: event.error.map(Into::into),
            node: event.node.map(Into::into),
            revision: event.revision,
        })
    };
    // Each fits, so none is lost.
    Ok(events.into_iter().filter_map(typed).collect())
}

/// Whether a register of integers can say it. What a completion holds matters only in answers.
fn fits(event: &generic::Event) -> bool {
    let Some(f) = Function::of(&event.f) else { return false };
    match (event.kind, f, value(&event.value)) {
        (Kind::Invoke, Function::Read | Function::Delete, value) => value == Some(Value::Nil),
        (Kind::Invoke, Function::Write, value) => matches!(value, Some(Value::Int(_))),
        (Kind::Invoke, Function::Cas, value) => matches!(value, Some(Value::Pair(..))),
        (Kind::Ok, Function::Read, value) => matches!(value, Some(Value::Nil | Value::Int(_))),
        (Kind::Ok, Function::Write | Function::Cas, value) => value.is_some(),
        // Where it tells what it found, that counts.
        (Kind::Fail, Function::Cas, None) => event.value.list().is_none_or(|list| list.len() != 1),
        _ => true,
    }
}

fn value(value: &Datum) -> Option<Value> {
    Some(match value {
        Datum::Nil => Value::Nil,
        Datum::Int(value) => Value::Int(*value),
        Datum::List(members) => match members.as_slice() {
            [Datum::Nil, Datum::Int(new)] => Value::Pair(None, *new),
            [Datum::Int(expected), Datum::Int(new)] => Value::Pair(Some(*expected), *new),
            [Datum::Nil] => Value::Found(None),
            [Datum::Int(found)] => Value::Found(Some(*found)),
            _ => return None,
        },
        _ => return None,
    })
}

/// What a key is called; `None` where two keys would be called the same.
fn name(names: &mut FxHashMap<String, Datum>, key: &Datum) -> Option<String> {
    let name = match key {
        Datum::Nil => ONLY.to_owned(),
        key => key.to_string(),
    };
    match names.get(&name) {
        Some(other) if other != key => None,
        Some(_) => Some(name),
        None => {
            names.insert(name.clone(), key.clone());
            Some(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind, f: &str, key: Datum, value: Datum) -> generic::Event {
        generic::Event {
            index: 0,
            time: 0,
            process: 0,
            kind,
            f: f.into(),
            key,
            value,
            error: None,
            node: None,
            revision: None,
        }
    }

    fn pair(expected: Datum) -> Datum {
        Datum::List(vec![expected, Datum::Int(4)])
    }

    #[test]
    fn what_a_register_says_becomes_its_own_event() {
        let text = |text: &str| Datum::Text(text.into());
        let cases = [
            (Kind::Invoke, "read", Datum::Nil, Value::Nil, true),
            (Kind::Invoke, "get", Datum::Int(3), Value::Nil, false),
            (Kind::Ok, "read", Datum::Int(3), Value::Int(3), true),
            (Kind::Ok, "read", pair(Datum::Nil), Value::Nil, false),
            (Kind::Ok, "read", text("x"), Value::Nil, false),
            (Kind::Info, "read", text("x"), Value::Nil, true),
            (Kind::Invoke, "put", Datum::Int(3), Value::Int(3), true),
            (Kind::Invoke, "write", Datum::Nil, Value::Nil, false),
            (Kind::Invoke, "cas", pair(Datum::Int(3)), Value::Pair(Some(3), 4), true),
            (Kind::Invoke, "cas", pair(Datum::Nil), Value::Pair(None, 4), true),
            (Kind::Invoke, "cas", Datum::Int(3), Value::Nil, false),
            (Kind::Fail, "cas", Datum::List(vec![Datum::Nil]), Value::Found(None), true),
            (Kind::Fail, "cas", Datum::List(vec![text("x")]), Value::Nil, false),
            (Kind::Fail, "cas", text("x"), Value::Nil, true),
            (Kind::Fail, "cas", Datum::List(vec![Datum::Int(3)]), Value::Found(Some(3)), true),
            (Kind::Ok, "read", Datum::List(vec![Datum::Int(3)]), Value::Nil, false),
            (Kind::Invoke, "append", Datum::Int(3), Value::Int(3), false),
        ];
        for (kind, f, datum, value, fits) in cases {
            let events = vec![event(kind, f, Datum::Nil, datum)];
            match from_generic(events.clone()) {
                Ok(typed) => {
                    assert!(fits, "{events:?}");
                    assert_eq!((typed[0].value, typed[0].key.as_str()), (value, "register"));
                }
                Err(back) => {
                    assert!(!fits, "{events:?}");
                    assert_eq!(back, events);
                }
            }
        }
    }

    #[test]
    fn keys_of_one_name_are_not_mixed_up() {
        let read = |key| event(Kind::Invoke, "read", key, Datum::Nil);
        let names = |keys: [Datum; 2]| {
            let typed = from_generic(keys.map(read).into()).ok()?;
            Some(typed.into_iter().map(|event| event.key).collect::<Vec<_>>())
        };
        let text = |text: &str| Datum::Text(text.into());
        assert_eq!(names([Datum::Int(5), text("x")]).unwrap(), ["5", "x"]);
        assert_eq!(names([Datum::Int(5), text("5")]), None);
        assert_eq!(names([Datum::Nil, text("register")]), None);
    }

    #[test]
    fn there_and_back() {
        let typed = Event {
            index: 1,
            time: 2,
            process: 3,
            kind: Kind::Invoke,
            f: Function::Cas,
            key: "k".into(),
            value: Value::Pair(None, 4),
            error: Some("mismatch".into()),
            node: Some("n1".into()),
            revision: Some(5),
        };
        assert_eq!(from_generic(vec![typed.clone().into()]), Ok(vec![typed]));
    }
}
