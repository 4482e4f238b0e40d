//! Certificates: an order of the operations that a decider claims is a linearization, and the
//! check of that claim, which shares nothing with the deciders.

use super::search::Interval;
use crate::model::Model;

/// Whether `order`, positions in `intervals`, is a linearization (Herlihy and Wing, 1990): the
/// model gives each operation its answer in this order, no operation stands before one that had
/// ended when it was asked for, none stands there twice, and each that was answered stands there.
///
/// Each operation is given the earliest moment that its call and those before it allow. When that
/// is no later than its return for all of them, the moments are what linearizability asks for.
pub fn verify<M: Model>(model: &M, intervals: &[Interval<M::Operation>], order: &[usize]) -> bool {
    let mut state = model.initial();
    let mut moment = 0;
    let mut taken = vec![false; intervals.len()];
    for &position in order {
        let Some(interval) = intervals.get(position) else { return false };
        moment = moment.max(interval.call);
        if std::mem::replace(&mut taken[position], true)
            || interval.ret.is_some_and(|ret| ret < moment)
        {
            return false;
        }
        match model.apply(&state, &interval.operation) {
            Some(next) => state = next,
            None => return false,
        }
    }
    taken.iter().zip(intervals).all(|(taken, interval)| *taken || interval.ret.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::register::{
        Operation::{self, Read, Write},
        Register,
    };

    fn interval(operation: Operation, call: u64, ret: Option<u64>) -> Interval<Operation> {
        Interval { operation, call, ret }
    }

    #[test]
    fn an_order_must_be_legal_whole_and_true_to_time() {
        let history = [
            interval(Write(Some(1)), 0, Some(4)),
            interval(Write(Some(2)), 3, Some(6)),
            interval(Read(Some(1)), 5, Some(8)),
            interval(Write(Some(3)), 7, None),
        ];
        let accepts = |order: &[usize]| verify(&Register, &history, order);
        assert!(!accepts(&[0, 1, 2]), "the read sees the other write");
        assert!(!accepts(&[1, 2, 0]), "the read comes before what it saw");
        assert!(!accepts(&[0, 2]), "an answered write is missing");
        assert!(!accepts(&[1, 0, 0, 2]), "a write stands there twice");
        assert!(!accepts(&[1, 0, 2, 4]), "there is no such operation");
        assert!(!accepts(&[3, 1, 0, 2]), "the last write is called only after the first returned");
        assert!(accepts(&[1, 0, 2]) && accepts(&[1, 0, 2, 3]));
        // Moments that only touch are concurrent.
        let touching = [interval(Read(Some(1)), 0, Some(4)), interval(Write(Some(1)), 4, Some(5))];
        assert!(verify(&Register, &touching, &[1, 0]));
    }
}
