//! Restart: SIGTERM, on which the node stops in order, and later a start with the same data.

use super::{
    Aim,
    ended::{Ended, Signal},
};
use crate::{exercise::Deed, nemesis::overlap::Holds};

const SIGTERM: Signal = Signal {
    name: "SIGTERM",
    send: Deed::Stop,
    code: 0,
    // A frozen process takes no signal in.
    claim: Holds::stop,
    taken: "down or paused already",
};

pub(super) fn new(aim: &Aim<'_>) -> Ended {
    Ended::new(SIGTERM, aim)
}
