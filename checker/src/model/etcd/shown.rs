//! Whether the keys of an answer are those that a request asks for, as they are.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    bytes::{Bytes, Value},
    mismatch::Mismatch,
    request::{Range, SortOrder, SortTarget},
    response::{KeyValue, RangeResponse},
    store::Version,
};

/// Whether these keys are answered as a range asks for it.
pub(super) fn keys(
    range: &Range,
    mut live: Vec<(&Bytes, &Version)>,
    told: &RangeResponse,
) -> Result<(), Mismatch> {
    let limit = usize::try_from(range.limit).ok().filter(|limit| *limit > 0);
    let filtered = range.min_mod_revision != 0
        || range.max_mod_revision != 0
        || range.min_create_revision != 0
        || range.max_create_revision != 0;
    // As etcd does: without an order and filters, no more than one key beyond the limit is looked
    // at, though a target other than the key sorts those.
    if let Some(limit) = limit
        && !filtered
        && range.sort_order == SortOrder::None
    {
        live.truncate(limit.saturating_add(1));
    }
    live.retain(|(_, version)| passes(range, version));
    let descending = range.sort_order == SortOrder::Descend;
    let compare = |a: &(&Bytes, &Version), b: &(&Bytes, &Version)| {
        let ordering = match range.sort_target {
            SortTarget::Key => a.0.cmp(b.0),
            SortTarget::Version => a.1.version.cmp(&b.1.version),
            SortTarget::Create => a.1.create_revision.cmp(&b.1.create_revision),
            SortTarget::Mod => a.1.mod_revision.cmp(&b.1.mod_revision),
            SortTarget::Value => order(&a.1.value, &b.1.value),
        };
        if descending { ordering.reverse() } else { ordering }
    };
    let sorted = range.sort_target != SortTarget::Key || descending;
    if sorted {
        live.sort_by(compare);
    }
    let answered = limit.map_or(live.len(), |limit| limit.min(live.len()));
    let more = answered < live.len();
    if range.sort_target == SortTarget::Key {
        exactly(&live[..answered], &told.kvs, range.keys_only)?;
    } else {
        // Of keys that are equal in what they are sorted by, etcd answers any, in any order.
        let by_key: BTreeMap<&Bytes, &Version> = live.iter().copied().collect();
        let mut seen = BTreeSet::new();
        let mut told_as = Vec::new();
        for found in &told.kvs {
            let version = by_key.get_key_value(&found.key);
            let Some((key, version)) = version.filter(|_| seen.insert(&found.key)) else {
                return Err(Mismatch::surplus(found));
            };
            same(key, Some(version), Some(found), range.keys_only)?;
            told_as.push((*key, *version));
        }
        for (expected, found) in live[..answered].iter().zip(&told_as) {
            if compare(expected, found) != Ordering::Equal {
                return Err(Mismatch::Order { key: found.0.clone() });
            }
        }
        if told_as.len() != answered {
            let missing = live[..answered].iter().find(|(key, _)| !seen.contains(key));
            let missing = missing.or(live.first());
            return Err(match missing {
                Some((key, version)) if told_as.len() < answered => {
                    Mismatch::missing(version.to_key_value(key))
                }
                _ => Mismatch::Limit { limit: range.limit, found: told_as.len() },
            });
        }
    }
    if told.more == more { Ok(()) } else { Err(Mismatch::More { expected: more }) }
}

/// Whether these keys are answered, in this order.
pub(super) fn exactly(
    expected: &[(&Bytes, &Version)],
    found: &[KeyValue],
    keys_only: bool,
) -> Result<(), Mismatch> {
    for (at, found) in found.iter().enumerate() {
        match expected.get(at) {
            Some((key, version)) if **key == found.key => {
                same(key, Some(version), Some(found), keys_only)?;
            }
            Some((key, version)) if expected.iter().any(|(key, _)| **key == found.key) => {
                // What stands here comes later, or came before.
                let later = expected[at..].iter().any(|(key, _)| **key == found.key);
                return Err(if later {
                    Mismatch::missing(version.to_key_value(key))
                } else {
                    Mismatch::Order { key: found.key.clone() }
                });
            }
            _ => return Err(Mismatch::surplus(found)),
        }
    }
    match expected.get(found.len()) {
        Some((key, version)) => Err(Mismatch::missing(version.to_key_value(key))),
        None => Ok(()),
    }
}

/// Whether a key is answered as it is.
pub(super) fn same(
    key: &Bytes,
    expected: Option<&Version>,
    found: Option<&KeyValue>,
    keys_only: bool,
) -> Result<(), Mismatch> {
    let equal = match (expected, found) {
        (None, None) => true,
        (Some(version), Some(found)) => {
            let empty = Value::default();
            *key == found.key
                && *(if keys_only { &empty } else { &version.value }) == found.value
                && version.create_revision == found.create_revision
                && version.mod_revision == found.mod_revision
                && version.version == found.version
                && found.lease == 0
        }
        _ => false,
    };
    if equal {
        return Ok(());
    }
    let mut expected = expected.map(|version| version.to_key_value(key));
    if keys_only && let Some(expected) = &mut expected {
        expected.value = Value::default();
    }
    let expected = expected.map(Box::new);
    Err(Mismatch::Key { key: key.clone(), expected, found: found.cloned().map(Box::new) })
}

/// The order of two values. Whoever reads a history makes sure that it is known: see
/// [`Value::compare`].
pub(super) fn order(a: &Value, b: &Value) -> Ordering {
    a.compare(b).unwrap_or(Ordering::Equal)
}

fn passes(range: &Range, version: &Version) -> bool {
    let within =
        |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(version.mod_revision, range.min_mod_revision, range.max_mod_revision)
        && within(version.create_revision, range.min_create_revision, range.max_create_revision)
}
