//! Decides from the nodes' own accounts whether a step's expectation came true and stayed true.
//! Pure: moments and accounts in, a ruling out.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::data::{Expect, Leader, Target};
use crate::{exercise::Role, nemesis::NodeId};

/// A node that runs and does not answer for longer than this many election timeouts, once the
/// expectation came true, fails the step.
const SILENCE_MAX_TIMEOUTS: u32 = 4;

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// The leader it knows in that term.
    pub leader: Option<NodeId>,
}

/// What every node that should run said at one moment; `None`: it did not answer.
pub type Statuses = BTreeMap<NodeId, Option<Status>>;

/// Who leads, and in which term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    /// The leader.
    pub node: NodeId,
    /// Its term.
    pub term: u64,
}

impl std::fmt::Display for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "n{} in term {}", self.node, self.term)
    }
}

/// How a step stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Not yet as expected, for this reason.
    Waiting(String),
    /// As expected, but not for long enough.
    Holding,
    /// As expected for as long as asked.
    Passed,
    /// Never again as expected, for this reason.
    Failed(String),
}

/// Judges one step.
#[derive(Debug)]
pub struct Judge {
    expect: Expect,
    /// Who led when the step began.
    before: Option<Leadership>,
    within: Duration,
    hold: Duration,
    election_timeout: Duration,
    reached: Option<Reached>,
    /// When each node last answered.
    heard: BTreeMap<NodeId, Duration>,
}

/// The moment at which the expectation came true.
#[derive(Clone, Copy, Debug)]
struct Reached {
    at: Duration,
    leader: Option<Leadership>,
}

impl Judge {
    /// Judges a step that begins now. `before`: who led when it began.
    pub fn new(
        step: &super::data::Step,
        before: Option<Leadership>,
        election_timeout: Duration,
    ) -> Self {
        Self {
            expect: step.expect.clone(),
            before,
            within: election_timeout * step.within_timeouts,
            hold: election_timeout * step.hold_timeouts,
            election_timeout,
            reached: None,
            heard: BTreeMap::new(),
        }
    }

    /// When the expectation came true, since the step began, and who led then.
    pub fn reached(&self) -> Option<(Duration, Option<Leadership>)> {
        self.reached.map(|reached| (reached.at, reached.leader))
    }

    /// Takes what all running nodes said, `at` so long after the step began. `leaders`: every
    /// leader seen in the scenario so far, by term.
    pub fn observe(
        &mut self,
        at: Duration,
        statuses: &Statuses,
        leaders: &mut BTreeMap<u64, NodeId>,
    ) -> Ruling {
        for (node, status) in statuses {
            if status.is_some() {
                self.heard.insert(*node, at);
            }
        }
        if let Err(reason) = self.never(statuses, leaders) {
            return Ruling::Failed(reason);
        }
        match (self.reached, self.now(statuses)) {
            (None, Ok(leader)) => {
                self.reached = Some(Reached { at, leader });
                Ruling::Holding
            }
            (None, Err(reason)) if at >= self.within => Ruling::Failed(format!(
                "after {}: {reason}",
                humantime::format_duration(self.within)
            )),
            (None, Err(reason)) => Ruling::Waiting(reason),
            (Some(reached), Ok(leader)) if leader == reached.leader => {
                if at - reached.at >= self.hold { Ruling::Passed } else { Ruling::Holding }
            }
            (Some(reached), Ok(leader)) => Ruling::Failed(format!(
                "the leader changed from {} to {}",
                name(reached.leader),
                name(leader)
            )),
            (Some(_), Err(reason)) => match self.silent(at, statuses) {
                Silence::None => {
                    Ruling::Failed(format!("it came true and did not stay so: {reason}"))
                }
                Silence::Short => Ruling::Holding,
                Silence::Long(node) => Ruling::Failed(format!("n{node} no longer answers")),
            },
        }
    }

