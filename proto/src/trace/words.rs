//! The trace in words: steps as a person would say them, after the node's name. Golden scripts and
//! the stories of simulated runs speak like this.

use std::fmt;

use super::{Event, Position, Role};

/// More entries than this are told by the first and the last of them.
const ENTRIES_TOLD: usize = 10;

/// Entries in one breath: `4@2 5@2`, or `4@2 … 90@3 (87 entries)`. Of each, index and term.
pub fn entries(all: impl ExactSizeIterator<Item = (u64, u64)> + Clone) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let count = all.len();
        let mut gap = "";
        for (place, (index, term)) in all.clone().enumerate() {
            if count > ENTRIES_TOLD && place > 0 && place + 1 < count {
                gap = " … ";
                continue;
            }
            write!(f, "{gap}{index}@{term}")?;
            gap = " ";
        }
        if count > ENTRIES_TOLD { write!(f, " ({count} entries)") } else { Ok(()) }
    })
}

/// Nodes in one breath: `n1 n3 n5`.
pub fn nodes<'a>(ids: impl IntoIterator<Item = &'a u64> + Clone) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let mut gap = "";
        for id in ids.clone() {
            write!(f, "{gap}n{id}")?;
            gap = " ";
        }
        Ok(())
    })
}

/// `7@3`: index 7, term 3.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// `follower`, `candidate`, `leader`.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}

/// What the node does: `votes for n3`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vote = |vote: &Option<u64>| match *vote {
            Some(vote) => format!("vote for n{vote}"),
            None => "no vote".to_owned(),
        };
        match self {
            Self::Started { term, vote: of, last, .. } => {
                write!(f, "starts in term {term} with {} and a log that ends at {last}", vote(of))
            }
            Self::Term { term } => write!(f, "enters term {term}"),
            Self::Voted { candidate, .. } => write!(f, "votes for n{candidate}"),
            Self::Role { role: Role::Follower, leader: Some(leader), .. } => {
                write!(f, "follows n{leader}")
            }
            Self::Role { role: Role::Follower, leader: None, .. } => f.write_str("follows nobody"),
            Self::Role { role: Role::Candidate, .. } => f.write_str("becomes candidate"),
            Self::Role { term, role: Role::Leader, .. } => {
                write!(f, "becomes LEADER of term {term}")
            }
            Self::Appended { prev, entries: added } => {
                let added = added.iter().enumerate();
                let added = added.map(|(place, (term, _))| (prev.index + 1 + place as u64, *term));
                write!(f, "appends {}", entries(added))
            }
            Self::Truncated { last } => write!(f, "cuts its log back to {last}"),
            Self::Durable { term, vote: of, last } => {
                write!(f, "has on disk: term {term}, {}, its log up to {last}", vote(of))
            }
            Self::Granted { candidate, .. } => write!(f, "tells n{candidate} of its vote"),
            Self::Acknowledged { leader, last, .. } => {
                write!(f, "acknowledges the log of n{leader} up to {last}")
            }
            Self::Committed { last, matched, .. } => {
                write!(f, "commits up to {last}")?;
                for (place, (id, index)) in matched.iter().flatten().enumerate() {
                    let before = if place == 0 { ", held by" } else { "" };
                    write!(f, "{before} n{id}:{index}")?;
                }
                Ok(())
            }
            Self::Applied { last, .. } => write!(f, "applies up to {last}"),
            Self::Answered { index } => write!(f, "answers the client of entry {index}"),
            Self::ReadConfirmed { index, by, .. } => {
                write!(f, "still leads by word of {}, index {index}", nodes(by))
            }
            Self::Stopped {} => f.write_str("stops"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Hash;

    #[test]
    fn steps_read_aloud() {
        let at = |index, term| Position { index, term, hash: Hash(7) };
        let few = Event::Appended { prev: at(3, 1), entries: vec![(2, Hash(1)), (2, Hash(2))] };
        assert_eq!(few.to_string(), "appends 4@2 5@2");
        let many = Event::Appended { prev: at(3, 1), entries: vec![(2, Hash(1)); 11] };
        assert_eq!(many.to_string(), "appends 4@2 … 14@2 (11 entries)");
        let matched = Some(vec![(1, 5), (2, 4)]);
        let committed = Event::Committed { term: 2, last: at(4, 2), matched };
        assert_eq!(committed.to_string(), "commits up to 4@2, held by n1:5 n2:4");
        let read = Event::ReadConfirmed { term: 2, index: 4, by: vec![1, 3] };
        assert_eq!(read.to_string(), "still leads by word of n1 n3, index 4");
    }
}
