//! Checks an order of a key's writes against everything that was seen. Shares nothing with what
//! found the order.

use rustc_hash::FxHashMap;

use super::{
    super::operation::{NIL, Operation, Value},
    edges::Guarantee::{self, MonotonicReads, MonotonicWrites, ReadYourWrites, WritesFollowReads},
};

/// Whether `order`, positions in `operations`, is one of the key's writes in which every session
/// has these guarantees; else an operation that it does not explain. Writes must be `by_time`: none
/// stands before one that had ended when it was asked for. Reads in `except` are not looked at.
///
/// A read of a value that was written several times is taken to have seen the first version that
/// suits it, which leaves most to those that follow.
pub(super) fn verify(
    operations: &[Operation<'_>],
    order: &[usize],
    guarantees: &[Guarantee],
    by_time: bool,
    except: &[usize],
) -> Result<(), usize> {
    let promised = |guarantee| guarantees.contains(&guarantee);
    let mut places: Vec<Option<usize>> = vec![None; operations.len()];
    // Of each value, the places where it was written, and by which operations.
    let mut versions: FxHashMap<Value, Vec<(usize, Option<usize>)>> = FxHashMap::default();
    versions.insert(NIL, vec![(0, None)]);
    let mut moment = 0;
    // The value, and when it was asked for.
    let mut state = (NIL, 0);
    for (place, &at) in (1..).zip(order) {
        let operation = &operations[at];
        let Some(written) = operation.action.written() else { return Err(at) };
        moment = moment.max(operation.source.call);
        let late = by_time && operation.ret.is_some_and(|ret| ret < moment);
        let until = operation.ret.unwrap_or(u64::MAX);
        let blind = operation.action.seen().is_some_and(|seen| seen != state.0 || until < state.1);
        if places[at].replace(place).is_some() || late || blind {
            return Err(at);
        }
        state = (written, operation.source.call);
        versions.entry(written).or_default().push((place, Some(at)));
    }
    // The places of the last read and the last write of each session.
    let mut sessions: FxHashMap<u64, (usize, usize)> = FxHashMap::default();
    for (at, operation) in operations.iter().enumerate() {
        let (read, wrote) = sessions.entry(operation.source.process).or_default();
        if operation.action.written().is_some() {
            let Some(place) = places[at] else {
                if operation.ret.is_some() {
                    return Err(at);
                }
                continue;
            };
            let early = (promised(MonotonicWrites) && place < *wrote)
                || (promised(WritesFollowReads) && place < *read);
            if early {
                return Err(at);
            }
            *wrote = place;
            continue;
        }
        let (Some(value), Some(ret)) = (operation.action.seen(), operation.ret) else { continue };
        if except.binary_search(&at).is_ok() {
            continue;
        }
        let mut from = 0;
        if promised(MonotonicReads) {
            from = *read;
        }
        if promised(ReadYourWrites) {
            from = from.max(*wrote);
        }
        let all = versions.get(&value).map_or(&[][..], Vec::as_slice);
        let possible = &all[all.partition_point(|&(place, _)| place < from)..];
        let asked_for = |writer: usize| {
            let (one, other) = (operations[writer].source, operation.source);
            // What a session does at one moment it does one after the other.
            one.call < ret
                || one.call == ret && (one.process != other.process || one.index < other.index)
        };
        match possible.iter().find(|(_, writer)| writer.is_none_or(asked_for)) {
            Some(&(place, _)) => *read = place,
            None => return Err(at),
        }
    }
    Ok(())
}
