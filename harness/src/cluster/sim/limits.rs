//! Whether nodes keep their limits, as it is seen from outside: what they take in, what they send,
//! and how long they let a request wait. What they send to each other is watched only if the plan
//! has small limits, for others are out of reach.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use checker::evidence::{Breach, Watched};
use node::{
    kv::Response,
    raft::{Body as Raft, EntryKind},
    replica::{self, Body, Message, Time},
    storage::Record,
};

use super::{
    observe::SimEvent,
    process::{Asked, Running},
    world::World,
};
use crate::{nemesis::NodeId, plan::Limits};

/// What a round and a timer may be late by, on the node's own clock.
const LATE: Duration = Duration::from_millis(5);

/// What was seen of limits so far.
#[derive(Debug)]
pub(super) struct LimitsWatch {
    limits: Limits,
    /// What nodes send and keep is watched as well.
    small: bool,
    /// Appends and their answers come in the order in which they were sent, so that the window can
    /// be followed from outside. Else a late refusal makes a leader begin its window anew.
    orderly: bool,
    /// Of each kind and node the first breach is told.
    told: BTreeSet<(NodeId, &'static str)>,
    seen: Watched,
    /// By sender and receiver.
    windows: BTreeMap<(NodeId, NodeId), Window>,
    /// By leader: the term, and the payloads of that term that it was seen to keep: index, bytes.
    kept: BTreeMap<NodeId, (u64, VecDeque<(u64, usize)>)>,
}

/// The appends of one term that were not answered yet, by the index of their last entries.
#[derive(Debug, Default)]
struct Window {
    term: u64,
    /// The highest index that was answered.
    matched: u64,
    unanswered: VecDeque<u64>,
}

impl LimitsWatch {
    /// Of nodes with these limits, on a network that is orderly or not.
    pub(super) fn new(limits: Limits, orderly: bool) -> Self {
        let usual = Limits::default();
        let small = limits.append_bytes < usual.append_bytes
            || limits.append_window < usual.append_window
            || limits.uncommitted_bytes < usual.uncommitted_bytes;
        Self {
            limits,
            small,
            orderly,
            told: BTreeSet::new(),
            seen: Watched::default(),
            windows: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    /// What `run.json` says.
    pub(super) fn into_seen(self) -> Watched {
        self.seen
    }

    fn breach(&mut self, node: NodeId, kind: &'static str, how: String) {
        if self.told.insert((node, kind)) {
            self.seen.breaches.push(Breach { node, how });
        }
    }

    /// A node takes in a request.
    pub(super) fn took(&mut self) {
        self.seen.requests += 1;
    }

    /// A node has dealt with all that reached it. A request that came before the node was last
    /// disturbed (paused, its clock set) may wait longer.
    pub(super) fn rested(&mut self, node: NodeId, running: &Running, disturbed: Time) {
        let Limits { requests, request_timeout, .. } = self.limits;
        let open = running.requests.len();
        if open > requests {
            let how = format!("had {open} requests in flight; its limit is {requests}");
            self.breach(node, "requests", how);
        }
        let Some(Asked { arrived, shown, .. }) = running.requests.values().next() else { return };
        let waited = running.latest.saturating_sub(*shown);
        if *arrived > disturbed && waited > request_timeout + LATE {
            let how = format!(
                "had not answered a request after {waited:?}; it answers within {request_timeout:?}"
            );
            self.breach(node, "request_timeout", how);
        }
    }

    /// A node refuses a request, or not.
    pub(super) fn replied(
        &mut self,
        node: NodeId,
        asked: &Asked,
        result: &Result<Response, replica::Error>,
    ) {
        let Limits { requests, uncommitted_bytes, request_bytes, .. } = self.limits;
        let too_large = matches!(result, Err(replica::Error::TooLarge));
        let refused = matches!(result, Err(replica::Error::TooManyRequests));
        // How many there are is asked first.
        if !refused && too_large != (asked.bytes > request_bytes) {
            let does = if too_large { "refused as too large" } else { "took" };
            let how =
                format!("{does} a request of {} bytes; its limit is {request_bytes}", asked.bytes);
            self.breach(node, "request_bytes", how);
        }
        // A leader that keeps many bytes uncommitted refuses as well.
        let few = uncommitted_bytes < Limits::default().uncommitted_bytes;
        if refused && !few && asked.before < requests {
            let how = format!(
                "refused a request as one too many when it had {} in flight; its limit is \
                 {requests}",
                asked.before
            );
            self.breach(node, "refusal", how);
        }
    }

    /// A node hands records to its disk.
    pub(super) fn writes(&mut self, node: NodeId, term: u64, leads: bool, records: &[Record]) {
        if !self.small || !leads {
            return;
        }
        let (of, kept) = self.kept.entry(node).or_default();
        if *of != term {
            (*of, *kept) = (term, VecDeque::new());
        }
        for record in records {
            if let Record::Entry(entry) = record
                && entry.term == term
                && entry.kind == EntryKind::Normal
            {
                kept.push_back((entry.index, entry.payload.len()));
            }
        }
    }

    /// A leader of a term has committed up to an index.
    pub(super) fn committed(&mut self, node: NodeId, term: u64, index: u64) {
        let limit = self.limits.uncommitted_bytes;
        let Some((of, kept)) = self.kept.get_mut(&node) else { return };
        if *of != term {
            return;
        }
        while kept.pop_front_if(|(at, _)| *at <= index).is_some() {}
        let bytes: usize = kept.iter().map(|(_, bytes)| bytes).sum();
        if kept.len() > 1 && bytes > limit {
            let how = format!("kept {bytes} bytes uncommitted; its limit is {limit}");
            self.breach(node, "uncommitted_bytes", how);
        }
    }

    /// A message leaves. Whether it fills the window of its receiver.
    pub(super) fn sends(&mut self, message: &Message) -> bool {
        let Body::Raft(Raft::Append { entries, .. }) = &message.body else { return false };
        let Some(last) = entries.last().filter(|_| self.small) else { return false };
        let Limits { append_bytes, append_window, .. } = self.limits;
        let bytes: usize = entries.iter().map(|entry| entry.payload.len()).sum();
        if entries.len() > 1 && bytes > append_bytes {
            let how = format!("sent {bytes} bytes in one append; its limit is {append_bytes}");
            self.breach(message.from, "append_bytes", how);
        }
        let window = self.windows.entry((message.from, message.to)).or_default();
        if window.term != message.term {
            *window = Window { term: message.term, ..Window::default() };
        }
        // It sends again what it sent before.
        let first = last.index + 1 - entries.len() as u64;
        if window.unanswered.back().is_some_and(|sent| *sent >= first) {
            window.unanswered.clear();
        }
        window.unanswered.push_back(last.index);
        window.free();
        let open = window.unanswered.len();
        if open > append_window && self.orderly {
            let to = message.to;
            let how =
                format!("had {open} appends to n{to} in flight; its limit is {append_window}");
            self.breach(message.from, "append_window", how);
        }
        open == append_window
    }

    /// A message is taken in.
    pub(super) fn takes(&mut self, message: &Message) {
        let Body::Raft(Raft::AppendReply { result, .. }) = &message.body else { return };
        if !self.small {
            return;
        }
        let window = self.windows.entry((message.to, message.from)).or_default();
        if window.term < message.term {
            *window = Window { term: message.term, ..Window::default() };
        }
        match result {
            Ok(matched) if window.term == message.term => {
                window.matched = window.matched.max(*matched);
                window.free();
            }
            // The answer to an earlier term tells its leader nothing.
            Ok(_) => {}
            Err(_) => window.unanswered.clear(),
        }
    }
}

impl Window {
    /// What was answered is in flight no more. A node that takes in several answers at once sends
    /// after the last of them: so an answer may be known before what it answers is seen to leave.
    fn free(&mut self) {
        while self.unanswered.pop_front_if(|at| *at <= self.matched).is_some() {}
    }
}

impl World<'_> {
    /// A node has dealt with all that reached it.
    pub(super) fn watch_limits(&mut self, id: NodeId, running: &Running) {
        let disturbed = self.process(id).disturbed;
        self.limits.rested(id, running, disturbed);
        if self.limits.small {
            let status = running.replica.status();
            self.limits.committed(id, status.term, status.commit_index);
        }
    }

    /// A message leaves a node.
    pub(super) fn watch_sending(&mut self, message: &Message) {
        if self.limits.sends(message) {
            let (from, to) = (message.from, message.to);
            self.watch.see(self.now, SimEvent::WindowFull { from, to });
        }
    }
}

#[cfg(test)]
mod tests {
    use node::raft::{Entry, Hash};

