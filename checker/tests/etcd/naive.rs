//! A store that is written for clarity alone: a copy of all keys for each revision. It says what
//! is answered, where the checker's own model says whether an answer is right.

use std::{collections::BTreeMap, rc::Rc};

use checker::model::etcd::{
    Bytes, Compare, DeleteRangeResponse, KeyValue, Operand, PutResponse, Range, RangeResponse,
    Refusal, Relation, Request, Response, SortOrder, SortTarget, Target, TxnResponse, Value,
};

pub(crate) type Keys = BTreeMap<Bytes, KeyValue>;

#[derive(Clone)]
pub(crate) struct Naive {
    /// The keys at revision 1, 2, ….
    pub(crate) revisions: Vec<Rc<Keys>>,
}

impl Default for Naive {
    fn default() -> Self {
        Self { revisions: vec![Rc::default()] }
    }
}

fn contains(key: &Bytes, end: &Bytes, other: &Bytes) -> bool {
    match &*end.0 {
        [] => other == key,
        [0] => other >= key,
        _ => other >= key && other < end,
    }
}

fn holds(compare: &Compare, keys: &Keys) -> bool {
    let number = |n: i64| match &compare.operand {
        Some(Operand::Number(operand)) => n.cmp(operand),
        _ => n.cmp(&0),
    };
    let one = |pair: &KeyValue| {
        let ordering = match compare.target {
            Target::Version => number(pair.version),
            Target::Create => number(pair.create_revision),
            Target::Mod => number(pair.mod_revision),
            Target::Lease => number(pair.lease),
            Target::Value => match (&pair.value, &compare.operand) {
                (Value::Whole(a), Some(Operand::Value(Value::Whole(b)))) => a.cmp(b),
                (value, _) => value.compare(&Value::default()).unwrap(),
            },
        };
        match compare.result {
            Relation::Equal => ordering.is_eq(),
            Relation::NotEqual => !ordering.is_eq(),
            Relation::Less => ordering.is_lt(),
            Relation::Greater => ordering.is_gt(),
        }
    };
    let mut there = keys.values().filter(|p| contains(&compare.key, &compare.range_end, &p.key));
    let any = there.clone().next().is_some();
    if any { there.all(one) } else { compare.target != Target::Value && one(&KeyValue::default()) }
}

impl Naive {
    pub(crate) fn revision(&self) -> i64 {
        self.revisions.len() as i64
    }

    fn at(&self, revision: i64) -> &Keys {
        &self.revisions[usize::try_from(revision).unwrap() - 1]
    }

    /// Answers a read, as of a revision.
    pub(crate) fn read(&self, request: &Request, now: i64) -> Result<Response, Refusal> {
        self.answer(request, now).map(|(response, _)| response)
    }

    pub(crate) fn execute(&mut self, request: &Request) -> Result<Response, Refusal> {
        let (response, changed) = self.answer(request, self.revision())?;
        self.revisions.extend(changed.map(Rc::new));
        Ok(response)
    }

    /// The answer at a revision, and all keys if any was changed.
    fn answer(&self, request: &Request, now: i64) -> Result<(Response, Option<Keys>), Refusal> {
        if let Some(refusal) = request.malformed() {
            return Err(refusal);
        }
        self.allowed(request, now)?;
        let mut work = Work { store: self, now, keys: self.at(now).clone(), changed: false };
        let response = work.run(request);
        Ok((response, work.changed.then_some(work.keys)))
    }

    fn allowed(&self, request: &Request, now: i64) -> Result<(), Refusal> {
        let mut refusals = Vec::new();
        self.refusals(request, now, &mut refusals);
        // Those of puts come first.
        refusals.sort_by_key(|refusal| *refusal == Refusal::FutureRevision);
        refusals.first().map_or(Ok(()), |refusal| Err(*refusal))
    }

