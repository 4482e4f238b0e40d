//! Plays a scenario's steps one after the other: a machine like [`crate::exercise`], for any
//! cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    data::{Action, Scenario, Target},
    judge::{Judge, Leadership, Ruling, Status, Statuses},
};
use crate::{
    exercise::{Alarm, Deed, Failure, Finding, Machine, Observation, Order, Ticket, Time, View},
    nemesis::NodeId,
};

/// What became of a scenario. Times count from its start.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// Every step that was begun.
    pub steps: Vec<StepAccount>,
    /// What the nodes said, whenever it differed from what they had said before.
    pub observations: Vec<Observed>,
}

/// What became of a step.
#[derive(Debug, Serialize, Deserialize)]
pub struct StepAccount {
    /// From 1.
    pub number: usize,
    /// The step's name.
    pub name: String,
    /// What was done to which node: `crash n3`.
    pub done: String,
    /// The node that it was done to.
    pub node: NodeId,
    /// Whether the node was crashed, else started.
    pub crashed: bool,
    /// When it was done, in nanoseconds.
    pub began: u64,
    /// When it had been done, in nanoseconds.
    pub acted: u64,
    /// How long after that the expectation came true, in milliseconds.
    pub reached_ms: Option<u64>,
    /// How long it then held, in milliseconds.
    pub held_ms: Option<u64>,
    /// Who led then.
    pub leader: Option<Leadership>,
    /// Why the step failed.
    pub failure: Option<String>,
}

/// What all running nodes said at one moment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Observed {
    /// Nanoseconds since the scenario's start.
    pub time: u64,
    /// By node; `null`: it did not answer.
    pub nodes: Statuses,
}

impl Account {
    /// The step that failed, if one did.
    pub fn failed(&self) -> Option<&StepAccount> {
        self.steps.iter().find(|step| step.failure.is_some())
    }
}

/// A scenario that is being played.
///
/// - What it has ordered and not seen done is in `pending`; a new round begins when that is empty.
#[derive(Debug)]
pub struct Play<'a> {
    scenario: &'a Scenario,
    election_timeout: Duration,
    account: Account,
    /// Why the scenario was cut short.
    error: Option<String>,
    running: BTreeSet<NodeId>,
    /// Every leader seen so far, by term.
    leaders: BTreeMap<u64, NodeId>,
    /// Who led when the last step ended.
    leader: Option<Leadership>,
    /// The present step's; none while its action is under way.
    judge: Option<Judge>,
    acted: Time,
    pending: BTreeMap<Ticket, Deed>,
    statuses: Statuses,
    last_ticket: Ticket,
    stopping: bool,
    over: bool,
    /// What people are to be told, a line each.
    lines: Vec<String>,
}

impl<'a> Play<'a> {
    /// A scenario that has not begun, on nodes with this shortest election timeout.
    pub fn new(scenario: &'a Scenario, election_timeout: Duration) -> Self {
        Self {
            scenario,
            election_timeout,
            account: Account::default(),
            error: None,
            running: BTreeSet::new(),
            leaders: BTreeMap::new(),
            leader: None,
            judge: None,
            acted: Time::ZERO,
            pending: BTreeMap::new(),
            statuses: Statuses::new(),
            last_ticket: 0,
            stopping: false,
            over: false,
            lines: Vec::new(),
        }
    }

    /// What people are to be told since this was last asked.
    pub fn take_lines(&mut self) -> Vec<String> {
        mem::take(&mut self.lines)
    }

    /// What became of the scenario, and why it was cut short, if it was.
    pub fn into_account(self) -> (Account, Option<String>) {
        (self.account, self.error)
    }

    fn order(&mut self, deed: Deed, orders: &mut Vec<Order>) {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        self.pending.insert(ticket, deed.clone());
        orders.push(Order::Perform { ticket, deed });
    }

