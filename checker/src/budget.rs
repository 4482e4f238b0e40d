//! What a check may use, and what it says when that is not enough.

use std::time::{Duration, Instant};

/// What a check may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that a search holds at any time.
    pub memory: usize,
    /// Time for everything together. A hard key gets an equal share of what is left, so that it
    /// cannot keep others from being decided.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 1 << 30, timeout: Duration::from_secs(60) }
    }
}

/// What is left of the [`Limits`] while a check goes on.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Bytes held at any time.
    pub memory: usize,
    /// When to give up.
    pub deadline: Instant,
}

/// A budget ran out; which, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spent(pub(crate) String);

impl Budget {
    /// The time runs from now on.
    pub fn of(limits: &Limits) -> Self {
        /// Longer than anybody waits, and short enough for the clock to add.
        const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
        Self { memory: limits.memory, deadline: Instant::now() + limits.timeout.min(LONGEST) }
    }

    /// One of so many equal shares of the time that is left.
    pub(crate) fn share(&self, shares: usize) -> Self {
        let shares = u32::try_from(shares).unwrap_or(u32::MAX);
        let now = Instant::now();
        Self { deadline: now + self.deadline.saturating_duration_since(now) / shares, ..*self }
    }

    /// Whether there is time left.
    pub(crate) fn time(&self) -> Result<(), Spent> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(Spent("the time budget was used up".into()))
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
