//! What the times of a history are, for sentences and pictures.

use serde::{Deserialize, Serialize};

/// What the times of a history count. Some formats have none: there an event's time is its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Nanoseconds since the start of the run.
    #[default]
    Nanoseconds,
    /// Events.
    Events,
}

impl Clock {
    /// The clock of a history, by the time and the index of each event of each operation.
    pub(crate) fn of(
        operations: impl IntoIterator<Item = impl Iterator<Item = (u64, u64)>>,
    ) -> Self {
        let mut operations = operations.into_iter();
        let placed = operations.all(|mut events| events.all(|(time, index)| time == index));
        if placed { Self::Events } else { Self::Nanoseconds }
    }

    /// A moment in words: `4.034 s`, or `event 12`.
    pub(crate) fn moment(self, time: u64) -> String {
        match self {
            Self::Nanoseconds => seconds(time),
            Self::Events => format!("event {time}"),
        }
    }
}

/// Nanoseconds as seconds, to the millisecond.
pub(crate) fn seconds(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds / 1_000_000;
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}
