//! Kill: SIGKILL, and later a start with the same data.

use super::{
    Aim,
    ended::{Ended, Signal},
};
use crate::{
    exercise::{Deed, SIGKILLED},
    nemesis::overlap::Holds,
};

const SIGKILL: Signal = Signal {
    name: "SIGKILL",
    send: Deed::Kill,
    code: SIGKILLED,
    // A frozen process can be killed, and then is frozen no more.
    claim: Holds::kill,
    taken: "down already",
};

pub(super) fn new(aim: &Aim<'_>) -> Ended {
    Ended::new(SIGKILL, aim)
}
