//! What work costs, in steps.

use crate::model::Model;

/// What is copied or moved of larger things counts as a step for so many bytes.
pub(super) const A_STEP: usize = 64;

/// Steps to copy a state.
pub(super) fn size<M: Model>(model: &M, state: &M::State) -> u64 {
    1 + (model.heap(state) / A_STEP) as u64
}
