//! Runs in which one node stands still: what convicts it, and what excuses it.

use std::time::Duration;

use proto::trace::{self, Position};

use super::*;
use crate::{
    evidence::Run,
    fault::{Kind as FaultKind, Observed, Phase, Record},
    history::{Event, Function, Kind, Value, operation::pair},
    version::Version,
};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// A read of one node: from when to when, in milliseconds, and how it ended.
type Read = (u64, u64, u64, Kind);

fn history(reads: &[Read]) -> Vec<Event> {
    let mut events = Vec::new();
    for (process, &(node, call, end, kind)) in (0..).zip(reads) {
        let event = |time, kind| Event {
            index: 0,
            time: time * MS,
            process,
            kind,
            f: Function::Read,
            key: "k".into(),
            value: Value::Nil,
            error: None,
            node: Some(format!("n{node}")),
            revision: None,
        };
        events.extend([event(call, Kind::Invoke), event(end, kind)]);
    }
    events.sort_by_key(|event| event.time);
    for (index, event) in (0..).zip(&mut events) {
        event.index = index;
    }
    events
}

/// Reads of a node that answers, one each 500 ms from one second to another.
fn answered(node: u64, from: u64, to: u64) -> Vec<Read> {
    (2 * from..2 * to).map(|half| (node, half * 500, half * 500 + 3, Kind::Ok)).collect()
}

/// Reads of a node that does not answer; each is given up after a second.
fn unanswered(node: u64, from: u64, to: u64) -> Vec<Read> {
    (from..to).map(|second| (node, second * 1000, second * 1000 + 990, Kind::Info)).collect()
}

/// A run of 30 s of three nodes, which must serve within 4 s.
fn evidence(reads: &[Vec<Read>], faults: Vec<Record>) -> Evidence {
    let mut run =
        Run { nodes: 3, duration: 30 * SECOND, healed: Some(28 * SECOND), ..Run::default() };
    run.expect.service = Duration::from_secs(4);
    Evidence { history: history(&reads.concat()).into(), faults, run, ..Evidence::default() }
}

/// Steps of a node that applies an index each 100 ms in these spans of seconds.
fn applying(node: u64, spans: &[(u64, u64)]) -> Vec<trace::Record> {
    let at = |(tenth, seq): (u64, u64)| {
        let last = Position { index: tenth + 1, ..Position::default() };
        let event = trace::Event::Applied { last, state: trace::Hash(0) };
        trace::Record { node, boot: 1, seq, clock: tenth, time: tenth * 100 * MS, event }
    };
    let tenths = spans.iter().flat_map(|(from, to)| from * 10..to * 10);
    tenths.zip(0..).map(at).collect()
}

fn killed(node: u64, from: u64, to: u64) -> Vec<Record> {
    use Phase::{Applied, Confirmed, HealRequested, Healed, Requested};
    [Requested, Applied, Confirmed, HealRequested, Healed]
        .map(|phase| Record {
            fault: node as usize,
            time: SECOND * if phase <= Confirmed { from } else { to },
            phase,
            version: Version,
            kind: FaultKind::Kill,
            what: "one".into(),
            nodes: vec![format!("n{node}")],
            links: Vec::new(),
            leader: None,
            severs_leader: false,
            observed: Observed::default(),
            detail: None,
        })
        .to_vec()
}

fn judge(evidence: &Evidence) -> Property {
    check(evidence, &pair(evidence.history.registers()).unwrap())
}

fn convicts(evidence: &Evidence, summary: &str) {
    let property = judge(evidence);
    assert_eq!(property.outcome, Outcome::Violated, "{property:#?}");
    let summaries: Vec<_> = property.violations.iter().map(|it| it.summary.as_str()).collect();
    assert_eq!(summaries, [summary]);
}

fn holds(evidence: &Evidence, detail: &str) {
    let property = judge(evidence);
    assert_eq!(property.outcome, Outcome::Ok, "{property:#?}");
    assert!(property.detail.ends_with(detail), "{}", property.detail);
}

fn all_answer() -> [Vec<Read>; 3] {
    [1, 2, 3].map(|node| answered(node, 0, 30))
}

