//! What an observer is told of a simulated run, and the stories and pictures made of that.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::atomic::AtomicBool,
    time::Duration,
};

use checker::{
    budget::Limits,
    fault,
    history::{Function, Kind, Value, lines::Line},
    judge,
    verdict::{Outcome, Property, Verdict},
};
use harness::{
    campaign::{Detector, Situation, Tally},
    cluster::sim::{Loss, Observer, SimEvent, simulate, simulate_observed},
    exercise::Stage,
    nemesis::{Fault, Injection, Target},
    plan::{self, ClusterKind, Load, Plan, Storage, Timings, World},
    run::simulation::files,
    story::{Extent, Shown, Spacetime, Teller, Window, diagram, story},
    system::System,
    workload::{
        Workload, register,
        script::{Script, Step},
    },
};
use node::{raft::Body as Raft, replica::Message};
use proto::trace::{Event, Record};

fn plan(nodes: u64, seed: u64) -> Plan {
    Plan::generate(plan::Options {
        system: System::raft_node(),
        cluster: ClusterKind::Sim,
        nodes,
        seed,
        time: Duration::from_secs(10),
        interval: Some(Duration::from_millis(1500)),
        menu: "kill,restart,pause,partition,network,disk,clock".parse().unwrap(),
        workload: Workload::Register(register::Options::new(5)),
        load: Load::steady(5, 20, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(60),
        },
        storage: Storage::Durable,
        world: World::default(),
    })
    .unwrap()
}

/// Counts what it is told of, and follows every message to its end.
#[derive(Default)]
struct Witness {
    in_flight: BTreeSet<u64>,
    sent: u64,
    copies: u64,
    delivered: u64,
    lost: BTreeMap<Loss, u64>,
    started: u64,
    ended: u64,
    steps: usize,
    client: Vec<Line>,
    faults: Vec<fault::Record>,
    stages: Vec<Stage>,
    now: Duration,
}

impl Observer for Witness {
    fn observe(&mut self, now: Duration, what: SimEvent<'_>) {
        assert!(self.now <= now, "time went back");
        self.now = now;
        match what {
            SimEvent::Sent { id, copy_of, .. } => {
                assert!(self.in_flight.insert(id), "message {id} was sent twice");
                self.sent += 1;
                self.copies += u64::from(copy_of.is_some());
            }
            SimEvent::Delivered { id, .. } => {
                assert!(self.in_flight.remove(&id), "message {id} was not in flight");
                self.delivered += 1;
            }
            SimEvent::Lost { id, why, .. } => {
                assert!(self.in_flight.remove(&id), "message {id} was not in flight");
                *self.lost.entry(why).or_default() += 1;
            }
            SimEvent::Started { .. } => self.started += 1,
            SimEvent::Ended { .. } => self.ended += 1,
            SimEvent::Step(_) => self.steps += 1,
            SimEvent::Client { event, .. } => self.client.push(event.clone()),
            SimEvent::Fault(record) => self.faults.push(record.clone()),
            SimEvent::Stage(stage) => self.stages.push(stage),
            _ => {}
        }
    }
}

#[test]
fn an_observer_changes_nothing_and_sees_everything() {
    let (mut lost, mut copies) = (BTreeMap::<Loss, u64>::new(), 0);
    for seed in 0..12 {
        let plan = plan(5, seed);
        let mut witness = Witness::default();
        let stop = AtomicBool::new(false);
        let seen = simulate_observed(&plan, &stop, &mut witness);
        let unseen = simulate(&plan, &stop);
        assert!(files(&seen.evidence).unwrap() == files(&unseen.evidence).unwrap());
        let evidence = &seen.evidence;
        assert_eq!(witness.steps, evidence.traces.iter().map(Vec::len).sum::<usize>());
        for (event, index) in witness.client.iter_mut().zip(0..) {
            event.number(index);
        }
        let history: Vec<Line> = (0..).map_while(|index| evidence.history.get(index)).collect();
        assert_eq!(witness.client, history);
        assert_eq!(witness.faults, evidence.faults);
        let losses: u64 = witness.lost.values().sum();
        let left = witness.in_flight.len() as u64;
        assert_eq!(witness.sent, witness.delivered + losses + left);
        assert_eq!(witness.started, witness.ended, "every process is stopped at the end");
        assert_eq!(witness.stages.first(), Some(&Stage::BringUp));
        assert_eq!(witness.stages.last(), Some(&Stage::Over));
        assert!(witness.stages.is_sorted(), "{:?}", witness.stages);
        for (why, count) in witness.lost {
            *lost.entry(why).or_default() += count;
        }
        copies += witness.copies;
    }
    // A receiver that dies and is back before the message arrives is rare.
    for why in [Loss::Chance, Loss::Cut, Loss::Down] {
        assert!(lost.contains_key(&why), "messages were lost for some reasons only: {lost:?}");
    }
    assert!(copies > 0, "no message was doubled");
}

