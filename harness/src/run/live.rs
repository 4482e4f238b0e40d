//! Checks the history while it is recorded, so that a run that has failed need not go on.
//!
//! What is found here only ends the run. The verdict is made from the whole evidence, as always;
//! should it see no violation, the run is undecided, since one of the two must be wrong.

use checker::{history::Event, linear::online::Online};
use tokio::sync::watch;

/// The history so far.
#[derive(Debug)]
pub(super) struct Live {
    online: Online,
    violation: watch::Sender<Option<String>>,
}

/// The first violation, once there is one: what happened, in a sentence.
pub(super) type Violation = watch::Receiver<Option<String>>;

impl Live {
    /// Nothing so far.
    pub(super) fn new() -> (Self, Violation) {
        let (violation, found) = watch::channel(None);
        (Self { online: Online::default(), violation }, found)
    }

    /// Takes in the next event.
    pub(super) fn event(&mut self, event: &Event) {
        if self.violation.borrow().is_some() {
            return;
        }
        if let Some(found) = self.online.event(event) {
            self.violation.send_replace(Some(found.summary.clone()));
        }
    }
}
