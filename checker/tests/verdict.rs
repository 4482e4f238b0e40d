//! Whole runs: good evidence is green, and evidence that breaks one property breaks exactly it.

#![allow(clippy::unwrap_used)]

use checker::{
    budget::Limits,
    evidence::{Crash, Ending, Evidence, FinalHash, Run},
    explanation, fault,
    history::{Event, Events, Function, Kind, Value, operation},
    judge::run,
    linear,
    verdict::{Outcome, Verdict},
};

const SECOND: u64 = 1_000_000_000;

fn event(time: u64, process: u64, kind: Kind, f: Function, value: Value) -> Event {
    Event {
        index: 0,
        time,
        process,
        kind,
        f,
        key: "k4".into(),
        value,
        error: None,
        node: Some(format!("n{}", process + 1)),
        revision: None,
    }
}

fn numbered(mut history: Vec<Event>) -> Vec<Event> {
    for (index, event) in (0..).zip(&mut history) {
        event.index = index;
    }
    history
}

/// A run in which 7 and 9 are written, a follower is killed and healed, and 9 is read.
fn good() -> Evidence {
    use Function::{Read, Write};
    let history = numbered(vec![
        event(SECOND, 0, Kind::Invoke, Write, Value::Int(7)),
        event(2 * SECOND, 0, Kind::Ok, Write, Value::Int(7)),
        event(4 * SECOND, 1, Kind::Invoke, Write, Value::Int(9)),
        event(4_034_000_000, 1, Kind::Ok, Write, Value::Int(9)),
        event(20 * SECOND, 2, Kind::Invoke, Read, Value::Nil),
        event(20_120_000_000, 2, Kind::Ok, Read, Value::Int(9)),
    ]);
    use fault::Phase::{Applied, Confirmed, HealRequested, Healed, Requested};
    let faults = [Requested, Applied, Confirmed, HealRequested, Healed]
        .map(|phase| fault::Record {
            fault: 0,
            time: 4_010_000_000,
            phase,
            version: checker::version::Version,
            kind: fault::Kind::Kill,
            what: "one".into(),
            nodes: vec!["n3".into()],
            links: Vec::new(),
            leader: Some("n1".into()),
            severs_leader: false,
            observed: fault::Observed { nodes: vec!["n3".into()], links: Vec::new() },
            detail: proof(phase),
        })
        .to_vec();
    let run = Run {
        duration: 40 * SECOND,
        nodes: 3,
        healed: Some(19 * SECOND),
        final_hashes: (1..=3)
            .map(|n| FinalHash { node: format!("n{n}"), applied: 4, revision: 3, hash: 42 })
            .collect(),
        ..Run::default()
    };
    Evidence { history: history.into(), faults, run, ..Evidence::default() }
}

fn proof(phase: fault::Phase) -> Option<fault::Detail> {
    match phase {
        fault::Phase::Confirmed => {
            let unanswered = "connection refused".into();
            let ended =
                fault::Ended { boot: 1, exit_code: 137, unanswered, unsynced_sectors: None };
            Some(fault::Detail::Ended([("n3".into(), ended)].into()))
        }
        fault::Phase::Healed => {
            let answered = fault::Answered { after_ms: 30, boots: Some([1, 2]) };
            let nodes = [("n3".into(), answered)].into();
            Some(fault::Detail::Answered { nodes, silent: [].into(), killed: Vec::new() })
        }
        _ => None,
    }
}

fn events(evidence: &mut Evidence) -> &mut Vec<Event> {
    let Events::Register(events) = &mut evidence.history else { panic!("a history of registers") };
    events
}

fn verdict(spoil: impl FnOnce(&mut Evidence)) -> Verdict {
    let mut evidence = good();
    spoil(&mut evidence);
    run(&evidence, &Limits::default())
}

/// The verdict when `spoil` is done to good evidence: exactly `property` has `outcome`, all else
/// holds.
fn breaks(property: &str, outcome: Outcome, spoil: impl FnOnce(&mut Evidence)) -> Verdict {
    let verdict = verdict(spoil);
    let broken: Vec<_> = verdict
        .properties
        .iter()
        .filter(|p| p.outcome != Outcome::Ok)
        .map(|p| (p.name.as_str(), p.outcome))
        .collect();
    assert_eq!(broken, [(property, outcome)], "{verdict:#?}");
    assert_eq!(verdict.outcome, outcome);
    verdict
}

#[test]
fn a_good_run_is_green() {
    let verdict = verdict(|_| {});
    assert_eq!(verdict.outcome, Outcome::Ok, "{verdict:#?}");
    assert_eq!(verdict.outcome.exit_code(), 0);
    // It has no traces, and nobody promised any.
    let summary = "7 properties held; 19 could not be judged, as the nodes write no traces.";
    assert_eq!(verdict.summary, summary);
    let names: Vec<_> = verdict.properties.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "linearizability",
            "final-state",
            "crash-free",
            "liveness",
            "coverage",
            "faults",
            "completeness"
        ]
    );
}

