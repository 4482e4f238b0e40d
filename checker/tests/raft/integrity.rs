//! Incomplete evidence: never a violation, and never green.

use checker::{
    evidence::Run,
    raft,
    verdict::{Outcome, Property},
};
use proto::trace::{Event, Position, Record, Role};

use crate::script::{holds, properties, traces};

const SCRIPT: &str = "
    voters 3
    elect n1 1 n2
    n1 append 1 1
    n1 durable
    send n1 n2
    send n1 n3
    n1 commit 2 n1=2 n2=2 n3=2
    n2 commit 2
    n2 restart
    n3 commit 2
    n3 stop
";

/// Asserts that broken evidence leaves every rule undecided, and why.
#[track_caller]
fn undecided(properties: &[Property], why: &str) {
    assert_eq!(properties[0].name, "trace-integrity");
    assert_eq!(properties[0].detail, why);
    for property in properties {
        assert_eq!(property.outcome, Outcome::Unknown, "{property:#?}");
        assert_eq!(property.violations, []);
    }
}

#[track_caller]
fn broken(why: &str, spoil: impl FnOnce(&mut Vec<Vec<Record>>)) {
    holds(SCRIPT);
    let mut traces = traces(SCRIPT);
    spoil(&mut traces);
    undecided(&properties(&traces), why);
}

#[test]
fn every_missing_line_is_noticed() {
    let whole = traces(SCRIPT);
    for node in 0..whole.len() {
        for line in 0..whole[node].len() {
            // Nobody can tell that the last line of a boot is missing, unless someone depends on
            // it.
            let ends = whole[node].get(line + 1).is_none_or(|next| next.seq == 0);
            if ends {
                continue;
            }
            let mut traces = whole.clone();
            let gone = traces[node].remove(line);
            for property in properties(&traces) {
                assert_eq!(property.outcome, Outcome::Unknown, "without {gone:?}: {property:#?}");
            }
        }
    }
}

#[test]
fn a_gap() {
    broken("line 3 of the trace of n2 (boot 1, seq 3): 2 was expected: lines are missing", |t| {
        t[1].remove(2);
    });
}

#[test]
fn a_missing_trace() {
    broken("there is no trace of n2", |t| t[1].clear());
    let mut gone = traces(SCRIPT);
    gone.remove(1);
    let run = Run { traced: true, nodes: 3, ..Run::default() };
    undecided(&raft::check(&gone, &run), "there is no trace of n2");
    broken("there is no trace of any node", |t| t.iter_mut().for_each(Vec::clear));
}

#[test]
fn a_trace_that_starts_late() {
    broken("line 1 of the trace of n3 (boot 1, seq 1): boot 1 did not begin with `started`", |t| {
        t[2].remove(0);
    });
    let begins = |with: &str| {
        format!("line 1 of the trace of n1 (boot 1, seq 0): the trace begins with {with}")
    };
    broken(&begins("a log of 4 entries"), |t| {
        let end = t[0].iter().find_map(|record| match &record.event {
            Event::Committed { last, .. } => Some(*last),
            _ => None,
        });
        *started(t).1 = Position { index: 4, ..end.unwrap() };
    });
    broken(&begins("term 7"), |t| *started(t).0 = 7);
    broken(&begins("a vote for n3"), |t| *started(t).2 = Some(3));
}

/// Term, last entry, vote and voters of the first line of n1.
fn started(
    traces: &mut [Vec<Record>],
) -> (&mut u64, &mut Position, &mut Option<u64>, &mut Vec<u64>) {
    match &mut traces[0][0].event {
        Event::Started { term, last, vote, voters } => (term, last, vote, voters),
        other => panic!("a trace begins with {other:?}"),
    }
}

#[test]
fn boots_count_from_one() {
    broken("line 1 of the trace of n2 (boot 0, seq 0): boots are counted from 1", |t| {
        t[1].iter_mut().for_each(|record| record.boot -= 1);
    });
}