    /// Does the next step's action; after the last, stops the nodes that run, in order, so that
    /// their traces end with a last word.
    fn next_step(&mut self, now: Time, orders: &mut Vec<Order>) {
        let number = self.account.steps.len() + 1;
        let Some(step) = self.scenario.steps.get(number - 1) else {
            return self.stop(orders);
        };
        let (Action::Start(target) | Action::Crash(target)) = step.action;
        let node = match (target, self.leader) {
            (Target::Node(id), _) => id,
            (Target::Leader, Some(leader)) => leader.node,
            (Target::Leader, None) => {
                self.error = Some(format!("step {number}: there is no leader"));
                return self.stop(orders);
            }
        };
        let crashed = matches!(step.action, Action::Crash(_));
        let done = format!("{} n{node}", if crashed { "crash" } else { "start" });
        self.lines.push(format!("{number}. {} ({done})", step.name));
        self.account.steps.push(StepAccount {
            number,
            name: step.name.clone(),
            done,
            node,
            crashed,
            began: nanoseconds(now),
            acted: 0,
            reached_ms: None,
            held_ms: None,
            leader: None,
            failure: None,
        });
        if crashed {
            self.running.remove(&node);
            self.order(Deed::Kill(node), orders);
        } else {
            self.running.insert(node);
            self.order(Deed::Start(node), orders);
        }
    }

    fn stop(&mut self, orders: &mut Vec<Order>) {
        self.stopping = true;
        for node in self.running.clone() {
            self.order(Deed::Stop(node), orders);
        }
        self.over = self.pending.is_empty();
    }

    fn ask_all(&mut self, orders: &mut Vec<Order>) {
        // A slow answer would say what was, not what is.
        let patience = self.election_timeout.max(Duration::from_millis(200));
        self.statuses.clear();
        for node in self.running.clone() {
            self.order(Deed::Ask { node, patience }, orders);
        }
        if self.running.is_empty() {
            orders.push(Order::Wake { at: self.acted, alarm: Alarm::Look });
        }
    }

    fn done(
        &mut self,
        now: Time,
        deed: &Deed,
        outcome: Result<Finding, Failure>,
        orders: &mut Vec<Order>,
    ) {
        match (deed, outcome) {
            (Deed::Ask { node, .. }, outcome) => {
                let status = match outcome {
                    Ok(Finding::Status(status)) => {
                        let (role, term, leader) = (status.role, status.term, status.leader);
                        Some(Status { role, term, leader })
                    }
                    _ => None,
                };
                self.statuses.insert(*node, status);
            }
            (_, Err(why)) if !self.stopping => {
                self.error = Some(why.to_string());
                return self.stop(orders);
            }
            _ => {}
        }
        if !self.pending.is_empty() {
            return;
        }
        if self.stopping {
            self.over = true;
        } else if self.judge.is_some() {
            self.rule(now, orders);
        } else {
            self.acted(now, orders);
        }
    }

    /// The action is done: from now on its expectation must come true.
    fn acted(&mut self, now: Time, orders: &mut Vec<Order>) {
        let number = self.account.steps.len();
        let (Some(step), Some(account)) =
            (self.scenario.steps.get(number - 1), self.account.steps.last_mut())
        else {
            return;
        };
        account.acted = nanoseconds(now);
        self.acted = now;
        self.judge = Some(Judge::new(step, self.leader, self.election_timeout));
        self.ask_all(orders);
    }

    /// All nodes that run were asked.
    fn rule(&mut self, now: Time, orders: &mut Vec<Order>) {
        let at = now.saturating_sub(self.acted);
        let statuses = mem::take(&mut self.statuses);
        if self.account.observations.last().is_none_or(|last| last.nodes != statuses) {
            let nodes = statuses.clone();
            self.account.observations.push(Observed { time: nanoseconds(now), nodes });
        }
        let (Some(judge), Some(account)) = (&mut self.judge, self.account.steps.last_mut()) else {
            return;
        };
        let ruling = judge.observe(at, &statuses, &mut self.leaders);
        if let Some((reached, leader)) = judge.reached() {
            account.reached_ms = Some(milliseconds(reached));
            account.held_ms = Some(milliseconds(at.saturating_sub(reached)));
            account.leader = leader;
        }
        match ruling {
            Ruling::Waiting(_) | Ruling::Holding => {
                let poll = self.election_timeout / 5;
                let poll = poll.clamp(Duration::from_millis(5), Duration::from_millis(100));
                orders.push(Order::Wake { at: now + poll, alarm: Alarm::Look });
            }
            Ruling::Passed => {
                self.leader = account.leader;
                self.judge = None;
                self.next_step(now, orders);
            }
            Ruling::Failed(reason) => {
                self.lines.push(format!("{}. failed: {reason}", account.number));
                account.failure = Some(reason);
                self.stop(orders);
            }
        }
    }
}