#[test]
fn a_stale_read_is_explained() {
    let verdict = breaks("linearizability", Outcome::Violated, |evidence| {
        events(evidence)[5].value = Value::Int(7);
    });
    assert_eq!(
        verdict.summary,
        "Violated (linearizability): n3 answered 7 for key k4 at 20.120 s although 9 had been \
         written and acknowledged by 4.034 s (n2); the value could only be 9."
    );
    let violation = &verdict.properties[0].violations[0];
    assert_eq!(violation.operations, [0, 1, 2, 3, 4, 5]);
    assert_eq!(violation.nodes, ["n1", "n2", "n3"]);
    assert_eq!(verdict.outcome.exit_code(), 1);
}

#[test]
fn other_illegal_answers_are_explained() {
    let says = |spoil: fn(&mut Vec<Event>), text: &str| {
        let verdict = breaks("linearizability", Outcome::Violated, |evidence| {
            spoil(events(evidence));
            let done = |event: &&Event| event.kind == Kind::Ok && event.f != Function::Read;
            let writes = events(evidence).iter().filter(done).count() as i64;
            evidence.run.final_hashes.iter_mut().for_each(|hash| hash.revision = 1 + writes);
        });
        assert_eq!(verdict.properties[0].violations[0].summary, text);
    };
    says(
        |history| history[5].value = Value::Int(8),
        "n3 answered 8 for key k4 at 20.120 s although nobody ever wrote 8; the value could only \
         be 9",
    );
    says(
        |history| history[5].value = Value::Nil,
        "n3 answered nil for key k4 at 20.120 s although 9 had been written and acknowledged by \
         4.034 s (n2); the value could only be 9",
    );
    says(
        |history| {
            history[5].value = Value::Int(5);
            history.push(event(30 * SECOND, 0, Kind::Invoke, Function::Write, Value::Int(5)));
            history[6].index = 6;
        },
        "n3 answered 5 for key k4 at 20.120 s although 5 was written only from 30.000 s on; the \
         value could only be 9",
    );
    says(
        |history| {
            for event in &mut history[4..] {
                (event.f, event.value) = (Function::Cas, Value::Pair(Some(7), 8));
            }
        },
        "n3 set key k4 from 7 to 8 at 20.120 s although 9 had been written and acknowledged by \
         4.034 s (n2); the value could only be 9",
    );
    says(
        |history| {
            history[2].f = Function::Delete;
            history[2].value = Value::Nil;
            history[3].f = Function::Delete;
            history[3].value = Value::Nil;
            history[5].value = Value::Int(7);
        },
        "n3 answered 7 for key k4 at 20.120 s although it had been deleted by 4.034 s (n2); the \
         value could only be nil",
    );
}

#[test]
fn a_mismatch_that_could_not_be_is_a_violation() {
    let verdict = verdict(|evidence| {
        for event in &mut events(evidence)[4..] {
            (event.f, event.value) = (Function::Cas, Value::Pair(Some(9), 8));
        }
        events(evidence)[5].kind = Kind::Fail;
        events(evidence)[5].error = Some("mismatch".into());
    });
    assert_eq!(
        verdict.properties[0].violations[0].summary,
        "n3 said at 20.120 s that the value of key k4 was not 9 although the value could only be 9"
    );
}

#[test]
fn what_a_refused_compare_and_set_found_is_as_good_as_a_read() {
    let refused = |found| {
        verdict(|evidence| {
            for event in &mut events(evidence)[4..] {
                (event.f, event.value) = (Function::Cas, Value::Pair(Some(3), 8));
            }
            let event = &mut events(evidence)[5];
            (event.kind, event.value) = (Kind::Fail, Value::Found(found));
            event.error = Some("mismatch".into());
        })
    };
    let summary =
        |found| refused(found).properties[0].violations.first().map(|v| v.summary.clone());
    assert_eq!(summary(Some(9)), None, "that was there");
    let stale = "n3 refused a compare-and-set of key k4 at 20.120 s since it found 7 although 9 had \
        been written and acknowledged by 4.034 s (n2); the value could only be 9";
    assert_eq!(summary(Some(7)).as_deref(), Some(stale));
    let absent = "n3 refused a compare-and-set of key k4 at 20.120 s since it found nil although 9 had \
        been written and acknowledged by 4.034 s (n2); the value could only be 9";
    assert_eq!(summary(None).as_deref(), Some(absent));
    let contradiction =
        "n3 said at 20.120 s that the value of key k4 was not 3 but 3, which is impossible";
    assert_eq!(summary(Some(3)).as_deref(), Some(contradiction));
}

