//! For each situation a hand-made run that meets it, and one that nearly does.

mod elections;
mod figure_8;

use std::time::Duration;

use bytes::Bytes;
use checker::{
    fault::{self, Phase},
    history::{self, Function, Kind, Value},
};
use node::{
    kv::{Request, Store},
    raft::{Body as Raft, Entry, EntryKind, Hash},
    replica::{Body, Message},
};
use proto::{
    etcd::{PutRequest, RangeRequest},
    peer::{Command, CommandId, command},
    trace::{Event, Position, Record, Role},
};

use super::{Detector, Situation, Tally};
use crate::{
    cluster::sim::{Ending, Loss, Observer, SimEvent},
    plan::{self, ClusterKind, Load, Plan, Storage, Timings, World},
    system::System,
    workload::{Workload, register},
};

/// A run of five nodes, told by hand.
struct Run {
    detector: Detector,
    now: Duration,
    messages: u64,
}

impl Run {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(values: Option<u32>) -> Self {
        let plan = Plan::generate(plan::Options {
            system: System::raft_node(),
            cluster: ClusterKind::Sim,
            nodes: 5,
            seed: 1,
            time: Duration::from_secs(10),
            interval: None,
            menu: "none".parse().unwrap(),
            workload: Workload::Register(register::Options { values, ..register::Options::new(5) }),
            load: Load::steady(5, 20, Duration::from_secs(1)),
            timings: Timings {
                election_timeout: Duration::from_millis(300),
                heartbeat_interval: Duration::from_millis(60),
            },
            storage: Storage::Durable,
            world: World::default(),
        })
        .unwrap();
        let mut run = Self { detector: Detector::new(&plan), now: Duration::ZERO, messages: 0 };
        for node in 1..=5 {
            run.start(node, 1, (0, None), at(0, 0));
        }
        run
    }

    fn see(&mut self, what: SimEvent<'_>) -> &mut Self {
        self.now += Duration::from_millis(1);
        self.detector.observe(self.now, what);
        self
    }

    fn step(&mut self, node: u64, event: Event) -> &mut Self {
        let record = Record { node, boot: 1, seq: 0, clock: 0, time: 0, event };
        self.see(SimEvent::Step(&record))
    }

    fn start(
        &mut self,
        node: u64,
        boot: u64,
        hard: (u64, Option<u64>),
        last: Position,
    ) -> &mut Self {
        self.see(SimEvent::Started { node, boot, cut: 0 });
        let (term, vote) = hard;
        self.step(node, Event::Started { term, vote, last, voters: (1..=5).collect() })
    }

    fn kill(&mut self, node: u64) -> &mut Self {
        self.see(SimEvent::Ended { node, ending: Ending::Killed, unsynced: 0 })
    }

    fn term(&mut self, node: u64, term: u64) -> &mut Self {
        self.step(node, Event::Term { term })
    }

    fn role(&mut self, node: u64, term: u64, role: Role, last: Position) -> &mut Self {
        self.step(node, Event::Role { term, role, leader: None, last })
    }

    fn stand(&mut self, node: u64, term: u64) -> &mut Self {
        self.term(node, term).vote(node, term, node).role(node, term, Role::Candidate, at(0, 0))
    }

    /// Stands and wins, with a log that ends there.
    fn lead(&mut self, node: u64, term: u64, last: Position) -> &mut Self {
        self.stand(node, term).role(node, term, Role::Leader, last)
    }

    fn append(&mut self, node: u64, index: u64, term: u64) -> &mut Self {
        let prev = at(index - 1, term);
        self.step(node, Event::Appended { prev, entries: vec![(term, Hash(1))] })
    }

    fn acknowledge(&mut self, node: u64, term: u64, leader: u64, last: Position) -> &mut Self {
        self.step(node, Event::Acknowledged { term, leader, last })
    }

    fn commit(&mut self, node: u64, term: u64, last: Position, leads: bool) -> &mut Self {
        let matched = leads.then(Vec::new);
        self.step(node, Event::Committed { term, last, matched })
    }

