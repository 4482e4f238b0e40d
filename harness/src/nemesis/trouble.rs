//! What can be wrong with a network, a disk or a clock: the variants of the faults that only a
//! simulated cluster can suffer.

use serde::{Deserialize, Serialize};

/// A fault's variants, each with its name on the command line.
pub trait Variants: Copy + PartialEq + 'static {
    /// What it is a variant of.
    const KIND: &'static str;
    /// All of them.
    const ALL: &'static [(Self, &'static str)];

    /// The name on the command line.
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(variant, _)| *variant == self).map_or("", |(_, name)| name)
    }

    /// The variant of a name.
    ///
    /// # Errors
    /// There is none; says which there are.
    fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(variant, _)| *variant).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
            format!("unknown {} fault `{text}`: choose one of {}", Self::KIND, names.join(", "))
        })
    }
}

/// What is wrong with all links of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkTrouble {
    /// Messages take long, up to and beyond an election timeout.
    Slow,
    /// Many messages are lost.
    Lossy,
    /// Many messages arrive again, some much later.
    Duplicating,
    /// Many messages are overtaken by those behind them.
    Reordering,
    /// All connections break once, and what was in flight on them is lost.
    Reset,
}

impl Variants for NetworkTrouble {
    const KIND: &'static str = "network";
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Slow, "slow"),
        (Self::Lossy, "lossy"),
        (Self::Duplicating, "duplicating"),
        (Self::Reordering, "reordering"),
        (Self::Reset, "reset"),
    ];
}

/// What is wrong with a node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskTrouble {
    /// Syncs take long, at times longer than an election timeout.
    Slow,
    /// The next sync fails, at which the node stops; the heal starts it again.
    FailSync,
    /// There is no space for the log's next segment, at which the node stops; the heal makes space
    /// and starts it again.
    Full,
    /// While the node is down a bit flips in a record that was synced, so that it refuses to start;
    /// the heal puts the bit back and starts it.
    Flip,
}

impl Variants for DiskTrouble {
    const KIND: &'static str = "disk";
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Slow, "slow"),
        (Self::FailSync, "fail-sync"),
        (Self::Full, "full"),
        (Self::Flip, "flip"),
    ];
}

/// What is wrong with a node's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockTrouble {
    /// It goes too fast.
    Fast,
    /// It goes too slowly.
    Slow,
    /// It jumps by some election timeouts, and jumps back at the heal.
    Jump,
}

impl Variants for ClockTrouble {
    const KIND: &'static str = "clock";
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Fast, "fast"), (Self::Slow, "slow"), (Self::Jump, "jump")];
}