impl Machine for Play<'_> {
    fn handle(&mut self, now: Time, what: Observation, _: &dyn View, orders: &mut Vec<Order>) {
        match what {
            Observation::Begin => self.next_step(now, orders),
            Observation::Alarm(Alarm::Look) if !self.stopping => {
                if self.running.is_empty() {
                    self.rule(now, orders);
                } else {
                    self.ask_all(orders);
                }
            }
            Observation::Done { ticket, outcome } => {
                if let Some(deed) = self.pending.remove(&ticket) {
                    self.done(now, &deed, outcome, orders);
                }
            }
            _ => {}
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

fn nanoseconds(time: Time) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::{self, Role};

    /// Elects the running node of the largest id the moment a majority of five runs, and keeps it.
    #[derive(Default)]
    struct Fake {
        running: BTreeSet<NodeId>,
        leader: Option<Leadership>,
        /// A bug: elects whatever the number of running nodes.
        without_quorum: bool,
        /// A bug: every start makes the new node leader.
        usurped: bool,
    }

    impl View for Fake {
        fn leader(&self) -> Option<NodeId> {
            self.leader.map(|leader| leader.node)
        }
    }

    impl Fake {
        fn elect(&mut self, started: bool) {
            let term = self.leader.map_or(1, |leader| leader.term + 1);
            let lost = self.leader.is_none_or(|leader| !self.running.contains(&leader.node));
            if lost || (started && self.usurped) {
                let elects = self.running.len() > 2 || self.without_quorum;
                let node = self.running.last().copied().filter(|_| elects);
                self.leader = node.map(|node| Leadership { node, term });
            }
        }

        fn perform(&mut self, deed: Deed) -> Finding {
            match deed {
                Deed::Start(node) => {
                    self.running.insert(node);
                    self.elect(true);
                }
                Deed::Kill(node) => {
                    self.running.remove(&node);
                    self.elect(false);
                }
                Deed::Ask { node, .. } => {
                    let role = match self.leader {
                        None => Role::Candidate,
                        Some(leader) if leader.node == node => Role::Leader,
                        Some(_) => Role::Follower,
                    };
                    return Finding::Status(exercise::Status {
                        boot: 1,
                        role,
                        term: self.leader.map_or(0, |leader| leader.term),
                        leader: self.leader.map(|leader| leader.node),
                        applied_index: 0,
                        unconnected: Vec::new(),
                    });
                }
                _ => {}
            }
            Finding::Nothing
        }
    }

    fn play(mut fake: Fake) -> Account {
        let scenario = Scenario::load("leader-election").unwrap();
        let mut play = Play::new(&scenario, Duration::from_millis(500));
        let mut now = Time::ZERO;
        let mut observations = std::collections::VecDeque::from([Observation::Begin]);
        while let Some(what) = observations.pop_front() {
            let mut orders = Vec::new();
            play.handle(now, what, &fake, &mut orders);
            for order in orders {
                observations.push_back(match order {
                    Order::Perform { ticket, deed } => {
                        Observation::Done { ticket, outcome: Ok(fake.perform(deed)) }
                    }
                    Order::Wake { at, alarm } => {
                        now = now.max(at);
                        Observation::Alarm(alarm)
                    }
                    order => panic!("a scenario does not order {order:?}"),
                });
            }
        }
        assert!(play.is_over());
        let (account, error) = play.into_account();
        assert_eq!(error, None);
        account
    }

    #[test]
    fn a_sound_cluster_passes_every_step() {
        let account = play(Fake::default());
        assert!(account.failed().is_none(), "{:?}", account.failed());
        let done: Vec<_> = account.steps.iter().map(|step| step.done.as_str()).collect();
        assert_eq!(
            done,
            [
                "start n1", "start n2", "start n3", "start n4", "start n5", "crash n3", "crash n5",
                "crash n4"
            ]
        );
        assert_eq!(account.steps[2].leader.map(|leader| leader.node), Some(3));
        assert!(account.steps.iter().all(|step| step.held_ms >= Some(4000)));
        assert!(account.observations.len() >= 8);
    }

    #[test]
    fn a_leader_without_a_quorum_fails_the_first_step() {
        let account = play(Fake { without_quorum: true, ..Fake::default() });
        assert_eq!(account.steps.len(), 1);
        let failure = account.failed().unwrap().failure.clone().unwrap();
        assert_eq!(failure, "n1 became leader of term 1");
    }

    #[test]
    fn a_newcomer_that_takes_over_fails_the_fourth_step() {
        let account = play(Fake { usurped: true, ..Fake::default() });
        let failed = account.failed().unwrap();
        assert_eq!(failed.number, 4);
        assert!(failed.failure.as_ref().unwrap().contains("the leader changed from n3"));
    }
}
