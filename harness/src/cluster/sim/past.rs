//! What a cluster has behind it when a run begins: a long life, lived once and reused.
//!
//! A past is no image written by hand. It is a run of the same nodes in the same world, in which
//! they start, elect, take requests and end again, many times over. The run then goes on from the
//! disks that they left. Their traces are the beginning of the run's traces and are judged like
//! the rest, so that nothing that a node does in its past, or makes of it, is taken on trust.
//!
//! The requests of a past change nothing in the store: the history of clients begins empty, as
//! always.
//!
//! A past depends on its kind and on the number of nodes alone. The process keeps it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use checker::evidence::Crash;
use node::{kv::Request, replica::Time};
use proto::{etcd::DeleteRangeRequest, trace};

use super::{
    disk::SimulatedDisk,
    queue::{Event, NodeInput},
    world::World,
};
use crate::{
    nemesis::{Menu, NodeId},
    plan::{self, ClusterKind, Disk, Load, Network, Options, Past, Plan, Storage, Timings},
    system::System,
    workload::{Workload, register},
};

/// What a life comes to: disks and traces.
pub(super) struct Lived {
    /// Of each node, in the order of their ids: its disk, and the Lamport clock of its last line.
    pub(super) nodes: Vec<(SimulatedDisk, u64)>,
    /// The lines of all traces, as they came.
    pub(super) lines: Vec<trace::Record>,
    /// Nodes that ended by a defect of their own.
    pub(super) crashes: Vec<Crash>,
    /// Why it did not come about as it should.
    pub(super) incomplete: Vec<String>,
    /// How long it took.
    pub(super) time: Time,
}

/// What happens in a past.
struct Course {
    /// How often all nodes are started.
    lives: u64,
    /// What is asked of the cluster in each life.
    requests: usize,
    /// Bytes of a full-grown segment of the log.
    segment_bytes: u32,
}

impl Course {
    fn of(past: Past) -> Option<Self> {
        match past {
            Past::None => None,
            // Starts and terms pass 255, segments 99.
            Past::Eventful => Some(Self { lives: 270, requests: 6, segment_bytes: 1 << 10 }),
            // Indexes pass 65,535.
            Past::Long => Some(Self { lives: 2, requests: 35_000, segment_bytes: 64 << 10 }),
        }
    }
}

/// The past that a plan wants; none for most.
pub(super) fn of(plan: &Plan) -> Option<Arc<Lived>> {
    type Known = BTreeMap<(Past, u64), Arc<Lived>>;
    static KNOWN: Mutex<Known> = Mutex::new(BTreeMap::new());
    let (past, nodes) = (plan.world.past, plan.nodes);
    let course = Course::of(past)?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let lived = known.entry((past, nodes)).or_insert_with(|| Arc::new(live(&course, nodes)));
    Some(Arc::clone(lived))
}

/// A plan for nodes in fair weather.
fn plan(course: &Course, nodes: u64) -> Plan {
    let mut plan = Plan::generate(Options {
        system: System::raft_node(),
        cluster: ClusterKind::Sim,
        nodes,
        seed: 0,
        time: Duration::from_secs(1),
        interval: None,
        menu: Menu::default(),
        workload: Workload::Register(register::Options::new(1)),
        load: Load::steady(1, 1, Duration::from_secs(1)),
        timings: Timings {
            election_timeout: Duration::from_millis(200),
            heartbeat_interval: Duration::from_millis(50),
        },
        storage: Storage::Durable,
        world: plan::World::default(),
    })
    .expect("a fixed plan is valid");
    plan.world.network = Network { late: 0.0, loss: 0.0, duplication: 0.0, ..Network::default() };
    plan.world.disk = Disk { slow: 0.0, segment_bytes: course.segment_bytes, ..Disk::default() };
    plan
}

/// Lives through it. What goes wrong is in what it comes to.
fn live(course: &Course, nodes: u64) -> Lived {
    let plan = plan(course, nodes);
    let mut world = World::new(&plan, None, Arc::default());
    for life in 0..course.lives {
        if let Err(why) = world.one_life(life, course.requests) {
            world.record.incomplete(format!("life {life} of the nodes' past: {why}"));
            break;
        }
    }
    world.stop_all();
    let World { processes, record, now, .. } = world;
    let (evidence, _) = record.finish();
    let disk = |disk: Option<SimulatedDisk>| disk.unwrap_or_default();
    Lived {
        nodes: processes.into_iter().map(|it| (disk(it.disk), it.clock)).collect(),
        lines: in_order(evidence.traces),
        crashes: evidence.run.crashes,
        incomplete: evidence.run.incomplete,
        time: now,
    }
}

/// All lines by virtual time; at one moment, as their clocks say.
fn in_order(traces: Vec<Vec<trace::Record>>) -> Vec<trace::Record> {
    let mut lines: Vec<trace::Record> = traces.into_iter().flatten().collect();
    lines.sort_by_key(|line| (line.time, line.clock));
    lines
}

/// Requests that are asked for at once.
const AT_ONCE: usize = 500;
/// Whatever the nodes must reach, they reach it within this time,
const PATIENCE: Duration = Duration::from_secs(60);
/// and within so many events.
const EVENTS_MAX: u64 = 1_000_000;

