//! What a run may use, so that no node holds up the laboratory.
//!
//! A correct node sets its next deadline in the future, comes to rest after each input, and sends
//! no more messages than the requests, timers and log entries behind them account for. A node that
//! does not is convicted here, by what it did in virtual time: the same plan always ends alike.
//!
//! - A **spinning** node is woken so often that time hardly passes, or never comes to rest.
//! - A **storm**: messages that cause messages, without end.
//! - Last, a limit of real time, far above what a run takes. It convicts nobody, as the machine may
//!   be slow: the run is given up, and the account says what happened most often.

use std::time::{Duration, Instant};

use checker::evidence::Stuck;
use node::{
    raft,
    replica::{Body, Message, Time},
};

use crate::nemesis::NodeId;

/// A node that is woken by its timer more often than this
const TIMERS_MAX: u32 = 1000;
/// within this time spins. Heartbeats are at least 1 ms apart.
const WINDOW: Duration = Duration::from_millis(100);

/// Outputs of one round that cause inputs of the same node: messages that have no link come back.
const ECHOES_MAX: u32 = 10_000;

/// So many messages need no explanation: elections, and what an old log needs to be found equal.
const MESSAGES_FREE: u64 = 20_000;
/// Messages, for each node, that a client's request or a timer explains: to replicate, to
/// acknowledge and to commit takes three, to forward two.
const MESSAGES_EACH: u64 = 10;
/// Messages, for each node, that an entry of the longest log explains: a follower that lacks it may
/// get it several times.
const MESSAGES_ENTRY: u64 = 8;

/// Real time that any run may take; more, by its virtual time, if that is long.
const REAL_TIME: Duration = Duration::from_secs(60);

/// The kinds of messages.
const KINDS: [&str; 8] = [
    "requests for votes",
    "replies to requests for votes",
    "appends",
    "replies to appends",
    "requests for a read index",
    "replies with a read index",
    "forwarded commands",
    "refusals of forwarded commands",
];

fn kind(body: &Body) -> usize {
    match body {
        Body::Raft(raft::Body::RequestVote { .. }) => 0,
        Body::Raft(raft::Body::VoteReply { .. }) => 1,
        Body::Raft(raft::Body::Append { .. }) => 2,
        Body::Raft(raft::Body::AppendReply { .. }) => 3,
        Body::Raft(raft::Body::ReadIndex { .. }) => 4,
        Body::Raft(raft::Body::ReadIndexReply { .. }) => 5,
        Body::Propose { .. } => 6,
        Body::ProposeRefused { .. } => 7,
    }
}

/// What a node did.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// When the present window began, and how often the timer woke the node in it.
    window: Time,
    woken: u32,
    timers: u64,
    requests: u64,
    rounds: u64,
    sent: [u64; KINDS.len()],
}

/// What was used so far.
#[derive(Debug)]
pub(super) struct Budget {
    accounts: Vec<Account>,
    began: Instant,
    real_time: Duration,
    resends: u64,
    stuck: Option<Stuck>,
}

impl Budget {
    /// Nothing is used; a run of so many nodes that is to take so much virtual time. An append may
    /// have to be sent so often.
    pub(super) fn new(nodes: usize, time: Duration, resends: u64) -> Self {
        Self {
            accounts: vec![Account::default(); nodes],
            began: Instant::now(),
            real_time: REAL_TIME + time,
            resends,
            stuck: None,
        }
    }

    /// What holds up the run, once something does.
    pub(super) fn stuck(&mut self) -> Option<Stuck> {
        self.stuck.take()
    }

    fn account(&mut self, node: NodeId) -> &mut Account {
        &mut self.accounts[node as usize - 1]
    }

    fn convict(&mut self, node: NodeId, how: String) {
        self.stuck.get_or_insert(Stuck { node: Some(node), how });
    }

    /// A node's timer wakes it.
    pub(super) fn woken(&mut self, node: NodeId, now: Time) {
        let account = self.account(node);
        account.timers += 1;
        if now.saturating_sub(account.window) > WINDOW {
            (account.window, account.woken) = (now, 0);
        }
        account.woken += 1;
        if account.woken > TIMERS_MAX {
            let since = account.window;
            self.convict(
                node,
                format!(
                    "no progress since {since:?}: the timer of n{node} went off {TIMERS_MAX} times \
                     within {:?} of virtual time, each time at the deadline that n{node} had asked \
                     for",
                    now.saturating_sub(since)
                ),
            );
        }
    }

    /// A node deals with its inputs.
    pub(super) fn round(&mut self, node: NodeId) {
        self.account(node).rounds += 1;
    }

    /// A node takes in a client's request.
    pub(super) fn requested(&mut self, node: NodeId) {
        self.account(node).requests += 1;
    }

    /// A node sends a message; copies that the network makes do not count.
    pub(super) fn sent(&mut self, message: &Message) {
        self.account(message.from).sent[kind(&message.body)] += 1;
    }