    fn send(&mut self, message: &Message) -> u64 {
        self.messages += 1;
        let id = self.messages;
        self.see(SimEvent::Sent { id, message, copy_of: None });
        id
    }

    fn copy(&mut self, message: &Message, original: u64) -> u64 {
        self.messages += 1;
        let id = self.messages;
        self.see(SimEvent::Sent { id, message, copy_of: Some(original) });
        id
    }

    fn deliver(&mut self, id: u64, message: &Message) -> &mut Self {
        self.see(SimEvent::Delivered { id, message })
    }

    fn pass(&mut self, message: &Message) -> &mut Self {
        let id = self.send(message);
        self.deliver(id, message)
    }

    fn ask(&mut self, node: u64, request: &Request) -> &mut Self {
        self.see(SimEvent::Asked { node, request })
    }

    /// A node votes for a candidate in its term.
    fn vote(&mut self, node: u64, term: u64, candidate: u64) -> &mut Self {
        self.step(node, Event::Voted { term, candidate })
    }

    fn cut(&mut self, fault: usize, phase: Phase, rules: &[&str]) -> &mut Self {
        let link = |rule: &&str| rule.strip_prefix("drop ").unwrap().parse().unwrap();
        let record = fault::Record {
            version: checker::version::Version,
            fault,
            time: 0,
            phase,
            kind: fault::Kind::Partition,
            what: "one".to_owned(),
            nodes: Vec::new(),
            links: rules.iter().map(link).collect(),
            leader: None,
            severs_leader: false,
            observed: fault::Observed::default(),
            detail: None,
        };
        self.see(SimEvent::Fault(&record))
    }

    fn client(&mut self, kind: Kind, f: Function, value: Value, node: &str) -> &mut Self {
        let event = history::Event {
            index: 0,
            time: 0,
            process: 1,
            kind,
            f,
            key: "k".to_owned(),
            value,
            error: None,
            node: Some(node.to_owned()),
            revision: None,
        };
        self.see(SimEvent::Client { client: 1, event: &event.into() })
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self
    }

    /// How often a situation was met.
    fn times(self, situation: Situation) -> u64 {
        self.detector.finish().of(situation)
    }
}

/// Plays on a new run and says how often a situation was met.
fn met(situation: Situation, play: impl FnOnce(&mut Run)) -> u64 {
    let mut run = Run::new();
    play(&mut run);
    run.times(situation)
}

fn at(index: u64, term: u64) -> Position {
    Position { index, term, hash: Hash(0) }
}

fn message(from: u64, to: u64, term: u64, body: impl Into<Body>) -> Message {
    Message { from, to, term, clock: 0, body: body.into() }
}

fn vote_request(from: u64, to: u64, term: u64, last: Position) -> Message {
    message(from, to, term, Raft::RequestVote { last_index: last.index, last_term: last.term })
}

fn append(term: u64, entries: u64) -> Message {
    let entry = |index| Entry {
        index,
        term,
        kind: EntryKind::Normal,
        payload: Bytes::new(),
        hash: Hash(0),
    };
    let entries = (1..=entries).map(entry).collect();
    message(1, 2, term, Raft::Append { prev_index: 0, prev_term: 0, entries, commit: 0, round: 0 })
}

const OFF: [&str; 6] =
    ["drop n1→n3", "drop n3→n1", "drop n1→n4", "drop n4→n1", "drop n5→n1", "drop n1→n5"];

#[test]
fn leader_in_minority() {
    let cut = |rules: &[&str], leader| {
        met(Situation::LeaderInMinority, |run| {
            run.lead(leader, 1, at(0, 0)).cut(1, Phase::Requested, rules);
            run.cut(1, Phase::Applied, rules).cut(1, Phase::HealRequested, &[]);
        })
    };
    assert_eq!(cut(&OFF, 1), 1, "it is left with n2");
    assert_eq!(cut(&["drop n1→n3", "drop n4→n1", "drop n1→n5"], 1), 1, "one way is enough");
    assert_eq!(cut(&OFF[..4], 1), 0, "it is left with n2 and n5");
    assert_eq!(cut(&OFF, 2), 0, "it is left with n3, n4 and n5");
    let two = met(Situation::LeaderInMinority, |run| {
        run.lead(1, 1, at(0, 0)).cut(1, Phase::Applied, &OFF[..4]);
        run.cut(2, Phase::Applied, &OFF[4..]).cut(1, Phase::HealRequested, &[]);
        run.cut(1, Phase::Applied, &OFF[..4]);
    });
    assert_eq!(two, 2, "two cuts add up, and once more");
    let healed = met(Situation::LeaderInMinority, |run| {
        run.cut(1, Phase::Applied, &OFF).cut(1, Phase::HealRequested, &[]);
        run.lead(1, 1, at(0, 0));
    });
    assert_eq!(healed, 0, "it leads when the cut is over");
}

