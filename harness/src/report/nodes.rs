//! Reads from a node's trace when it held which role in which term.

use proto::trace::Role;
use serde::Deserialize;

/// Steps that change what a lane shows; all others are skipped unparsed, as a long run's trace
/// has millions of them.
const SHOWN: [&[u8]; 4] = [b"started", b"term", b"role", b"stopped"];

/// What one node was, over time.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Back to back from the node's first start; nanoseconds since the start of the run.
    pub(super) segments: Vec<Segment>,
    /// When it started, the first start included.
    pub(super) starts: Vec<u64>,
    /// Whether a trace was there at all.
    pub(super) traced: bool,
}

/// One role in one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: u64,
    pub(super) term: u64,
    pub(super) role: Role,
    /// The node ended here by request.
    pub(super) stopped: bool,
}

/// The few fields of a trace line that a lane needs.
#[derive(Deserialize)]
struct Line<'a> {
    time: u64,
    #[serde(borrow)]
    event: &'a str,
    term: Option<u64>,
    role: Option<Role>,
}

impl Lane {
    /// Takes the next line. `epoch`: Unix time in nanoseconds at time 0 of the run; the first
    /// line sets it where it is not known.
    pub(super) fn take(
        &mut self,
        line: &[u8],
        epoch: &mut Option<u64>,
    ) -> Result<(), serde_json::Error> {
        self.traced = true;
        if !is_shown(line) {
            return Ok(());
        }
        let line: Line<'_> = serde_json::from_slice(line)?;
        let time = line.time.saturating_sub(*epoch.get_or_insert(line.time));
        let (term, role) =
            self.segments.last().map_or((0, Role::Follower), |last| (last.term, last.role));
        match line.event {
            "started" => {
                self.starts.push(time);
                self.push(time, line.term.unwrap_or(term), Role::Follower, true);
            }
            "term" => self.push(time, line.term.unwrap_or(term), role, false),
            "role" => {
                self.push(time, line.term.unwrap_or(term), line.role.unwrap_or(role), false);
            }
            "stopped" => self.segments.push(Segment { start: time, term, role, stopped: true }),
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, start: u64, term: u64, role: Role, always: bool) {
        let next = Segment { start, term, role, stopped: false };
        match self.segments.last_mut() {
            Some(last) if !always && (last.term, last.role) == (term, role) => {}
            // Steps of one moment (a new term, then a new role) are one change.
            Some(last) if !always && start - last.start.min(start) < 1_000 && !last.stopped => {
                (last.term, last.role) = (term, role);
            }
            _ => self.segments.push(next),
        }
    }
}

fn is_shown(line: &[u8]) -> bool {
    const FIELD: &[u8] = br#""event":""#;
    match line.windows(FIELD.len()).position(|window| window == FIELD) {
        Some(at) => {
            let rest = &line[at + FIELD.len()..];
            SHOWN.iter().any(|name| rest.starts_with(name) && rest.get(name.len()) == Some(&b'"'))
        }
        // Another way of writing JSON: let the parser look.
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use proto::trace::{Event, Hash, Position, Record};

    use super::*;

    fn line(time: u64, event: Event) -> Vec<u8> {
        serde_json::to_vec(&Record { node: 1, boot: 1, seq: 0, clock: 0, time, event }).unwrap()
    }

    #[test]
    fn roles_and_terms_become_segments() {
        let last = Position::default();
        let mut lane = Lane::default();
        let mut epoch = Some(1_000_000);
        for line in [
            line(0, Event::Started { term: 3, vote: None, last, voters: vec![1] }),
            line(2_000_000, Event::Term { term: 4 }),
            line(2_000_100, Event::Role { term: 4, role: Role::Candidate, leader: None, last }),
            line(2_500_000, Event::Applied { last, state: Hash(1) }),
            line(3_000_000, Event::Role { term: 4, role: Role::Leader, leader: Some(1), last }),
            line(3_100_000, Event::Role { term: 4, role: Role::Leader, leader: Some(1), last }),
            line(9_000_000, Event::Stopped {}),
        ] {
            lane.take(&line, &mut epoch).unwrap();
        }
        let segments: Vec<_> =
            lane.segments.iter().map(|s| (s.start, s.term, s.role, s.stopped)).collect();
        assert_eq!(
            segments,
            [
                (0, 3, Role::Follower, false),
                (1_000_000, 4, Role::Candidate, false),
                (2_000_000, 4, Role::Leader, false),
                (8_000_000, 4, Role::Leader, true),
            ]
        );
        assert_eq!(lane.starts, [0]);
    }

    #[test]
    fn a_torn_line_is_an_error() {
        let mut lane = Lane::default();
        let torn = br#"{"node":1,"boot":1,"seq":4,"clock":9,"time":7,"event":"role","ter"#;
        assert!(lane.take(torn, &mut None).is_err());
    }
}