    use super::*;

    fn watch() -> LimitsWatch {
        LimitsWatch::new(
            Limits {
                append_bytes: 10,
                append_window: 2,
                uncommitted_bytes: 20,
                requests: 3,
                request_bytes: 100,
                ..Limits::default()
            },
            true,
        )
    }

    fn entry(index: u64, bytes: usize) -> Entry {
        let payload = vec![0; bytes].into();
        Entry { index, term: 5, kind: EntryKind::Normal, payload, hash: Hash(index) }
    }

    fn append(from: u64, count: u64, bytes: usize) -> Message {
        let entries = (from..from + count).map(|index| entry(index, bytes)).collect();
        let body =
            Raft::Append { prev_index: from - 1, prev_term: 5, entries, commit: 0, round: 0 };
        Message { from: 1, to: 2, term: 5, clock: 0, body: Body::Raft(body) }
    }

    fn matched(index: u64) -> Message {
        let body = Raft::AppendReply { result: Ok(index), round: 0 };
        Message { from: 2, to: 1, term: 5, clock: 0, body: Body::Raft(body) }
    }

    fn said(watch: LimitsWatch) -> Vec<String> {
        watch
            .into_seen()
            .breaches
            .into_iter()
            .map(|it| format!("n{} {}", it.node, it.how))
            .collect()
    }