/// Few nodes, few operations, the leader killed between them.
fn small() -> Plan {
    let mut plan = plan(3, 1);
    let step = |at, client, f, value| Step {
        at: Duration::from_millis(at),
        client,
        f,
        key: "k".to_owned(),
        value,
    };
    plan.workload = Workload::Script(Script::new(vec![
        step(100, 0, Function::Write, Value::Int(1)),
        step(200, 1, Function::Cas, Value::Pair(Some(1), 2)),
        step(510, 0, Function::Write, Value::Int(3)),
        step(520, 2, Function::Cas, Value::Pair(Some(1), 4)),
        step(1500, 1, Function::Read, Value::Nil),
    ]));
    plan.time = Duration::from_secs(2);
    plan.faults = vec![Injection {
        at: Duration::from_millis(500),
        lasts: Duration::from_millis(700),
        fault: Fault::Kill { target: Target::Leader },
        pick: 1,
    }];
    plan
}

/// Compares with a file, which `UPDATE_GOLDENFILES=1` writes; read it then.
fn golden(name: &str, text: &str) {
    let path = Path::new("tests/data").join(name);
    let how = "UPDATE_GOLDENFILES=1 cargo test -p harness --test story writes it anew; read it";
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (number, (told, expected)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(told, expected, "line {} of {}; {how}", number + 1, path.display());
    }
    assert_eq!(text.lines().count(), expected.lines().count(), "{}; {how}", path.display());
}

#[test]
fn a_small_story_reads_well() {
    golden("story.txt", &story(&small()));
}

#[test]
fn a_story_says_what_is_left_out_and_what_is_wrong() {
    let mut plan = plan(3, 4);
    plan.storage = Storage::Memory;
    plan.faults = small().faults;
    let mut teller = Teller::new(&plan);
    let simulation = simulate_observed(&plan, &AtomicBool::new(false), &mut teller);
    let verdict = judge::run(&simulation.evidence, &Limits::default());
    let whole = teller.tell(&verdict, &Shown { heartbeats: true, ..Shown::default() });
    assert!(!whole.contains("left out"), "{whole}");
    let usual = teller.tell(&verdict, &Shown::default());
    let told = |story: &str| story.lines().filter(|line| line.contains(" s  ")).count();
    let idle = told(&whole) - told(&usual);
    assert!(
        idle > 0 && usual.contains(&format!("\n{idle} heartbeats and answers that")),
        "{usual}"
    );

    let from = Some(Duration::from_millis(490));
    let to = Some(Duration::from_millis(510));
    let part = teller.tell(&verdict, &Shown { window: Window { from, to }, heartbeats: true });
    let outside = told(&whole) - told(&part);
    assert!(part.contains(&format!("\n{outside} lines before and after this part")), "{part}");
    assert!(part.contains("is killed") && !part.contains("the cluster is up"), "{part}");
    // Whatever is shown of it, the verdict is told, in a paragraph of its own.
    for story in [&whole, &usual, &part] {
        assert!(story.contains("\n\nViolated (survives-restart): n"), "{story}");
        assert!(story.contains("\n  survives-restart: n"), "{story}");
    }
    assert!(usual.contains("VIOLATES Raft's safety"), "{usual}");
}