#[test]
fn a_node_may_be_killed_before_the_first_line_of_a_boot() {
    let mut traces = traces(SCRIPT);
    traces[1].last_mut().unwrap().boot = 3;
    assert!(properties(&traces).iter().all(|property| property.outcome == Outcome::Ok));
}

#[test]
fn a_boot_number_that_comes_again_is_a_disk_that_forgot() {
    let mut traces = traces(SCRIPT);
    traces[1].last_mut().unwrap().boot = 1;
    for property in properties(&traces) {
        if property.name == "survives-restart" {
            assert_eq!(property.outcome, Outcome::Violated);
            assert_eq!(
                property.violations[0].summary,
                "n2 started as boot 1 after boot 1: its disk lost what was durable"
            );
        } else {
            assert_eq!(property.outcome, Outcome::Ok, "{}: {}", property.name, property.detail);
        }
    }
}

#[test]
fn clocks_that_do_not_grow() {
    broken("line 5 of the trace of n1 (boot 1, seq 4): its clock is 6, after 6", |t| {
        t[0][4].clock = t[0][3].clock;
    });
}

/// Makes a node's clock go ahead, from its first line that `from` finds.
fn ahead(trace: &mut [Record], from: fn(&Event) -> bool) {
    let first = trace.iter().position(|record| from(&record.event)).unwrap();
    trace[first..].iter_mut().for_each(|record| record.clock += 1000);
}

#[test]
fn clocks_that_contradict_each_other() {
    // Others have what n1 made before it made it.
    let flaw = |seq, clock| {
        format!(
            "the clocks contradict each other: n2 has index 1 (term 1) at boot 1, seq 6, clock 16, \
             before n1 made it at boot 1, seq {seq}, clock {clock}"
        )
    };
    for event in [
        |event: &Event| matches!(event, Event::Appended { .. }),
        |event: &Event| matches!(event, Event::Role { role: Role::Leader, .. }),
        |event: &Event| matches!(event, Event::Term { .. }),
    ] {
        broken(&flaw(6, 1013), |t| ahead(&mut t[0], event));
    }
}

#[test]
fn a_cause_at_the_time_of_its_effect() {
    let mut traces = traces(
        "voters 3
         elect n3 1 n2
         n3 append 1
         n3 durable
         send n3 n2",
    );
    let append = |event: &Event| matches!(event, Event::Appended { .. });
    let at = |trace: &[Record]| trace.iter().find(|r| append(&r.event)).unwrap().clock;
    let late = at(&traces[1]) - at(&traces[2]);
    traces[2].iter_mut().filter(|r| r.clock >= 12).for_each(|record| record.clock += late);
    assert_eq!(at(&traces[1]), at(&traces[2]));
    undecided(
        &properties(&traces),
        "the clocks contradict each other: n2 has index 1 (term 1) at boot 1, seq 6, clock 16, \
         before n3 made it at boot 1, seq 6, clock 16",
    );
}

#[test]
fn what_clocks_cannot_excuse_is_still_a_violation() {
    let violated = |traces: &[Vec<Record>]| {
        let bad = properties(traces).into_iter().filter(|p| p.outcome == Outcome::Violated);
        bad.map(|property| property.name).collect::<Vec<_>>()
    };
    // A commit index that goes back, on one node.
    let mut skewed = traces(&format!("{SCRIPT}\n n1 commit 1 n1=1 n2=1"));
    ahead(&mut skewed[0], |event| matches!(event, Event::Appended { .. }));
    assert_eq!(violated(&skewed), ["commit-monotonic"]);
    // A commit that counts an acknowledgement which was given later: it was not there.
    let mut early = traces(SCRIPT);
    for trace in &mut early[1..] {
        ahead(trace, |event| matches!(event, Event::Acknowledged { .. }));
    }
    assert_eq!(violated(&early), ["commit-quorum"]);
    assert_eq!(properties(&early)[0].outcome, Outcome::Ok);
}