#[test]
fn a_node_that_answers_nothing_is_convicted_though_others_serve() {
    let mut reads = all_answer();
    reads[1] = [answered(2, 0, 10), unanswered(2, 10, 15), answered(2, 15, 30)].concat();
    convicts(
        &evidence(&reads, Vec::new()),
        "n2 answered nothing from 9.503 s to 15.003 s, although it was asked 6 times; others \
         answered 22 times meanwhile, and from 0.000 s to 30.000 s it was linked to a majority and \
         no fault was in force on any of them (the bound is 4.000 s)",
    );
    reads[1] = [answered(2, 0, 10), unanswered(2, 10, 13), answered(2, 13, 30)].concat();
    holds(&evidence(&reads, Vec::new()), "no node was silent for longer than 3.500 s");
}

#[test]
fn a_node_that_refuses_at_once_is_silent_too() {
    let mut reads = all_answer();
    let refused = (20..30).map(|half| (2, half * 500, half * 500 + 1, Kind::Fail)).collect();
    reads[1] = [answered(2, 0, 10), refused, answered(2, 15, 30)].concat();
    assert_eq!(judge(&evidence(&reads, Vec::new())).outcome, Outcome::Violated);
}

#[test]
fn a_node_that_was_not_asked_is_not_convicted() {
    let mut reads = all_answer();
    reads[1] = [answered(2, 0, 10), answered(2, 25, 30)].concat();
    assert_eq!(judge(&evidence(&reads, Vec::new())).outcome, Outcome::Ok);
}

#[test]
fn a_fault_on_the_node_excuses_it_and_one_on_another_does_not() {
    let mut reads = all_answer();
    reads[1] = [answered(2, 0, 10), unanswered(2, 10, 16), answered(2, 16, 30)].concat();
    assert_eq!(judge(&evidence(&reads, killed(2, 9, 15))).outcome, Outcome::Ok);
    assert_eq!(judge(&evidence(&reads, killed(3, 9, 25))).outcome, Outcome::Violated);
    // Not while the core changes all the time.
    let often = [killed(3, 9, 12), killed(1, 13, 15)].concat();
    assert_eq!(judge(&evidence(&reads, often)).outcome, Outcome::Ok);
}

#[test]
fn a_node_that_applies_nothing_while_others_do_is_convicted() {
    let mut evidence = evidence(&all_answer(), Vec::new());
    evidence.traces =
        vec![applying(1, &[(0, 30)]), applying(2, &[(0, 8), (13, 30)]), applying(3, &[(0, 30)])];
    convicts(
        &evidence,
        "n2 stood at applied index 80 for 5.000 s, until 13.000 s, although n1 had applied index \
         81; from 0.000 s to 30.000 s it was linked to a majority and no fault was in force on any \
         of them (the bound is 4.000 s)",
    );
    evidence.traces[1] = applying(2, &[(0, 8), (11, 30)]);
    holds(&evidence, "behind for longer than 3.000 s");
    // For good, too, and in the quiet after the last operation.
    evidence.traces[1] = applying(2, &[(0, 24)]);
    assert_eq!(judge(&evidence).outcome, Outcome::Violated);
    evidence.traces[1] = applying(2, &[(0, 29)]);
    assert_eq!(judge(&evidence).outcome, Outcome::Ok);
    evidence.run.stopped = 40 * SECOND;
    assert_eq!(judge(&evidence).outcome, Outcome::Violated);
    // What is missing of a trace convicts nobody.
    evidence.run.lost.insert(2);
    assert_eq!(judge(&evidence).outcome, Outcome::Ok);
}

#[test]
fn a_node_that_starts_again_catches_up_from_nothing() {
    let mut evidence = evidence(&all_answer(), killed(2, 9, 15));
    let mut again = applying(2, &[(0, 9)]);
    let started = trace::Event::Started {
        term: 1,
        vote: None,
        last: Position::default(),
        voters: vec![1, 2, 3],
    };
    again.push(trace::Record { boot: 2, event: started, ..again[0].clone() });
    let line = again.len() - 1;
    again[line].time = 14 * SECOND;
    again.extend(applying(2, &[(16, 30)]));
    evidence.traces = vec![applying(1, &[(0, 30)]), again.clone(), applying(3, &[(0, 30)])];
    assert_eq!(judge(&evidence).outcome, Outcome::Ok);
    again.truncate(line + 1);
    evidence.traces[1] = again;
    let property = judge(&evidence);
    assert!(property.violations[0].summary.starts_with("n2 stood at applied index 0 for 15.000 s"));
}