    #[test]
    fn a_window_is_full_and_then_too_full() {
        let mut kept = watch();
        assert!(!kept.sends(&append(1, 1, 4)) && kept.sends(&append(2, 1, 4)));
        kept.takes(&matched(1));
        assert!(kept.sends(&append(3, 1, 4)));
        assert!(!kept.sends(&append(2, 1, 4)), "sent again");
        assert_eq!(said(kept), [""; 0]);
        let mut broken = watch();
        for index in 1..=3 {
            broken.sends(&append(index, 1, 4));
        }
        assert_eq!(said(broken), ["n1 had 3 appends to n2 in flight; its limit is 2"]);
    }

    #[test]
    fn one_entry_may_be_large_and_two_may_not() {
        let mut watched = watch();
        watched.sends(&append(1, 1, 40));
        watched.sends(&append(1, 2, 5));
        watched.sends(&append(1, 2, 6));
        assert_eq!(said(watched), ["n1 sent 12 bytes in one append; its limit is 10"]);
    }

    #[test]
    fn answers_that_come_at_once_are_known_before_what_they_answer() {
        let mut kept = watch();
        kept.takes(&matched(1));
        kept.takes(&matched(2));
        for index in 2..=4 {
            kept.sends(&append(index, 1, 4));
        }
        assert_eq!(said(kept), [""; 0]);
    }

    #[test]
    fn uncommitted_bytes_count_until_they_are_committed() {
        let entries = |range: std::ops::RangeInclusive<u64>| -> Vec<Record> {
            range.map(|index| Record::Entry(entry(index, 10))).collect()
        };
        let mut watched = watch();
        watched.writes(1, 5, true, &entries(1..=2));
        watched.committed(1, 5, 0);
        watched.writes(1, 5, true, &entries(3..=3));
        watched.committed(1, 5, 1);
        watched.writes(1, 5, true, &entries(4..=4));
        watched.committed(1, 5, 1);
        assert_eq!(said(watched), ["n1 kept 30 bytes uncommitted; its limit is 20"]);
    }

    #[test]
    fn requests_are_refused_for_a_reason() {
        let asked = |bytes, before| Asked {
            client: 0,
            token: 0,
            arrived: Time::ZERO,
            shown: Time::ZERO,
            bytes,
            before,
        };
        let mut watched =
            LimitsWatch::new(Limits { requests: 3, request_bytes: 100, ..Limits::default() }, true);
        watched.replied(1, &asked(101, 0), &Err(replica::Error::TooLarge));
        watched.replied(1, &asked(10, 3), &Err(replica::Error::TooManyRequests));
        watched.replied(2, &asked(100, 0), &Err(replica::Error::TooLarge));
        watched.replied(3, &asked(101, 0), &Err(replica::Error::NoLeader));
        watched.replied(4, &asked(10, 2), &Err(replica::Error::TooManyRequests));
        let said = said(watched);
        assert_eq!(said[0], "n2 refused as too large a request of 100 bytes; its limit is 100");
        assert_eq!(said[1], "n3 took a request of 101 bytes; its limit is 100");
        let words = "n4 refused a request as one too many when it had 2 in flight";
        assert!(said[2].starts_with(words) && said.len() == 3, "{said:?}");
    }
}