#[test]
fn stale_leader_deposed() {
    let deposed = |situation, play: fn(&mut Run)| met(situation, play);
    let stale = |run: &mut Run| _ = run.lead(1, 1, at(0, 0)).lead(2, 2, at(1, 1));
    let of = Situation::StaleLeaderDeposed;
    assert_eq!(deposed(of, |run| _ = run.lead(1, 1, at(0, 0)).lead(2, 2, at(1, 1)).term(1, 2)), 1);
    assert_eq!(deposed(of, |run| _ = run.lead(1, 1, at(0, 0)).term(1, 2)), 0, "none other led yet");
    assert_eq!(deposed(of, stale), 0, "it does not know yet");
}

#[test]
fn stale_leader_asked() {
    let asked = |play: &dyn Fn(&mut Run)| {
        met(Situation::StaleLeaderAsked, |run| {
            play(run);
            run.term(1, 2);
        })
    };
    let stale = |run: &mut Run| _ = run.lead(1, 1, at(0, 0)).lead(2, 2, at(1, 1));
    let read = Request::Range(RangeRequest::default());
    let write = Request::Put(PutRequest::default());
    let question = |term| message(3, 1, term, Raft::ReadIndex { id: 1 });
    let deposing = append(2, 0);
    let deposing = Message { from: 2, to: 1, ..deposing };
    let then = |next: &dyn Fn(&mut Run)| {
        asked(&|run| {
            stale(run);
            next(run);
        })
    };
    assert_eq!(then(&|run| _ = run.ask(1, &read)), 1);
    assert_eq!(then(&|run| _ = run.pass(&question(1))), 1, "by a follower");
    assert_eq!(then(&|run| _ = run.ask(1, &read).pass(&deposing)), 1, "before it is deposed");
    let begun = |run: &mut Run| _ = run.client(Kind::Invoke, Function::Read, Value::Nil, "n1");
    assert_eq!(then(&begun), 0, "a request that has not arrived");
    assert_eq!(then(&|run| _ = run.ask(1, &write)), 0, "it is no read");
    assert_eq!(asked(&|run| (_ = run.ask(1, &read), stale(run)).1), 0, "it was asked before");
    assert_eq!(then(&|run| _ = run.ask(2, &read)), 0, "the new leader was asked");
    assert_eq!(then(&|_| ()), 0, "nobody asked");
    // All that waits is taken in, then what follows from it is traced.
    let behind = "it had heard of the later term already";
    assert_eq!(then(&|run| _ = run.pass(&deposing).ask(1, &read)), 0, "{behind}");
    assert_eq!(then(&|run| _ = run.pass(&deposing).pass(&question(1))), 0, "{behind}");
    assert_eq!(then(&|run| _ = run.pass(&question(2))), 0, "the question itself deposes it");
}

#[test]
fn leader_paused() {
    let paused = |ms, leads: bool| {
        met(Situation::LeaderPaused, |run| {
            if leads {
                run.lead(1, 1, at(0, 0));
            }
            run.see(SimEvent::Paused { node: 1 }).wait(ms).see(SimEvent::Resumed { node: 1 });
        })
    };
    assert_eq!(paused(400, true), 1);
    assert_eq!(paused(200, true), 0, "too short");
    assert_eq!(paused(400, false), 0, "a follower");
    let killed = |ms| {
        met(Situation::LeaderPaused, |run| {
            run.lead(1, 1, at(0, 0)).see(SimEvent::Paused { node: 1 }).wait(ms).kill(1);
        })
    };
    assert_eq!((killed(400), killed(200)), (1, 0), "its death ends the pause");
}