    /// What must not be seen at any moment, be it before or after the expectation came true.
    fn never(
        &self,
        statuses: &Statuses,
        leaders: &mut BTreeMap<u64, NodeId>,
    ) -> Result<(), String> {
        for (node, status) in answered(statuses) {
            if status.role != Role::Leader {
                continue;
            }
            let term = status.term;
            let first = *leaders.entry(term).or_insert(node);
            if first != node {
                return Err(format!("two leaders in term {term}: n{first} and n{node}"));
            }
            match (self.expect.leader, self.before) {
                (Leader::None, _) => {
                    return Err(format!("n{node} became leader of term {term}"));
                }
                (Leader::Same, Some(before)) if before != (Leadership { node, term }) => {
                    return Err(format!(
                        "the leader changed from {before} to {}",
                        Leadership { node, term }
                    ));
                }
                _ => {}
            }
        }
        if let (Leader::Same, Some(before)) = (self.expect.leader, self.before)
            && let Some(Some(status)) = statuses.get(&before.node)
            && status.role != Role::Leader
        {
            return Err(format!(
                "n{} leads no longer: it is now in term {}",
                before.node, status.term
            ));
        }
        Ok(())
    }

    /// Whether the expectation is true at this moment, and who leads; else why it is not.
    fn now(&self, statuses: &Statuses) -> Result<Option<Leadership>, String> {
        if let Some((node, _)) = statuses.iter().find(|(_, status)| status.is_none()) {
            return Err(format!("n{node} does not answer"));
        }
        for (target, role) in &self.expect.roles {
            let node = match target {
                Target::Node(id) => *id,
                Target::Leader => self.before.ok_or("there was no leader before")?.node,
            };
            match statuses.get(&node) {
                Some(Some(status)) if status.role == *role => {}
                Some(Some(status)) => {
                    return Err(format!("n{node} is {}", word(status.role)));
                }
                _ => return Err(format!("n{node} does not run")),
            }
        }
        if self.expect.leader == Leader::None {
            return match answered(statuses).find_map(|(node, s)| Some((node, s.leader?))) {
                None => Ok(None),
                Some((node, leader)) => Err(format!("n{node} still names n{leader} as leader")),
            };
        }
        let leadership = agreed(statuses)?;
        match (self.expect.leader, self.before) {
            (Leader::Same, before) => {
                if before != Some(leadership) {
                    return Err(format!("{leadership} leads, not {}", name(before)));
                }
                // The node that joined must know its leader too.
                match answered(statuses).find(|(_, s)| !names(s, leadership)) {
                    Some((node, _)) => Err(format!("n{node} does not yet follow {leadership}")),
                    None => Ok(Some(leadership)),
                }
            }
            (Leader::New, Some(before))
                if leadership.node == before.node || leadership.term <= before.term =>
            {
                Err(format!("{leadership} leads, which is not a new leader after {before}"))
            }
            _ => Ok(Some(leadership)),
        }
    }

    fn silent(&self, at: Duration, statuses: &Statuses) -> Silence {
        let mut silence = Silence::None;
        for (node, _) in statuses.iter().filter(|(_, status)| status.is_none()) {
            let heard = self.heard.get(node).copied().unwrap_or_default();
            if at - heard > self.election_timeout * SILENCE_MAX_TIMEOUTS {
                return Silence::Long(*node);
            }
            silence = Silence::Short;
        }
        silence
    }
}

/// Whether nodes are silent that should answer.
enum Silence {
    None,
    /// Too short to mean anything.
    Short,
    Long(NodeId),
}

/// The leader that says so itself and that a majority of the running nodes, itself among them,
/// names in the same term.
fn agreed(statuses: &Statuses) -> Result<Leadership, String> {
    // Of two leaders the one of the later term: the other does not know yet that it was deposed.
    let leader = answered(statuses)
        .filter(|(_, status)| status.role == Role::Leader)
        .map(|(node, status)| Leadership { node, term: status.term })
        .max_by_key(|leader| leader.term)
        .ok_or("no node leads")?;
    let named = answered(statuses).filter(|(_, status)| names(status, leader)).count();
    if named * 2 > statuses.len() {
        Ok(leader)
    } else {
        Err(format!("only {named} of {} running nodes follow {leader}", statuses.len()))
    }
}

fn names(status: &Status, leader: Leadership) -> bool {
    status.term == leader.term && status.leader == Some(leader.node)
}