    /// Outputs of a round have caused inputs of the same node for the `echoes`th time. Whether the
    /// node may go on.
    pub(super) fn echoes(&mut self, node: NodeId, echoes: u32, now: Time) -> bool {
        let rests = echoes <= ECHOES_MAX;
        if !rests {
            self.convict(
                node,
                format!(
                    "no progress since {now:?}: n{node} does not come to rest, what it sends came \
                     back to it {ECHOES_MAX} times at one moment"
                ),
            );
        }
        rests
    }

    /// Whether the messages so far are accounted for. `entries`: of the longest log.
    pub(super) fn look(&mut self, entries: u64, now: Time) {
        let sum = |of: fn(&Account) -> u64| self.accounts.iter().map(of).sum::<u64>();
        let (requests, timers) = (sum(|it| it.requests), sum(|it| it.timers));
        let sent = sum(|it| it.sent.iter().sum());
        let each = MESSAGES_EACH.saturating_mul(requests + timers);
        let all = each.saturating_add(MESSAGES_ENTRY.saturating_mul(entries));
        let all = all.saturating_mul(self.resends);
        let explained = MESSAGES_FREE + all.saturating_mul(self.accounts.len() as u64);
        if sent <= explained {
            return;
        }
        let most = (1..)
            .zip(&self.accounts)
            .flat_map(|(node, it)| it.sent.iter().zip(KINDS).map(move |(n, kind)| (*n, node, kind)))
            .max_by_key(|(count, ..)| *count);
        if let Some((count, node, kind)) = most {
            self.convict(
                node,
                format!(
                    "a storm of messages: the nodes sent {sent} by {now:?}, and {requests} requests, \
                     {timers} timers and {entries} log entries explain no more than {explained}; \
                     {count} of them are {kind} from n{node}"
                ),
            );
        }
    }

    /// Why the run is given up, if it takes too long by the clock of this machine.
    pub(super) fn overdue(&self, events: u64, now: Time) -> Option<String> {
        let took = self.began.elapsed();
        if took <= self.real_time {
            return None;
        }
        let rounds: u64 = self.accounts.iter().map(|it| it.rounds).sum();
        let busiest = (1..).zip(&self.accounts).max_by_key(|(_, it)| it.rounds);
        let busiest = busiest.map_or(String::new(), |(node, it): (NodeId, _)| {
            let share = it.rounds.saturating_mul(100) / rounds.max(1);
            format!("; {share} % of the {rounds} rounds of nodes were n{node}'s")
        });
        Some(format!(
            "the run was given up after {:.0} s of real time, at {now:?} of virtual time and {events} \
             events{busiest}",
            took.as_secs_f64()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(from: NodeId) -> Message {
        let body = raft::Body::ReadIndex { id: 1 }.into();
        Message { from, to: 2, term: 1, clock: 1, body }
    }

    #[test]
    fn a_heartbeat_a_millisecond_is_not_spinning() {
        let mut budget = Budget::new(1, Duration::ZERO, 1);
        for millisecond in 0..100_000 {
            budget.woken(1, Duration::from_millis(millisecond));
        }
        assert_eq!(budget.stuck(), None);
    }

    #[test]
    fn a_deadline_a_nanosecond_away_is_spinning() {
        let mut budget = Budget::new(3, Duration::ZERO, 1);
        let woken = (0..).take_while(|nanosecond| {
            budget.woken(2, Duration::from_secs(5) + Duration::from_nanos(*nanosecond));
            budget.stuck.is_none()
        });
        assert_eq!(woken.count(), TIMERS_MAX as usize);
        let stuck = budget.stuck().unwrap();
        assert_eq!(stuck.node, Some(2));
        assert!(stuck.how.starts_with("no progress since 5s: the timer of n2"), "{}", stuck.how);
    }

    #[test]
    fn messages_are_a_storm_unless_requests_timers_or_entries_explain_them() {
        let storm = |requests: u64, entries: u64| {
            let mut budget = Budget::new(3, Duration::ZERO, 1);
            (0..requests).for_each(|_| budget.requested(1));
            (0..50_000).for_each(|_| budget.sent(&append(3)));
            budget.look(entries, Duration::from_secs(1));
            budget.stuck()
        };
        assert_eq!(storm(1000, 0), None);
        assert_eq!(storm(0, 1250), None);
        let stuck = storm(999, 0).unwrap();
        assert_eq!(stuck.node, Some(3));
        let says = "50000 of them are requests for a read index from n3";
        assert!(stuck.how.contains(says), "{}", stuck.how);
    }

    #[test]
    fn a_run_is_given_up_by_the_clock_only_long_after_its_time() {
        let mut budget = Budget::new(2, Duration::from_secs(5), 1);
        budget.round(2);
        assert_eq!(budget.overdue(1, Duration::ZERO), None);
        budget.real_time = Duration::ZERO;
        let why = budget.overdue(1, Duration::from_secs(1)).unwrap();
        assert!(why.contains("100 % of the 1 rounds of nodes were n2's"), "{why}");
    }
}