/// Every element of an SVG file that begins ends, in order; gives their names and texts.
fn parsed(svg: &str) -> (BTreeMap<String, usize>, Vec<String>) {
    let (mut open, mut counts, mut texts) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut rest = svg;
    while let Some(begin) = rest.find('<') {
        let end = begin + rest[begin..].find('>').unwrap();
        let tag = &rest[begin + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.to_owned()));
            texts.push(rest[..begin].to_owned());
        } else {
            let name = tag.split(' ').next().unwrap().to_owned();
            *counts.entry(name.clone()).or_default() += 1;
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?} do not end");
    (counts, texts)
}

#[test]
fn a_diagram_is_whole_bounded_and_repeats() {
    let svg = diagram(&small());
    assert!(svg == diagram(&small()));
    let (counts, texts) = parsed(&svg);
    for part in ["n1", "LEADER, +", "votes n", "killed", "kill n", "start 2: ", "w k=1"] {
        let found = texts[1..].iter().any(|text| text.contains(part));
        assert!(found, "{part} is not in it: {:?}", &texts[1..]);
    }
    assert!(counts["line"] > 50 && counts["circle"] > 20, "{counts:?}");

    // However long the run, only so much of it is drawn.
    let mut long = plan(5, 2);
    long.time = Duration::from_secs(30);
    assert!(diagram(&long).len() < 300_000);
}

#[test]
fn a_diagram_ends_with_the_violation() {
    let mut plan = plan(3, 4);
    plan.storage = Storage::Memory;
    plan.faults = small().faults;
    let mut picture = Spacetime::new(&plan);
    let simulation = simulate_observed(&plan, &AtomicBool::new(false), &mut picture);
    let mut verdict = judge::run(&simulation.evidence, &Limits::default());
    // Beside that of the legend.
    let ring = r#"<circle class="ring""#;
    let drawn = |verdict: &Verdict, accused: Option<&str>| {
        let svg = picture.draw(verdict, &simulation.evidence, &Extent::default(), accused);
        let rings = svg.matches(ring).count() - 1;
        (rings, parsed(&svg).1)
    };
    let (rings, texts) = drawn(&verdict, None);
    assert_eq!(rings, 1, "the step is marked");
    let says = |texts: &[String], end: &str| texts.iter().any(|text| text.ends_with(end));
    assert!(says(&texts, "its disk lost what was durable"), "{texts:?}");

    // The run ended with it, and it is not what is looked at.
    let name = |name: &str| name.to_owned();
    let other = Property {
        name: name("other"),
        outcome: Outcome::Violated,
        detail: name("nobody knows where"),
        violations: Vec::new(),
    };
    verdict.properties.insert(0, other);
    let (rings, texts) = drawn(&verdict, Some("other"));
    assert_eq!(rings, 0, "another property's step is marked");
    assert!(says(&texts, "nobody knows where"), "{texts:?}");
    let (rings, texts) = drawn(&verdict, None);
    assert_eq!(rings, 1, "it is first in the verdict, and the run did not end with it");
    assert!(says(&texts, "its disk lost what was durable"), "{texts:?}");
}