fn answered(statuses: &Statuses) -> impl Iterator<Item = (NodeId, &Status)> {
    statuses.iter().filter_map(|(node, status)| Some((*node, status.as_ref()?)))
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Follower => "a follower",
        Role::Candidate => "a candidate",
        Role::Leader => "leader",
    }
}

fn name(leader: Option<Leadership>) -> String {
    leader.map_or("nobody".into(), |leader| leader.to_string())
}

#[cfg(test)]
mod tests {
    use super::{super::data::*, *};

    const TIMEOUT: Duration = Duration::from_millis(100);

    fn step(leader: Leader) -> Step {
        Step {
            name: String::new(),
            action: Action::Start(Target::Node(1)),
            expect: Expect { leader, roles: BTreeMap::new() },
            within_timeouts: 10,
            hold_timeouts: 5,
        }
    }

    /// `f1` follower of n1, `f-` of nobody, `c` candidate, `l` leader, `?` silent; all with a
    /// term behind the colon. Nodes from n1 on; `.` does not run.
    fn statuses(text: &str) -> Statuses {
        let mut statuses = Statuses::new();
        for (i, word) in text.split(' ').enumerate() {
            let node = i as u64 + 1;
            let (what, term) = word.split_once(':').unwrap_or((word, "0"));
            let term = term.parse().unwrap();
            let status = |role, leader| Some(Status { role, term, leader });
            let status = match what {
                "." => continue,
                "?" => None,
                "c" => status(Role::Candidate, None),
                "l" => status(Role::Leader, Some(node)),
                "f-" => status(Role::Follower, None),
                of => status(Role::Follower, Some(of[1..].parse().unwrap())),
            };
            statuses.insert(node, status);
        }
        statuses
    }

    /// Observes each of `moments` in turn, an election timeout apart, the last for ever.
    fn judge(step: &Step, before: Option<(u64, u64)>, moments: &[&str]) -> Ruling {
        let before = before.map(|(node, term)| Leadership { node, term });
        let mut leaders = before.iter().map(|leader| (leader.term, leader.node)).collect();
        let mut judge = Judge::new(step, before, TIMEOUT);
        for i in 0..100 {
            let moment = moments.get(i).or(moments.last()).unwrap();
            match judge.observe(TIMEOUT * i as u32, &statuses(moment), &mut leaders) {
                Ruling::Waiting(_) | Ruling::Holding => {}
                ruling => return ruling,
            }
        }
        panic!("no ruling within 100 election timeouts");
    }

    #[track_caller]
    fn fails(ruling: Ruling, because: &str) {
        match ruling {
            Ruling::Failed(reason) => assert!(reason.contains(because), "{reason}"),
            other => panic!("{other:?}, not a failure because {because}"),
        }
    }

    #[test]
    fn no_leader() {
        let none = step(Leader::None);
        assert_eq!(judge(&none, None, &["?", "f-:0", "c:1", "c:2"]), Ruling::Passed);
        assert_eq!(judge(&none, Some((3, 4)), &["f3:4 f3:4", "c:5 f-:5"]), Ruling::Passed);
        fails(judge(&none, None, &["c:1 c:1", "l:2 f1:2"]), "n1 became leader of term 2");
        // Before it came true counts as well: nobody had forgotten n3 yet.
        fails(judge(&none, Some((3, 4)), &["f3:4 f3:4", "l:5 f1:5"]), "n1 became leader of term 5");
        // A leader that only others know of is one.
        fails(judge(&none, None, &["c:1 f-:1", "c:1 f1:1"]), "n2 still names n1");
        fails(judge(&none, Some((3, 4)), &["f3:4 c:5"]), "after 1s: n1 still names n3");
        fails(judge(&none, None, &["?"]), "n1 does not answer");
    }

    #[test]
    fn roles() {
        let mut alone = step(Leader::None);
        alone.expect.roles.insert(Target::Node(1), Role::Candidate);
        assert_eq!(judge(&alone, None, &["f-:0", "c:1", "c:2"]), Ruling::Passed);
        fails(judge(&alone, None, &["f-:0"]), "n1 is a follower");
        fails(judge(&alone, None, &["c:1", "f-:1"]), "did not stay so: n1 is a follower");
        fails(judge(&alone, None, &[". c:1"]), "n1 does not run");
    }