#[test]
fn a_line_of_another_node_or_after_the_end() {
    broken("line 2 of the trace of n1 (boot 1, seq 1): it is a line of n3", |t| {
        t[0][1].node = 3;
    });
    broken("line 9 of the trace of n3 (boot 1, seq 8): the node had stopped before", |t| {
        let mut last = t[2].last().unwrap().clone();
        last.seq += 1;
        last.clock += 1;
        t[2].push(last);
    });
    broken("there are two traces of n1; there are traces of 3 nodes, but 4 took part", |t| {
        t.push(t[0].clone());
    });
}

#[test]
fn voters_that_differ() {
    broken(
        "line 1 of the trace of n2 (boot 1, seq 0): its voters are [1, 2], but those of n1 are \
         [1, 2, 3]",
        |t| {
            if let Event::Started { voters, .. } = &mut t[1][0].event {
                voters.pop();
            }
        },
    );
}

#[test]
fn voters_that_are_no_set() {
    for voters in [vec![1, 1, 1, 2, 3], vec![1, 3, 2]] {
        let why = format!(
            "line 1 of the trace of n1 (boot 1, seq 0): its voters are {voters:?}, not in \
             ascending order"
        );
        broken(&why, |t| *started(t).3 = voters);
    }
}

#[test]
fn nodes_that_took_no_part() {
    let traces = traces(SCRIPT);
    let run = Run { traced: true, nodes: 2, ..Run::default() };
    let why = "there are traces of 3 nodes, but 2 took part";
    undecided(&raft::check(&traces, &run), why);
}

#[test]
fn what_the_rest_proves_is_still_a_violation() {
    let mut traces = traces(&format!("{SCRIPT}\n n1 commit 1 n1=1 n2=1"));
    traces[2].remove(2);
    let properties = properties(&traces);
    let violated: Vec<_> = properties.iter().filter(|p| p.outcome == Outcome::Violated).collect();
    assert_eq!(violated.len(), 1);
    assert_eq!(violated[0].name, "commit-monotonic");
}

#[test]
fn a_node_that_was_never_started_has_no_trace_and_needs_none() {
    let script = "
        voters 3
        elect n1 1 n2
        n1 append 1 1
        n1 durable
        send n1 n2
        n1 commit 2 n1=2 n2=2
        n2 commit 2
    ";
    let mut traces = traces(script);
    traces.retain(|trace| trace.iter().any(|record| record.node != 3));
    let run = Run { traced: true, nodes: 3, never_started: vec![3], ..Run::default() };
    for property in raft::check(&traces, &run) {
        assert_eq!(property.outcome, Outcome::Ok, "{property:#?}");
    }
    let lost = Run { never_started: vec![], ..run.clone() };
    undecided(&raft::check(&traces, &lost), "there is no trace of n3");
    // A trace of such a node contradicts the harness.
    let started = Run { never_started: vec![2, 3], ..run };
    undecided(&raft::check(&traces, &started), "there is a trace of n2, which was never started");
}

#[test]
fn systems_without_traces_have_no_such_properties() {
    assert_eq!(raft::check(&[vec![], vec![]], &Run::default()), []);
    let run = Run { traced: true, nodes: 2, ..Run::default() };
    undecided(&raft::check(&[], &run), "there is no trace of any node");
}

#[test]
fn a_trace_that_lost_its_end_proves_nothing() {
    let whole = traces(SCRIPT);
    for node in 0..whole.len() {
        let lost = [node as u64 + 1].into();
        let run = Run { traced: true, nodes: 3, lost, ..Run::default() };
        for length in 0..whole[node].len() {
            let mut traces = whole.clone();
            traces[node].truncate(length);
            for property in raft::check(&traces, &run) {
                assert_eq!(property.outcome, Outcome::Unknown, "{length} lines: {property:#?}");
            }
        }
    }
}