#[test]
fn committed_through_no_op() {
    let committed = |before, to| {
        met(Situation::CommittedThroughNoOp, |run| {
            run.commit(2, 2, at(before, 2), false);
            run.lead(1, 4, at(2, 2)).append(1, 3, 4).commit(1, 4, to, true);
            run.append(1, 4, 4).commit(1, 4, at(4, 4), true);
        })
    };
    assert_eq!(committed(1, at(3, 4)), 1);
    assert_eq!(committed(2, at(3, 4)), 0, "all that it inherited was committed");
    let follower = met(Situation::CommittedThroughNoOp, |run| {
        run.lead(1, 4, at(2, 2)).commit(2, 4, at(3, 4), false);
    });
    assert_eq!(follower, 0, "followers commit what they are told");
}

#[test]
fn tail_truncated() {
    let of = Situation::TailTruncated;
    assert_eq!(met(of, |run| _ = run.step(2, Event::Truncated { last: at(3, 2) })), 1);
    assert_eq!(met(of, |run| _ = run.append(2, 1, 1).start(2, 2, (1, None), at(0, 0))), 0);
}

#[test]
fn stale_append() {
    let arrives = |term, entries| {
        met(Situation::StaleAppend, |run| _ = run.term(2, 5).pass(&append(term, entries)))
    };
    assert_eq!(arrives(4, 1), 1);
    assert_eq!(arrives(5, 1), 0, "it is of this term");
    assert_eq!(arrives(4, 0), 0, "it has no entries");
    let behind = met(Situation::StaleAppend, |run| _ = run.pass(&append(2, 0)).pass(&append(1, 1)));
    assert_eq!(behind, 1, "it comes with a message of a later term, before that is traced");
}

#[test]
fn overtaken() {
    let of = Situation::Overtaken;
    let (one, other) = (append(1, 1), append(1, 2));
    let order = |first_first: bool| {
        met(of, |run| {
            let (first, second) = (run.send(&one), run.send(&other));
            if first_first {
                run.deliver(first, &one).deliver(second, &other);
            } else {
                run.deliver(second, &other).deliver(first, &one);
            }
        })
    };
    assert_eq!((order(false), order(true)), (1, 0));
    let elsewhere = message(1, 3, 1, Raft::ReadIndex { id: 1 });
    let links = met(of, |run| {
        let (first, second) = (run.send(&one), run.send(&elsewhere));
        run.deliver(second, &elsewhere).deliver(first, &one);
    });
    assert_eq!(links, 0, "on another link");
    let twins = met(of, |run| {
        let original = run.send(&one);
        let copy = run.copy(&one, original);
        run.deliver(copy, &one).deliver(original, &one);
    });
    assert_eq!(twins, 0, "its own copy");
}

#[test]
fn doubled() {
    let of = Situation::Doubled;
    let one = append(1, 1);
    let twins = |lost: Option<bool>| {
        met(of, |run| {
            let original = run.send(&one);
            let copy = run.copy(&one, original);
            for (id, is_copy) in [(copy, true), (original, false)] {
                if lost == Some(is_copy) {
                    run.see(SimEvent::Lost { id, message: &one, why: Loss::Chance });
                } else {
                    run.deliver(id, &one);
                }
            }
        })
    };
    assert_eq!(twins(None), 1);
    assert_eq!((twins(Some(true)), twins(Some(false))), (0, 0), "one of the two is lost");
    assert_eq!(met(of, |run| _ = run.pass(&one).pass(&one)), 0, "it is sent again");
}

#[test]
fn command_refused() {
    let of = Situation::CommandRefused;
    let id = CommandId { node: 2, boot: 1, number: 1 };
    let refused = message(1, 2, 1, Body::ProposeRefused { id });
    assert_eq!(met(of, |run| _ = run.pass(&refused)), 1);
    let taken = message(2, 1, 1, Body::Propose { command: Bytes::new(), id });
    assert_eq!(met(of, |run| _ = run.pass(&taken)), 0, "it is asked for");
}

