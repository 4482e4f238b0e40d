//! What a check may use, and what it says when that is not enough.

use std::time::{Duration, Instant};

use crate::linear::Limits;

/// A budget ran out; which, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spent(pub(super) String);

/// What a check may use.
pub(crate) struct Budget {
    memory: usize,
    deadline: Instant,
    timeout: Duration,
}

impl Budget {
    /// The time runs from now on.
    pub(crate) fn of(limits: &Limits) -> Self {
        let Limits { memory, timeout } = *limits;
        Self { memory, deadline: limits.deadline(), timeout }
    }

    /// Whether there is time left.
    pub(crate) fn time(&self) -> Result<(), Spent> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(Spent(format!("the time budget of {:?} was used up", self.timeout)))
    }

    /// Whether there is time left, and as many bytes may be taken.
    pub(crate) fn both(&self, bytes: usize) -> Result<(), Spent> {
        self.memory(bytes)?;
        self.time()
    }

    /// Whether as many bytes may be taken.
    pub(crate) fn memory(&self, bytes: usize) -> Result<(), Spent> {
        if bytes <= self.memory {
            return Ok(());
        }
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        Err(Spent(format!(
            "the memory budget of {} MiB is less than the {} MiB that the check takes",
            mib(self.memory),
            mib(bytes)
        )))
    }
}
