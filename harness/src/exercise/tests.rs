//! The exercise between a simulated cluster and somebody who interferes: runs that end early, deeds
//! that fail, nodes that end by a defect.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::AtomicBool,
};

use checker::fault::Phase;

use super::*;
use crate::{campaign::swarm, cluster::sim::simulate_led, nemesis::Link, plan::World};

/// Tickets of deeds that were ordered here.
const OWN: Ticket = 1 << 40;

/// An exercise with something in between.
struct Meddled<'a> {
    exercise: Exercise<'a>,
    plan: &'a Plan,
    /// Ends the run early so long after this stage begins.
    early: Option<(Stage, Duration)>,
    /// The number of the fault's deed that fails, and whether it is carried out all the same.
    fails: Option<(u64, bool)>,
    /// What ends a pause at the end of the load is never done, nor reported.
    never_heals: bool,
    deeds: u64,
    failing: Option<Ticket>,
    stage: Stage,
    phases: BTreeMap<FaultId, Vec<Phase>>,
    /// Deeds that look, once the faults are over, what they left.
    own: BTreeMap<Ticket, Deed>,
    left: Vec<String>,
    hangs: bool,
}

impl<'a> Meddled<'a> {
    fn new(plan: &'a Plan) -> Self {
        let settings = Settings { hang: Duration::from_millis(50), inert: false };
        Self {
            exercise: Exercise::new(plan, settings),
            plan,
            early: None,
            fails: None,
            never_heals: false,
            deeds: 0,
            failing: None,
            stage: Stage::BringUp,
            phases: BTreeMap::new(),
            own: BTreeMap::new(),
            left: Vec::new(),
            hangs: false,
        }
    }

    fn run(&mut self, what: &str) {
        let simulation = simulate_led(self.plan, self, &AtomicBool::new(false));
        assert_eq!(simulation.violation, None, "{what}");
        assert!(!self.hangs, "{what}: hangs in {:?}, {:?}", self.stage, self.phases);
        assert!(self.exercise.is_over(), "{what}: stands still in {:?}", self.stage);
        assert_eq!(self.left, Vec::<String>::new(), "{what}: {:?}", self.phases);
    }

    fn order(&mut self, deed: Deed, orders: &mut Vec<Order>) {
        let ticket = OWN + self.own.len() as u64;
        self.own.insert(ticket, deed.clone());
        orders.push(Order::Perform { ticket, deed });
    }

    /// The run enters a stage.
    fn enter(&mut self, before: Stage, now: Time, orders: &mut Vec<Order>) {
        if let Some((stage, after)) = self.early
            && stage == self.stage
        {
            orders.push(Order::Wake { at: now + after, alarm: Alarm::Look });
        }
        let over = before <= Stage::Healing && self.stage > Stage::Healing;
        if !over || self.stage >= Stage::Stopping {
            return;
        }
        for (fault, phases) in &self.phases {
            let ends = [Phase::Healed, Phase::Failed, Phase::Skipped];
            let ended = phases.iter().filter(|phase| ends.contains(phase)).count();
            if ended != 1 || !phases.last().is_some_and(|last| ends.contains(last)) {
                self.left.push(format!("fault {fault} is not over once: {phases:?}"));
            }
        }
        let nodes = self.plan.node_ids();
        for &from in &nodes {
            self.order(Deed::Examine(from), orders);
            for &to in nodes.iter().filter(|to| **to != from) {
                self.order(Deed::Ping(Link { from, to }), orders);
            }
        }
    }

    fn own_deed_done(&mut self, deed: &Deed, outcome: &Result<Finding, Failure>) {
        match (deed, outcome) {
            (Deed::Examine(node), Ok(Finding::Process(it))) if !it.running || it.paused => {
                self.left.push(format!("n{node} is left {it:?}"));
            }
            (Deed::Ping(link), Ok(Finding::Reached(false))) => {
                self.left.push(format!("{link} is left cut"));
            }
            _ => {}
        }
    }
}

impl Machine for Meddled<'_> {
    fn handle(&mut self, now: Time, what: Observation, view: &dyn View, out: &mut Vec<Order>) {
        if now > self.plan.time + Duration::from_secs(400) {
            self.hangs = true;
            return;
        }
        let what = match what {
            Observation::Alarm(Alarm::Look) => Observation::EndEarly("this test".to_owned()),
            Observation::Done { ticket, outcome } if ticket >= OWN => {
                let deed = self.own[&ticket].clone();
                return self.own_deed_done(&deed, &outcome);
            }
            Observation::Done { ticket, .. } if self.failing == Some(ticket) => {
                let outcome = Err(Failure::Impossible("this test wants it to fail".to_owned()));
                Observation::Done { ticket, outcome }
            }
            what => what,
        };
        let mut orders = Vec::new();
        let before = self.stage;
        self.exercise.handle(now, what, view, &mut orders);
        for mut order in orders {
            let heals = matches!(order, Order::Perform { deed: Deed::Resume(_), .. });
            if self.never_heals && heals && self.stage == Stage::Healing {
                continue;
            }
            match &mut order {
                Order::Note(Note::Stage(stage)) => self.stage = *stage,
                Order::Note(Note::Fault(record)) => {
                    self.phases.entry(record.fault).or_default().push(record.phase);
                }
                Order::Perform { ticket, deed }
                    if matches!(self.stage, Stage::Load | Stage::Healing) =>
                {
                    self.deeds += 1;
                    if let Some((number, carried_out)) = self.fails
                        && number == self.deeds
                    {
                        self.failing = Some(*ticket);
                        if !carried_out {
                            *deed = Deed::Counters(usize::MAX);
                        }
                    }
                }
                _ => {}
            }
            out.push(order);
        }
        if before != self.stage {
            self.enter(before, now, out);
        }
    }

    fn is_over(&self) -> bool {
        self.exercise.is_over() || self.hangs
    }
}

