//! What is known of each mutant.

use std::{fmt, str::FromStr};

use super::Mutant;

/// A mutant, for a reader of the table.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// Its row in the list of known bugs; none for a mended or an equivalent mutant.
    pub row: Option<u8>,
    /// The issue or pull request where a real implementation had it, or the commit that mended it
    /// here; empty for an equivalent one.
    pub source: &'static str,
    /// What it does.
    pub what: &'static str,
    /// The properties of a verdict that it breaks, each a right one to report; none for an
    /// equivalent mutant.
    pub breaks: &'static [&'static str],
}

impl Mutant {
    /// Those that ordinary campaigns must find, and then those that they must never report.
    pub const ALL: [Self; 15] = [
        Self::VotesBeforeSync,
        Self::ForgetsVote,
        Self::CountsOldVotes,
        Self::CountsVoterTwice,
        Self::VotesForLaggards,
        Self::CommitsOldTerms,
        Self::QuorumOfHalf,
        Self::CommitsUnverified,
        Self::CommitGoesBack,
        Self::ErasesMatchingSuffix,
        Self::AcknowledgesBeforeSync,
        Self::ReadsWithoutQuorum,
        Self::HeartbeatsTwice,
        Self::SmallAppends,
        Self::SlowElections,
    ];

    /// Those that this node was until the bug was mended. Ordinary campaigns need very many seeds
    /// for them; the minimal plan of each, kept when it was mended, finds it at once.
    pub const MENDED: [Self; 1] = [Self::EchoesOldRounds];

    /// Those that would hold up a laboratory that trusts its nodes, or make it give two accounts.
    pub const UNRULY: [Self; 4] =
        [Self::IgnoresDeadline, Self::EchoesReplies, Self::NeverReturns, Self::RollsDice];