#[test]
fn each_property_is_broken_by_evidence_that_breaks_exactly_it() {
    breaks("final-state", Outcome::Violated, |e| e.run.final_hashes[1].hash = 43);
    breaks("final-state", Outcome::Unknown, |e| {
        e.run.final_hashes.pop();
    });
    breaks("liveness", Outcome::Violated, |e| {
        events(e)[5].kind = Kind::Info;
        events(e)[5].value = Value::Nil;
        events(e)[5].time = 29 * SECOND;
    });
    breaks("liveness", Outcome::Unknown, |e| e.run.healed = None);
    breaks("coverage", Outcome::Unknown, |e| e.run.expect.operations = 100);
    breaks("faults", Outcome::Unknown, |e| {
        e.faults.remove(2);
    });
    breaks("completeness", Outcome::Unknown, |e| e.run.incomplete.push("stopped".into()));
    breaks("crash-free", Outcome::Violated, |e| {
        e.run.crashes.push(Crash { node: 2, ending: Ending::Defect, how: "it panicked".into() });
    });
    let verdict = breaks("completeness", Outcome::Unknown, |e| {
        e.run.incomplete = vec!["stopped by Ctrl-C".into()];
    });
    assert_eq!(verdict.summary, "Undecided (completeness): stopped by Ctrl-C.");
    assert_eq!(verdict.outcome.exit_code(), 2);
}

#[test]
fn a_violation_outranks_everything() {
    let verdict = verdict(|evidence| {
        events(evidence)[5].value = Value::Int(7);
        evidence.run.incomplete.push("stopped".into());
    });
    assert_eq!(verdict.outcome, Outcome::Violated);
    assert!(verdict.summary.starts_with("Violated (linearizability): n3 answered 7"));
}

#[test]
fn a_history_that_contradicts_itself_is_not_green() {
    let verdict = verdict(|evidence| events(evidence)[5].process = 8);
    assert_eq!(verdict.outcome, Outcome::Unknown);
    let completeness = verdict.properties.last().unwrap();
    assert!(completeness.detail.contains("process 8 completes an operation that it has not"));
}

#[test]
fn the_headline_is_the_cause_and_what_follows_from_it_is_folded() {
    // Without n3's trace no rule of Raft is decided; what is missing is the news.
    let mut evidence = good();
    evidence.run.traced = true;
    let started = |node| {
        let voters = vec![1, 2, 3];
        let last = proto::trace::Position::default();
        let event = proto::trace::Event::Started { term: 0, vote: None, last, voters };
        vec![proto::trace::Record { node, boot: 1, seq: 0, clock: 1, time: 1, event }]
    };
    evidence.traces = vec![started(1), started(2)];
    evidence.run.incomplete.push("n3's container vanished at 7.2 s".into());
    let verdict = run(&evidence, &Limits::default());
    assert!(
        verdict.summary.starts_with("Undecided (completeness, trace-integrity, ")
            && verdict
                .summary
                .contains(" trace properties): n3's container vanished at 7.2 s; n3 "),
        "{}",
        verdict.summary
    );
    let fold = verdict.fold.as_ref().unwrap();
    assert!(fold.names.len() > 10, "{fold:?}");
    assert_eq!(fold.detail, "no violation in the 2 traces there are, as far as they go");
    let doubts = verdict.doubts();
    assert_eq!(doubts[0].name, "completeness");
    assert!(doubts.len() < 5, "{doubts:#?}");
}

#[test]
fn a_run_that_should_have_traces_is_not_green_without_them() {
    let verdict = verdict(|evidence| evidence.run.traced = true);
    assert_eq!(verdict.outcome, Outcome::Unknown);
    let completeness = verdict.properties.last().unwrap();
    assert_eq!(completeness.detail, "n1 left no trace; n2 left no trace; n3 left no trace");
}

#[test]
fn a_history_without_times_is_told_by_its_events() {
    let events = [
        (0, Kind::Invoke, Function::Write, Value::Int(7)),
        (0, Kind::Ok, Function::Write, Value::Int(7)),
        (0, Kind::Invoke, Function::Write, Value::Int(9)),
        (0, Kind::Ok, Function::Write, Value::Int(9)),
        (1, Kind::Invoke, Function::Read, Value::Nil),
        (1, Kind::Ok, Function::Read, Value::Int(7)),
    ];
    let history: Vec<Event> = (0..)
        .zip(events)
        .map(|(index, (process, kind, f, value))| Event {
            index,
            ..event(index, process, kind, f, value)
        })
        .collect();
    let property = linear::check(&operation::pair(&history).unwrap(), &Limits::default());
    let told = "n2 answered 7 for key k4 at event 5 although 9 had been written and acknowledged \
        by event 3 (n1); the value could only be 9";
    assert_eq!(property.violations[0].summary, told);
    let explanations = explanation::of(&property.violations, &history.into());
    let explanations: Vec<_> = explanations.into_iter().flatten().collect();
    let page = explanation::page(&explanations, "untimed", |at| at);
    assert!(page.contains(">event 5</text>") && !page.contains(" s</"), "{page}");
}