fn plan(seed: u64) -> Plan {
    let given = swarm::Given { time: Some(Duration::from_secs(6)), ..swarm::Given::default() };
    swarm::plan(&given, seed).unwrap()
}

#[test]
fn a_run_that_is_ended_early_ends_in_whatever_stage_it_is() {
    let stages = [
        Stage::BringUp,
        Stage::Load,
        Stage::Healing,
        Stage::Recovery,
        Stage::Draining,
        Stage::Reading,
        Stage::Comparing,
        Stage::Stopping,
    ];
    for (seed, stage) in (0..).zip(stages.repeat(5)) {
        let plan = plan(seed);
        let after = if stage == Stage::Load { 900 * (seed % 6) } else { 7 * (seed % 5) };
        let mut meddled = Meddled::new(&plan);
        meddled.early = Some((stage, Duration::from_millis(after)));
        meddled.run(&format!("seed {seed}, ended early in {stage:?}"));
    }
}

#[test]
fn whichever_deed_fails_every_fault_ends_and_leaves_nothing() {
    for seed in 0..60 {
        let plan = plan(seed);
        let mut meddled = Meddled::new(&plan);
        meddled.fails = Some((1 + seed * 7 % 40, seed % 2 == 0));
        meddled.run(&format!("seed {seed}, deed {:?} fails", meddled.fails));
    }
}

#[test]
fn heals_that_never_end_are_given_up_together() {
    let mut plan = plan(3);
    (plan.nodes, plan.world) = (3, World::default());
    let (at, lasts) = (Duration::from_secs(1), Duration::from_secs(60));
    let pauses = "pause:n1,pause:n2".parse::<crate::nemesis::Menu>().unwrap().items.concat();
    let injection = |fault| crate::nemesis::Injection { at, lasts, fault, pick: 0 };
    plan.faults = pauses.into_iter().map(injection).collect();
    let mut meddled = Meddled::new(&plan);
    meddled.never_heals = true;
    let simulation = simulate_led(&plan, &mut meddled, &AtomicBool::new(false));
    assert!(meddled.exercise.is_over(), "stands still in {:?}", meddled.stage);
    let ends: Vec<_> = meddled.phases.values().filter_map(|phases| phases.last()).collect();
    assert_eq!(ends, [&Phase::Failed, &Phase::Failed]);
    let (time, most) = (simulation.virtual_time, plan.time + Duration::from_secs(120));
    assert!(time < most, "the run took {time:?}");
}

/// Nobody is seen to lead.
struct Leaderless;

impl View for Leaderless {
    fn leader(&self) -> Option<NodeId> {
        None
    }
}

#[test]
fn a_node_that_finds_a_defect_while_it_stops_has_crashed_once() {
    for faults in ["none", "restart:n1"] {
        let mut plan = plan(3);
        (plan.nodes, plan.world, plan.load.concurrency) = (3, World::default(), 1);
        plan.faults = faults.parse::<crate::nemesis::Menu>().unwrap().items.concat().iter().fold(
            Vec::new(),
            |mut faults, &fault| {
                let (at, lasts) = (Duration::from_secs(1), Duration::from_secs(1));
                faults.push(crate::nemesis::Injection { at, lasts, fault, pick: 0 });
                faults
            },
        );
        let mut exercise =
            Exercise::new(&plan, Settings { hang: Duration::from_millis(50), inert: false });
        let mut queue = BTreeMap::from([((Time::ZERO, 0), Observation::Begin)]);
        let (mut number, mut down, mut crashes) = (0, BTreeSet::new(), Vec::new());
        while let Some(((now, _), what)) = queue.pop_first() {
            let mut orders = Vec::new();
            exercise.handle(now, what, &Leaderless, &mut orders);
            for order in orders {
                number += 1;
                match order {
                    Order::Perform { ticket, deed } => {
                        let outcome = Ok(answer(&deed, &mut down));
                        queue.insert((now, number), Observation::Done { ticket, outcome });
                    }
                    Order::Wake { at, alarm } => {
                        queue.insert((at, number), Observation::Alarm(alarm));
                    }
                    Order::Note(Note::Crash(crash)) => crashes.push(crash.node),
                    _ => {}
                }
            }
            if exercise.is_over() {
                break;
            }
        }
        assert!(exercise.is_over(), "{faults}");
        let times = if faults == "none" { 1 } else { 2 };
        assert_eq!(crashes, [1].repeat(times), "{faults}: once each time that it stops");
    }
}

/// A cluster whose first node ends by a defect whenever it is to stop.
fn answer(deed: &Deed, down: &mut BTreeSet<NodeId>) -> Finding {
    match *deed {
        Deed::Stop(node) => {
            down.insert(node);
            Finding::Nothing
        }
        Deed::Start(node) => {
            down.remove(&node);
            Finding::Nothing
        }
        Deed::Examine(node) => {
            let defect = node == 1;
            let code = Some(if defect { 101 } else { 0 });
            let exit = Exit { code, defect, ..Exit::default() };
            let exit = down.contains(&node).then_some(exit);
            Finding::Process(Process { running: exit.is_none(), paused: false, boot: 1, exit })
        }
        Deed::Ask { .. } => Finding::Status(Status {
            boot: 1,
            role: Role::Follower,
            term: 1,
            leader: Some(2),
            applied_index: 0,
            unconnected: Vec::new(),
        }),
        Deed::Hash(_) => Finding::Hash { revision: 1, hash: 1 },
        _ => Finding::Nothing,
    }
}
