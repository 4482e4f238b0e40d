//! What a node is: which program runs in its container, and how it tells its state.

mod observe;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use observe::{Node, Observation};

/// A system under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// This project's own node.
    RaftNode,
}

impl System {
    /// Whether its nodes write a trace. Then a run without traces proves less than it should.
    pub fn traced(self) -> bool {
        match self {
            Self::RaftNode => true,
        }
    }

    /// The exit code of a node that found a defect in itself. Rust's, of a panic.
    pub fn defect_code(self) -> i64 {
        match self {
            Self::RaftNode => 101,
        }
    }

    /// The exit code of a node that refuses what its disk holds, if it has one for that.
    pub fn refused_code(self) -> Option<i64> {
        match self {
            Self::RaftNode => Some(65),
        }
    }

    /// Whether it executes an operation once that is sent again under the same session and sequence
    /// number.
    pub fn knows_sessions(self) -> bool {
        match self {
            Self::RaftNode => true,
        }
    }

    /// Whether an error's `raft-outcome: none` may be believed: that the request certainly had,
    /// and will have, no effect. Only a system that is known to send it so.
    pub fn tells_outcome(self) -> bool {
        match self {
            Self::RaftNode => true,
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RaftNode => "raft-node",
        })
    }
}