    fn refusals(&self, request: &Request, now: i64, into: &mut Vec<Refusal>) {
        match request {
            Request::Put(put) => {
                let keeps = put.ignore_value || put.ignore_lease;
                if keeps && !self.at(now).contains_key(&put.key) {
                    into.push(Refusal::KeyNotFound);
                } else if put.lease != 0 {
                    into.push(Refusal::LeaseNotFound);
                }
            }
            Request::Range(range) if range.revision > now => into.push(Refusal::FutureRevision),
            Request::Range(_) | Request::DeleteRange(_) => {}
            Request::Txn(txn) => {
                let all = txn.compare.iter().all(|compare| holds(compare, self.at(now)));
                let list = if all { &txn.success } else { &txn.failure };
                list.iter().for_each(|request| self.refusals(request, now, into));
            }
        }
    }
}

/// A request that is being executed.
struct Work<'a> {
    store: &'a Naive,
    now: i64,
    keys: Keys,
    changed: bool,
}

impl Work<'_> {
    fn run(&mut self, request: &Request) -> Response {
        let (before, next) = (self.store.at(self.now), self.now + 1);
        let Self { store, keys, changed, .. } = self;
        let named = |changed: bool| next - i64::from(!changed);
        match request {
            Request::Put(put) => {
                let old = keys.get(&put.key).cloned();
                let mut new = old.clone().unwrap_or(KeyValue {
                    key: put.key.clone(),
                    create_revision: next,
                    ..KeyValue::default()
                });
                new.mod_revision = next;
                new.version += 1;
                if !put.ignore_value {
                    new.value = put.value.clone();
                }
                keys.insert(put.key.clone(), new);
                *changed = true;
                let prev_kv = old.filter(|_| put.prev_kv);
                Response::Put(PutResponse { revision: named(*changed), prev_kv })
            }
            Request::DeleteRange(delete) => {
                let gone: Vec<KeyValue> = keys
                    .values()
                    .filter(|pair| contains(&delete.key, &delete.range_end, &pair.key))
                    .cloned()
                    .collect();
                for pair in &gone {
                    keys.remove(&pair.key);
                    *changed = true;
                }
                Response::DeleteRange(DeleteRangeResponse {
                    revision: named(*changed),
                    deleted: gone.len() as i64,
                    prev_kvs: if delete.prev_kv { gone } else { Vec::new() },
                })
            }
            Request::Range(range) => {
                let keys = if range.revision > 0 { store.at(range.revision) } else { keys };
                Response::Range(select(range, keys, named(*changed)))
            }
            Request::Txn(txn) => {
                let succeeded = txn.compare.iter().all(|compare| holds(compare, before));
                let list = if succeeded { &txn.success } else { &txn.failure };
                let responses = list
                    .iter()
                    .map(|request| {
                        let mut response = self.run(request);
                        if let Response::Txn(nested) = &mut response {
                            nested.revision = 0;
                        }
                        response
                    })
                    .collect();
                Response::Txn(TxnResponse { revision: named(self.changed), succeeded, responses })
            }
        }
    }
}

fn select(range: &Range, keys: &Keys, revision: i64) -> RangeResponse {
    let mut all: Vec<KeyValue> =
        keys.values().filter(|p| contains(&range.key, &range.range_end, &p.key)).cloned().collect();
    let count = all.len() as i64;
    if range.count_only {
        return RangeResponse { revision, count, ..RangeResponse::default() };
    }
    let filters = [
        range.min_mod_revision,
        range.max_mod_revision,
        range.min_create_revision,
        range.max_create_revision,
    ];
    let limit = if range.limit > 0 { range.limit as usize } else { usize::MAX };
    if range.sort_order == SortOrder::None && filters == [0; 4] {
        all.truncate(limit.saturating_add(1));
    }
    all.retain(|pair| {
        let [min_mod, max_mod, min_create, max_create] = filters;
        (min_mod == 0 || pair.mod_revision >= min_mod)
            && (max_mod == 0 || pair.mod_revision <= max_mod)
            && (min_create == 0 || pair.create_revision >= min_create)
            && (max_create == 0 || pair.create_revision <= max_create)
    });
    all.sort_by(|a, b| match range.sort_target {
        SortTarget::Key => a.key.cmp(&b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.compare(&b.value).unwrap(),
    });
    if range.sort_order == SortOrder::Descend {
        all.reverse();
    }
    let more = all.len() > limit;
    all.truncate(limit);
    if range.keys_only {
        all.iter_mut().for_each(|pair| pair.value = Value::default());
    }
    RangeResponse { revision, kvs: all, more, count }
}