impl World<'_> {
    /// All nodes start, agree on a leader, take requests, and end: mostly in order, every third
    /// time by a crash with some of the requests under way.
    fn one_life(&mut self, life: u64, requests: usize) -> Result<(), String> {
        for id in self.plan.node_ids() {
            self.start(id)?;
        }
        self.until_settled(0)?;
        let mut left = requests;
        while left > 0 {
            let leader = self.leader().ok_or("no node leads")?;
            let status = self.process(leader).answers().ok_or("the leader is down")?;
            let now = left.min(AT_ONCE);
            self.ask_often(leader, now);
            left -= now;
            if left == 0 && life % 3 == 2 {
                self.happen_for(Duration::from_millis(3))?;
                for id in self.plan.node_ids() {
                    self.crash(id);
                }
                return Ok(());
            }
            self.until_settled(status.last_index + 1)?;
        }
        self.stop_all();
        Ok(())
    }

    fn stop_all(&mut self) {
        for id in self.plan.node_ids() {
            self.stop(id);
        }
    }

    /// Requests of no client, which delete what does not exist.
    fn ask_often(&mut self, node: NodeId, requests: usize) {
        let incarnation = self.process(node).incarnation;
        let delete = DeleteRangeRequest { key: "none".into(), ..DeleteRangeRequest::default() };
        for _ in 0..requests {
            let request = Box::new(Request::DeleteRange(delete.clone()));
            let input = NodeInput::Request(0, 0, request, None);
            self.queue.push(self.now, Event::Arrives { node, incarnation, input });
        }
    }

    /// Until all nodes have applied the same, at least up to `index`, under a leader.
    fn until_settled(&mut self, index: u64) -> Result<(), String> {
        let deadline = self.now + PATIENCE;
        for event in 0..EVENTS_MAX {
            if event % 16 == 0 && self.is_settled(index) {
                return Ok(());
            }
            if !self.next_event() || self.now > deadline {
                break;
            }
        }
        Err(format!("the nodes had not all applied index {index} after {PATIENCE:?}"))
    }

    fn is_settled(&self, index: u64) -> bool {
        let mut all = self.processes.iter().map(|process| process.answers());
        let Some(Some(first)) = all.next() else { return false };
        let at_rest = first.leader.is_some()
            && first.applied_index >= index.max(1)
            && first.applied_index == first.last_index;
        at_rest
            && all.all(|status| {
                status.is_some_and(|it| {
                    (it.leader, it.applied_index, it.last_index)
                        == (first.leader, first.applied_index, first.last_index)
                })
            })
    }

    fn happen_for(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        for _ in 0..EVENTS_MAX {
            if self.now >= end {
                return Ok(());
            }
            if !self.next_event() {
                break;
            }
        }
        Err(format!("{EVENTS_MAX} events took less than {time:?}"))
    }

    /// False: nothing is to happen, or Raft's safety is broken already.
    fn next_event(&mut self) -> bool {
        if self.record.violation().is_some() {
            return false;
        }
        let Some((time, event)) = self.queue.pop() else { return false };
        self.now = time;
        // Nobody leads these nodes.
        let _ = self.happen(event);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use checker::{budget::Limits, judge, verdict::Outcome};
    use node::storage::Disk as _;
    use proto::trace::Event;

    use super::*;
    use crate::cluster::sim::simulate;

    #[test]
    fn an_eventful_past_outgrows_a_byte_and_is_the_same_again() {
        let course = Course::of(Past::Eventful).unwrap();
        let lived = live(&course, 3);
        assert!(lived.incomplete.is_empty(), "{:?}", lived.incomplete);
        assert!(lived.crashes.is_empty(), "{:?}", lived.crashes);
        let highest = |of: &dyn Fn(&trace::Record) -> u64| lived.lines.iter().map(of).max();
        let term = |line: &trace::Record| match line.event {
            Event::Term { term } => term,
            _ => 0,
        };
        assert!(highest(&term) > Some(255) && highest(&|line| line.boot) > Some(255));
        for (disk, clock) in &lived.nodes {
            let segments = disk.list().unwrap().len();
            assert!(segments > 99 && *clock > 0, "{segments} segments");
        }
        let again = live(&course, 3);
        assert!(again.lines == lived.lines && again.time == lived.time);
    }

    #[test]
    fn a_long_past_outgrows_two_bytes() {
        let lived = live(&Course::of(Past::Long).unwrap(), 3);
        assert!(lived.incomplete.is_empty(), "{:?}", lived.incomplete);
        let appended = lived.lines.iter().filter_map(|line| match &line.event {
            Event::Appended { prev, entries } => Some(prev.index + entries.len() as u64),
            _ => None,
        });
        assert!(appended.max() > Some(70_000));
    }

    #[test]
    fn a_run_goes_on_from_a_past_and_is_judged_with_it() {
        let mut plan = plan(&Course::of(Past::Eventful).unwrap(), 3);
        plan.world.past = Past::Eventful;
        plan.time = Duration::from_secs(3);
        plan.load = Load::steady(2, 20, Duration::from_secs(1));
        plan.validate().unwrap();
        let simulation = simulate(&plan, &AtomicBool::new(false));
        let evidence = &simulation.evidence;
        let verdict = judge::run(evidence, &Limits::default());
        let doubts = verdict.properties.iter().filter(|it| it.outcome != Outcome::Ok);
        assert!(doubts.clone().all(|it| it.name == "coverage"), "{}", verdict.summary);
        assert!(evidence.traces.iter().all(|trace| trace[0].boot == 1));
        // A node that comes back poorer than it was.
        let mut poorer = simulation.evidence.clone();
        let last =
            poorer.traces[0].iter().rposition(|line| matches!(line.event, Event::Started { .. }));
        let line = &mut poorer.traces[0][last.unwrap()];
        let Event::Started { last, .. } = &mut line.event else { panic!() };
        *last = trace::Position::default();
        let verdict = judge::run(&poorer, &Limits::default());
        let violated = verdict.properties.iter().find(|it| it.outcome == Outcome::Violated);
        assert!(violated.is_some(), "{}", verdict.summary);
    }
}