#[test]
fn a_diagram_marks_the_operations_of_a_violation() {
    let mut picture = Spacetime::new(&small());
    let mut simulation = simulate_observed(&small(), &AtomicBool::new(false), &mut picture);
    let mut history = simulation.evidence.history.registers().to_vec();
    history.iter_mut().rfind(|event| event.kind == Kind::Ok).unwrap().value = Value::Int(99);
    simulation.evidence.history = history.into();
    let verdict = judge::run(&simulation.evidence, &Limits::default());
    let svg = picture.draw(&verdict, &simulation.evidence, &Extent::default(), None);
    assert!(svg.contains(r#"<rect class="guilty""#), "{}", verdict.summary);
    let (_, texts) = parsed(&svg);
    assert!(texts.iter().any(|text| text.contains("99")), "{texts:?}");

    // Another property was violated too, by other operations.
    let mut both = verdict;
    let mut other =
        both.properties.iter().find(|it| it.outcome == Outcome::Violated).unwrap().clone();
    other.name = "other".to_owned();
    for violation in &mut other.violations {
        violation.operations = vec![0];
    }
    both.properties.push(other);
    let accusing =
        |name: Option<&str>| picture.draw(&both, &simulation.evidence, &Extent::default(), name);
    assert!(accusing(None) == svg, "the first property is accused");
    assert!(accusing(Some("no such")) == svg);
    let others = accusing(Some("other"));
    assert_eq!(others.matches(r#"<rect class="guilty""#).count(), 1);
    let (_, marked) = others.split_once(r#"<rect class="guilty""#).unwrap();
    let (_, hint) = marked.split_once("<title>").unwrap();
    assert!(hint.starts_with("client 0 writes k=1"), "{hint}");
}

#[test]
fn a_story_says_who_stands_by_itself_and_who_was_told_of_a_term() {
    let mut teller = Teller::new(&small());
    let mut now = Duration::ZERO;
    let mut see = |what: &[SimEvent<'_>]| {
        now += Duration::from_millis(1);
        for what in what {
            teller.observe(now, *what);
        }
    };
    let record =
        |term| Record { node: 2, boot: 1, seq: 0, clock: 0, time: 0, event: Event::Term { term } };
    let ask = Raft::RequestVote { last_index: 0, last_term: 0 };
    let message = Message { from: 1, to: 2, term: 4, clock: 0, body: ask.into() };
    see(&[SimEvent::Timer { node: 2 }, SimEvent::Step(&record(3))]);
    // It wakes up for the time, and finds a message that waited.
    see(&[
        SimEvent::Timer { node: 2 },
        SimEvent::Delivered { id: 1, message: &message },
        SimEvent::Step(&record(4)),
    ]);
    // It wakes up for what waited, and its time is over.
    see(&[SimEvent::Resumed { node: 2 }, SimEvent::Step(&record(5))]);
    let verdict = Verdict::of(Vec::new());
    let story = teller.tell(&verdict, &Shown::default());
    for term in [3, 5] {
        let line = format!("hears from no leader and {}", Event::Term { term });
        assert!(story.contains(&line), "{story}");
    }
    let told = Event::Term { term: 4 }.to_string();
    assert!(story.contains(&told) && !story.contains(&format!("leader and {told}")), "{story}");
}

/// What so many seeds of a plan meet.
fn tally(seeds: std::ops::Range<u64>, plan: impl Fn(u64) -> Plan) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let plan = plan(seed);
        let mut detector = Detector::new(&plan);
        simulate_observed(&plan, &AtomicBool::new(false), &mut detector);
        tally += detector.finish();
    }
    tally
}

#[test]
fn seeds_under_faults_meet_what_quiet_ones_do_not() {
    use Situation as S;
    let savage = tally(0..30, |seed| plan(5, seed));
    let usual = [
        S::LeaderChange,
        S::TwoCandidates,
        S::VoteRefusedForLog,
        S::LeaderInMinority,
        S::StaleLeaderDeposed,
        S::LeaderPaused,
        S::TailTruncated,
        S::Overtaken,
        S::ReadAfterChange,
        S::UnknownHappened,
        S::UnknownDidNot,
        S::CrashUnsynced,
    ];
    for situation in usual {
        let (times, runs) = (savage.times(situation), savage.runs(situation));
        assert!(times > 0, "30 seeds under faults never met {}", situation.name());
        assert!(runs <= 30 && runs <= times, "{}: {times} in {runs}", situation.name());
    }
    let quiet = tally(0..10, |seed| Plan { faults: Vec::new(), ..plan(5, seed) });
    let of_faults = [
        S::VoteLost,
        S::RestartInElection,
        S::LeaderInMinority,
        S::LeaderPaused,
        S::CrashUnsynced,
        S::TornTail,
    ];
    for situation in of_faults {
        assert_eq!(quiet.times(situation), 0, "without faults: {}", situation.name());
    }
}