#[test]
fn read_after_change() {
    let confirmed = |term| Event::ReadConfirmed { term, index: 1, by: vec![1, 2, 3] };
    let reads = |first: bool, second: u64| {
        met(Situation::ReadAfterChange, |run| {
            run.lead(1, 1, at(0, 0));
            if first {
                run.step(1, confirmed(1));
            }
            run.lead(second, 2, at(1, 1));
            run.step(second, confirmed(2)).step(second, confirmed(2));
        })
    };
    assert_eq!(reads(true, 2), 1);
    assert_eq!(reads(false, 2), 0, "the first leader served none");
    assert_eq!(reads(true, 1), 0, "the same leader serves again");
}

/// A store in which key `k` had these values.
fn store(values: &[&'static str]) -> Store {
    let mut store = Store::default();
    for value in values {
        let put = PutRequest {
            key: Bytes::from_static(b"k"),
            value: Bytes::from_static(value.as_bytes()),
            ..PutRequest::default()
        };
        let request = Some(command::Request::Put(put));
        store.apply(&Command { id: None, request, session: None }).unwrap();
    }
    store
}

#[test]
fn unknown_outcomes() {
    let both = |values: &[&'static str], kind, value| {
        let times = |situation| {
            met(situation, |run| {
                run.client(kind, Function::Write, value, "n1");
                run.see(SimEvent::Compared { store: &store(values) });
            })
        };
        (times(Situation::UnknownHappened), times(Situation::UnknownDidNot))
    };
    let info = Kind::Info;
    assert_eq!(both(&["3", "7", "9"], info, Value::Int(7)), (1, 0), "though it was overwritten");
    assert_eq!(both(&["3", "9"], info, Value::Int(7)), (0, 1));
    assert_eq!(both(&["3", "9"], info, Value::Pair(Some(3), 9)), (1, 0));
    assert_eq!(both(&["7"], Kind::Ok, Value::Int(7)), (0, 0), "its outcome is known");
    let mut run = Run::with(Some(10));
    run.client(info, Function::Write, Value::Int(7), "n1");
    run.see(SimEvent::Compared { store: &store(&["7"]) });
    assert_eq!(run.times(Situation::UnknownHappened), 0, "another write may have had the value");
}

#[test]
fn crash_unsynced() {
    let ended = |ending, unsynced| {
        met(Situation::CrashUnsynced, |run| {
            run.see(SimEvent::Ended { node: 1, ending, unsynced });
        })
    };
    assert_eq!(ended(Ending::Killed, 2), 1);
    assert_eq!(ended(Ending::Itself("it panicked"), 2), 1);
    assert_eq!(ended(Ending::Killed, 0), 0);
    assert_eq!(ended(Ending::Stopped, 2), 0, "no crash");
}

#[test]
fn torn_tail() {
    let cut = |cut| {
        met(Situation::TornTail, |run| _ = run.see(SimEvent::Started { node: 1, boot: 2, cut }))
    };
    assert_eq!((cut(17), cut(0)), (1, 0));
}

#[test]
fn segment_rolled() {
    let of = Situation::SegmentRolled;
    assert_eq!(met(of, |run| _ = run.see(SimEvent::Rolled { node: 1 })), 1);
    assert_eq!(met(of, |run| _ = run.see(SimEvent::Synced { node: 1 })), 0);
}

#[test]
fn a_tally_counts_times_and_runs() {
    let run = |changes: u64| {
        let mut run = Run::new();
        for term in 1..=changes + 1 {
            run.lead(1 + term % 2, term, at(0, 0));
        }
        run.detector.finish()
    };
    let mut tally = Tally::default();
    for changes in [2, 0, 3] {
        tally += run(changes);
    }
    assert_eq!(tally.times(Situation::LeaderChange), 5);
    assert_eq!(tally.runs(Situation::LeaderChange), 2);
    let never: Vec<_> = tally.never_met().collect();
    assert!(never.contains(&Situation::Figure8) && !never.contains(&Situation::LeaderChange));
}