    /// All of them.
    fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Self::MENDED).chain(Self::UNRULY)
    }

    /// What is known of it.
    pub const fn about(self) -> About {
        match self {
            Self::VotesBeforeSync => About {
                name: "votes-before-sync",
                row: Some(1),
                source: "bakwc/PySyncObj#202",
                what: "a vote is promised before term and vote are durable",
                breaks: &[
                    "durable-before-acknowledged",
                    "one-vote-per-term",
                    "survives-restart",
                    "election-safety",
                ],
            },
            Self::ForgetsVote => About {
                name: "forgets-vote",
                row: Some(2),
                source: "eliben/raft#27",
                what: "a candidate that finds a leader in its own term forgets its vote",
                breaks: &[
                    "legal-transitions",
                    "one-vote-per-term",
                    "survives-restart",
                    "election-safety",
                ],
            },
            Self::CountsOldVotes => About {
                name: "counts-old-votes",
                row: Some(3),
                source: "xnnyygn/xraft#33",
                what: "a candidate counts late votes of the terms in which it stood before",
                breaks: &["election-quorum", "election-safety"],
            },
            Self::CountsVoterTwice => About {
                name: "counts-voter-twice",
                row: Some(4),
                source: "ktoso/akka-raft#45",
                what: "a vote that arrives twice counts twice",
                breaks: &["election-quorum", "election-safety"],
            },
            Self::VotesForLaggards => About {
                name: "votes-for-laggards",
                row: Some(5),
                source: "ktoso/akka-raft#30",
                what: "a vote does not ask how up to date the candidate's log is",
                breaks: &["election-restriction", "leader-completeness"],
            },
            Self::CommitsOldTerms => About {
                name: "commits-old-terms",
                row: Some(9),
                source: "logcabin/logcabin#44",
                what: "a leader commits an entry of an earlier term by counting (figure 8)",
                breaks: &["commit-quorum", "leader-completeness"],
            },
            Self::QuorumOfHalf => About {
                name: "quorum-of-half",
                row: Some(12),
                source: "hydro-project/hydro#3082",
                what: "a quorum is n/2, not n/2+1",
                breaks: &[
                    "election-quorum",
                    "commit-quorum",
                    "read-quorum",
                    "election-safety",
                    "leader-completeness",
                ],
            },
            Self::CommitsUnverified => About {
                name: "commits-unverified",
                row: Some(13),
                source: "rabbitmq/ra#508",
                what: "a follower commits up to its last entry, not the last that it verified",
                breaks: &["commit-quorum", "state-machine-safety"],
            },
            Self::CommitGoesBack => About {
                name: "commit-goes-back",
                row: Some(14),
                source: "bakwc/PySyncObj#166",
                what: "a follower takes a commit index that is lower than its own",
                breaks: &["commit-monotonic"],
            },
            Self::ErasesMatchingSuffix => About {
                name: "erases-matching-suffix",
                row: Some(17),
                source: "zhebrak/raftos#26",
                what: "a late append erases the entries behind it, though they match",
                breaks: &["acknowledged-kept", "legal-transitions", "leader-completeness"],
            },
            Self::AcknowledgesBeforeSync => About {
                name: "acknowledges-before-sync",
                row: Some(27),
                source: "etcd-io/etcd#14370",
                what: "entries are acknowledged before the log is synced",
                breaks: &["durable-before-acknowledged", "survives-restart"],
            },
            Self::ReadsWithoutQuorum => About {
                name: "reads-without-quorum",
                row: Some(31),
                source: "xnnyygn/xraft#40",
                what: "a leader serves reads without asking a quorum whether it still leads",
                breaks: &["read-quorum", "linearizability", "strict-serializability"],
            },
            Self::EchoesOldRounds => About {
                name: "echoes-old-rounds",
                row: None,
                source: "b158bb1",
                what: "the refusal of an append of an earlier term repeats its read round",
                breaks: &["read-quorum", "linearizability", "strict-serializability"],
            },
            Self::IgnoresDeadline => About {
                name: "ignores-deadline",
                row: None,
                source: "",
                what: "a node whose clients wait asks to be woken at once, again and again",
                breaks: &["liveness"],
            },
            Self::EchoesReplies => About {
                name: "echoes-replies",
                row: None,
                source: "",
                what: "a leader answers each acknowledgement with an append",
                breaks: &["liveness"],
            },
            Self::NeverReturns => About {
                name: "never-returns",
                row: None,
                source: "",
                what: "the ninth command never returns",
                breaks: &["liveness"],
            },
            Self::RollsDice => About {
                name: "rolls-dice",
                row: None,
                source: "",
                what: "election timeouts come from the operating system",
                breaks: &["determinism"],
            },
            Self::HeartbeatsTwice => {
                Self::equivalent("heartbeats-twice", "heartbeats come twice as often")
            }
            Self::SmallAppends => {
                Self::equivalent("small-appends", "an append carries few entries")
            }
            Self::SlowElections => {
                Self::equivalent("slow-elections", "election timeouts are half as long again")
            }
        }
    }

    const fn equivalent(name: &'static str, what: &'static str) -> About {
        About { name, row: None, source: "", what, breaks: &[] }
    }

    /// Its name, in kebab case.
    pub const fn name(self) -> &'static str {
        self.about().name
    }

    /// Whether it breaks nothing.
    pub const fn is_equivalent(self) -> bool {
        self.about().breaks.is_empty()
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mutant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|mutant| mutant.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::all().map(Self::name).collect();
            format!("there is no mutant `{text}`; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Mutants, *};

    #[test]
    fn names_are_read_back_and_differ() {
        for (place, mutant) in Mutant::all().enumerate() {
            assert_eq!(mutant.to_string().parse(), Ok(mutant));
            assert!(!Mutant::all().take(place).any(|other| other.name() == mutant.name()));
        }
        assert!("no-such".parse::<Mutant>().unwrap_err().contains("forgets-vote"));
    }

    #[test]
    fn a_bug_has_a_row_a_source_and_a_property_and_an_equivalent_none() {
        for mutant in Mutant::ALL {
            let about = mutant.about();
            assert_eq!(about.row.is_none(), mutant.is_equivalent(), "{mutant}");
            assert_eq!(about.source.contains('#'), !mutant.is_equivalent(), "{mutant}");
        }
    }

    #[test]
    fn a_node_is_the_mutants_that_were_chosen_for_it() {
        let mutants: Mutants = [Mutant::ForgetsVote, Mutant::SlowElections].into_iter().collect();
        for mutant in Mutant::all() {
            let chosen = matches!(mutant, Mutant::ForgetsVote | Mutant::SlowElections);
            assert_eq!(mutants.has(mutant), chosen, "{mutant}");
            assert!(!Mutants::NONE.has(mutant));
        }
    }
}
