//! The decider that all others are held against.

use checker::model::{
    Interval, Model,
    register::{Operation, Register},
};

/// Tries every order: takes any operation next that no other, still missing one must precede.
pub(crate) fn brute_force(
    operations: &[Interval<Operation>],
    taken: &mut Vec<bool>,
    state: Option<i64>,
) -> bool {
    let missing = |taken: &[bool], at: usize| !taken[at] && operations[at].ret.is_some();
    let all = 0..operations.len();
    if !all.clone().any(|at| missing(taken, at)) {
        return true;
    }
    for next in all.clone() {
        let call = operations[next].call;
        let early = all
            .clone()
            .any(|at| missing(taken, at) && operations[at].ret.is_some_and(|ret| ret < call));
        if taken[next] || early {
            continue;
        }
        if let Some(after) = Register.apply(&state, &operations[next].operation) {
            taken[next] = true;
            if brute_force(operations, taken, after) {
                return true;
            }
            taken[next] = false;
        }
    }
    false
}