    #[test]
    fn some_leader() {
        let some = step(Leader::Some);
        assert_eq!(
            judge(&some, None, &["c:1 c:1 f-:0", "l:2 f1:2 f-:1", "l:2 f1:2 f1:2"]),
            Ruling::Passed
        );
        fails(judge(&some, None, &["c:1 c:2 c:3"]), "no node leads");
        fails(judge(&some, None, &["l:2 f-:2 f-:2"]), "only 1 of 3 running nodes follow n1");
        // A majority of the running nodes, silent ones counted.
        fails(judge(&some, None, &["l:2 f1:2 ? ?"]), "n3 does not answer");
        // One that others name in another term is not agreed on.
        fails(judge(&some, None, &["l:3 f1:2 f1:2"]), "only 1 of 3");
        fails(judge(&some, None, &["f2:2 f2:2 f2:2"]), "no node leads");
        fails(
            judge(&some, None, &["l:2 f1:2 f1:2", "f2:3 l:3 f2:3"]),
            "changed from n1 in term 2 to n2",
        );
        fails(judge(&some, None, &["l:2 f1:2 f1:2", "l:3 f1:3 f1:3"]), "to n1 in term 3");
        fails(judge(&some, None, &["l:2 f1:2 f1:2", "f-:3 c:3 f-:3"]), "did not stay so: no node");
    }

    #[test]
    fn the_same_leader() {
        let same = step(Leader::Same);
        let before = Some((2, 3));
        assert_eq!(
            judge(&same, before, &["f2:3 l:3 f2:3 ?", "f2:3 l:3 f2:3 f2:3"]),
            Ruling::Passed
        );
        fails(
            judge(&same, before, &["f2:3 l:3 f2:3 ?", "l:4 f1:4 f1:4 f1:4"]),
            "changed from n2 in term 3 to n1 in term 4",
        );
        fails(judge(&same, before, &["f2:4 l:4 f2:4 f2:4"]), "to n2 in term 4");
        fails(judge(&same, before, &["f2:3 f-:4 f2:3 c:4"]), "n2 leads no longer");
        fails(judge(&same, before, &["f2:3 l:3 f2:3 c:9"]), "n4 does not yet follow");
        fails(judge(&same, before, &["f2:3 l:3 f2:3 ?"]), "n4 does not answer");
    }

    #[test]
    fn a_new_leader() {
        let new = step(Leader::New);
        let before = Some((2, 3));
        assert_eq!(judge(&new, before, &["f2:3 . f2:3", "l:4 . f1:4"]), Ruling::Passed);
        fails(judge(&new, before, &["f2:3 . f2:3"]), "no node leads");
        fails(judge(&new, before, &["f2:3 l:3 f2:3"]), "not a new leader");
        fails(judge(&new, before, &["f2:4 l:4 f2:4"]), "not a new leader");
        fails(judge(&new, before, &["l:4 . f1:4", "f3:5 . l:5"]), "the leader changed");
    }

    #[test]
    fn two_leaders_in_one_term_fail_at_any_time() {
        let some = step(Leader::Some);
        fails(judge(&some, None, &["l:2 l:2 f1:2"]), "two leaders in term 2: n1 and n2");
        // Also when they are never seen together, or in different steps.
        fails(judge(&some, None, &["l:2 f-:1 f-:1", "f2:2 l:2 f2:2"]), "two leaders in term 2");
        fails(judge(&step(Leader::New), Some((3, 2)), &["l:2 f1:2 ."]), "two leaders in term 2");
        // A leader that does not yet know of a later one is allowed by Raft.
        assert_eq!(judge(&some, None, &["l:2 l:3 f2:3", "f2:3 l:3 f2:3"]), Ruling::Passed);
    }

    #[test]
    fn a_short_silence_is_forgiven_and_a_long_one_is_not() {
        let some = step(Leader::Some);
        let up = "l:2 f1:2 f1:2";
        let down = "l:2 f1:2 ?";
        assert_eq!(judge(&some, None, &[up, down, down, up]), Ruling::Passed);
        fails(judge(&step_holding(20), None, &[up, down]), "n3 no longer answers");
    }

    fn step_holding(timeouts: u32) -> Step {
        Step { hold_timeouts: timeouts, ..step(Leader::Some) }
    }
}
