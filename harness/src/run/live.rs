//! Checks the history while it is recorded, so that a run that has failed need not go on.
//!
//! What is found here only ends the run. The verdict is made from the whole evidence, as always;
//! should it see no violation, the run is undecided, since one of the two must be wrong.

use checker::{
    history::lines::Line,
    judge::{self, online::Online},
    linear::online::Offence,
};
use tokio::sync::watch;

/// The history so far.
#[derive(Debug)]
pub(super) struct Live {
    /// What looks at the history of this model, if anything does.
    online: Option<Online>,
    violation: watch::Sender<Option<Offence>>,
}

/// The first violation, once there is one.
pub(super) type Violation = watch::Receiver<Option<Offence>>;

impl Live {
    /// Nothing so far, of a history of this model.
    pub(super) fn new(model: &str) -> (Self, Violation) {
        let (violation, found) = watch::channel(None);
        (Self { online: judge::online(model), violation }, found)
    }

    /// Takes in the next event.
    pub(super) fn event(&mut self, event: &Line) {
        if self.violation.borrow().is_some() {
            return;
        }
        if let Some(found) = self.online.as_mut().and_then(|online| online.event(event)) {
            self.violation.send_replace(Some(found));
        }
    }

    /// The history has ended: looks at what waits still.
    pub(super) fn finish(&mut self) {
        if self.violation.borrow().is_some() {
            return;
        }
        if let Some(found) = self.online.as_mut().and_then(Online::finish) {
            self.violation.send_replace(Some(found));
        }
    }
}