/// Reads of n2, one each 50 ms, of which each `nth` is not answered within a second.
fn dropping(nth: u64) -> Vec<Read> {
    let read = |number: u64| match number % nth {
        0 => (2, number * 50, number * 50 + 990, Kind::Info),
        _ => (2, number * 50, number * 50 + 3, Kind::Ok),
    };
    (1..500).map(read).collect()
}

#[test]
fn a_node_that_leaves_every_tenth_request_unanswered_is_convicted() {
    let mut reads = all_answer();
    reads[1] = [dropping(10), answered(2, 26, 30)].concat();
    let mut evidence = evidence(&reads, Vec::new());
    assert_eq!(judge(&evidence).outcome, Outcome::Ok, "a network may lose that many");
    evidence.run.expect.misses = Some(0.01);
    convicts(
        &evidence,
        "n2 left 42 of 428 requests unanswered while it was linked to a majority and no fault was \
         in force on any of them; at most 1.0 % may be lost",
    );
    reads[1] = [dropping(200), answered(2, 26, 30)].concat();
    let few = self::evidence(&reads, Vec::new());
    evidence.history = few.history;
    assert_eq!(judge(&evidence).outcome, Outcome::Ok);
    // Nobody was answered meanwhile: the machine stood still, and the node with it.
    reads[1] = [answered(2, 0, 10), unanswered(2, 10, 12), answered(2, 12, 30)].concat();
    evidence.history = self::evidence(&reads, Vec::new()).history;
    assert_eq!(judge(&evidence).outcome, Outcome::Ok);
}

/// Reads of a node one after the other, of which each tenth is not answered within a second.
fn dropping_in_turn(node: u64) -> Vec<Read> {
    let mut now = 0;
    let mut read = |number: u64| {
        let (lasts, kind) = if number % 10 == 9 { (1000, Kind::Info) } else { (3, Kind::Ok) };
        let read = (node, now, now + lasts, kind);
        now += lasts + 247;
        read
    };
    (0..80).map(&mut read).collect()
}

#[test]
fn what_each_node_drops_seldom_convicts_all_together_where_all_must_be_prompt() {
    let mut reads: Vec<Vec<Read>> = (1..=3).map(dropping_in_turn).collect();
    (1..=3).for_each(|node| reads.push(answered(node, 27, 30)));
    let mut evidence = evidence(&reads, Vec::new());
    evidence.run.expect.misses = Some(0.01);
    assert_eq!(judge(&evidence).outcome, Outcome::Ok, "each may have waited for something");
    evidence.run.expect.prompt = Some(Duration::from_secs(1));
    convicts(
        &evidence,
        "n1, n2, n3 left 21 of 219 requests unanswered, each while it was linked to a majority and \
         no fault was in force on any of them; at most 1.0 % may be lost",
    );
    evidence.run.expect.prompt = Some(Duration::from_secs(2));
    assert_eq!(judge(&evidence).outcome, Outcome::Ok);
}

#[test]
fn a_request_that_was_sent_on_convicts_neither_node() {
    let mut reads = all_answer();
    reads[1] = [dropping(10), answered(2, 26, 30)].concat();
    let mut evidence = evidence(&reads, Vec::new());
    evidence.run.expect.misses = Some(0.01);
    assert_eq!(judge(&evidence).outcome, Outcome::Violated);
    let mut events = evidence.history.registers().to_vec();
    let lost: Vec<u64> =
        events.iter().filter(|it| it.kind == Kind::Info).map(|it| it.process).collect();
    for event in &mut events {
        if event.kind == Kind::Invoke && lost.contains(&event.process) {
            event.node = Some("n1".into());
        }
    }
    evidence.history = events.into();
    holds(&evidence, "");
}

#[test]
fn an_election_needs_a_cause() {
    let election = |second: u64| {
        let (role, last) = (trace::Role::Candidate, Position::default());
        let event = trace::Event::Role { term: 2, role, leader: None, last };
        vec![trace::Record { node: 2, boot: 1, seq: 0, clock: 1, time: second * SECOND, event }]
    };
    let started = |node| applying(node, &[(0, 1)]);
    let with = |second, faults| {
        let mut evidence = evidence(&all_answer(), faults);
        let second_node = [started(2), election(second)].concat();
        evidence.traces = vec![started(1), second_node, started(3)];
        evidence
    };
    let mut evidence = with(20, Vec::new());
    assert_eq!(judge(&evidence).outcome, Outcome::Ok, "the network may have lost heartbeats");
    evidence.run.expect.stable = Some(Duration::from_secs(4));
    convicts(
        &evidence,
        "n2 began an election at 20.000 s, and nothing called for one: from 0.000 s to 30.000 s it \
         was linked to a majority, no fault was in force on any of them, and the network and the \
         clocks were too good for the leader to be missed",
    );
    let mut excused = with(20, killed(1, 15, 18));
    excused.run.expect.stable = evidence.run.expect.stable;
    assert_eq!(judge(&excused).outcome, Outcome::Ok);
}

/// A node that leads from the beginning in term 1, and one that begins an election at a time.
fn led(leader: u64, other: u64, election: u64, faults: Vec<Record>) -> Evidence {
    let role = |node, time, term, role| {
        let (leader, last) = (None, Position::default());
        let event = trace::Event::Role { term, role, leader, last };
        trace::Record { node, boot: 1, seq: 0, clock: 1, time, event }
    };
    let leads = role(leader, 0, 1, trace::Role::Leader);
    let stands = role(other, election, 2, trace::Role::Candidate);
    let mut evidence = evidence(&all_answer(), faults);
    let started = |node| applying(node, &[(0, 1)]);
    evidence.traces =
        vec![[started(leader), vec![leads]].concat(), [started(other), vec![stands]].concat()];
    evidence.run.expect.election = Some(Duration::from_millis(500));
    evidence
}

#[test]
fn nobody_stands_for_election_under_a_leader_that_it_hears_of() {
    let killed_until = |second| killed(2, 10, second);
    let convicted = led(1, 2, 20 * SECOND + SECOND * 6 / 10, killed_until(20));
    let property = judge(&convicted);
    assert_eq!(property.outcome, Outcome::Violated, "{property:#?}");
    assert!(property.violations[0].summary.contains("n2 began an election at 20.600 s"));
    // It may not have heard of the leader for long enough.
    let excused = led(1, 2, 20 * SECOND + SECOND * 4 / 10, killed_until(20));
    assert_eq!(judge(&excused).outcome, Outcome::Ok);
    // The leader was not there.
    let excused = led(1, 2, 20 * SECOND + SECOND * 6 / 10, killed(1, 10, 21));
    assert_eq!(judge(&excused).outcome, Outcome::Ok);
    // Its own term was a later one than the leader's.
    let mut excused = led(1, 2, 20 * SECOND + SECOND * 6 / 10, killed_until(20));
    let started = trace::Event::Started {
        term: 2,
        vote: None,
        last: Position::default(),
        voters: vec![1, 2, 3],
    };
    let line = trace::Record { node: 2, boot: 2, seq: 0, clock: 1, time: 0, event: started };
    excused.traces[1].insert(1, line);
    assert_eq!(judge(&excused).outcome, Outcome::Ok);
}

#[test]
fn refusals_without_a_reason_convict_where_all_must_be_prompt() {
    let refusing = |error: &str| {
        let mut reads = all_answer();
        reads[1] = (0..40)
            .map(|n| (2, n * 700, n * 700 + 5, if n % 4 == 3 { Kind::Fail } else { Kind::Ok }))
            .collect();
        let mut evidence = evidence(&reads, Vec::new());
        let mut events = evidence.history.registers().to_vec();
        for event in events.iter_mut().filter(|event| event.kind == Kind::Fail) {
            event.error = Some(error.into());
        }
        evidence.history = events.into();
        evidence.run.expect.misses = Some(0.01);
        evidence.run.expect.prompt = Some(Duration::from_secs(1));
        judge(&evidence).outcome
    };
    assert_eq!(refusing("UNAVAILABLE: etcdserver: no leader"), Outcome::Violated);
    assert_eq!(refusing("FAILED_PRECONDITION: the session is unknown"), Outcome::Violated);
    assert_eq!(refusing("RESOURCE_EXHAUSTED: etcdserver: too many requests"), Outcome::Ok);
    assert_eq!(refusing("DEADLINE_EXCEEDED: no answer within 5ms"), Outcome::Ok);
}
