//! Runs a plan beside a watchman, for a node may never return from what it does.
//!
//! No code can interrupt it then. So the plan is simulated by a thread of its own, which is left
//! behind: the caller learns which node hangs, and over what.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use checker::evidence::{Evidence, Run, Stuck};

use super::{Observer, Simulation, watched};
use crate::{
    exercise::{Time, limits},
    nemesis::NodeId,
    plan::Plan,
};

/// Between two looks at the pulse.
const LOOK: Duration = Duration::from_millis(100);
/// Looks in a row that find a node at the same work: it hangs. A step takes microseconds. Looks are
/// counted, and not the time, as this process may have been stopped for a while.
const LOOKS_MAX: u32 = 100;

/// What the code of a node is at work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// It starts.
    Start,
    /// It deals with the time.
    Timer,
    /// It takes in a message.
    Message,
    /// It takes in a client's request.
    Request,
    /// It learns that a write is durable.
    Durable,
    /// It writes to its log, or syncs it.
    Log,
    /// It computes the hash of its store.
    Hash,
}

const WORKS: [(Work, &str); 7] = [
    (Work::Start, "its start"),
    (Work::Timer, "a timer"),
    (Work::Message, "a message"),
    (Work::Request, "a client's request"),
    (Work::Durable, "the news that a write is durable"),
    (Work::Log, "its write-ahead log"),
    (Work::Hash, "the hash of its store"),
];

/// What a simulation is at work with, for another thread to see.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// A count of what was begun, the node, and its work; the node is 0 between two.
    at: AtomicU64,
    /// The virtual time at which that was begun, in nanoseconds.
    time: AtomicU64,
}

impl Pulse {
    /// A node's code begins something.
    pub(super) fn begin(&self, node: NodeId, work: Work, now: Time) {
        let count = (self.at.load(Ordering::Relaxed) >> 16).wrapping_add(1);
        self.time.store(super::queue::nanoseconds(now), Ordering::Relaxed);
        self.at.store(count << 16 | (node & 0xff) << 8 | work as u64, Ordering::Relaxed);
    }

    /// It has returned.
    pub(super) fn end(&self) {
        let count = self.at.load(Ordering::Relaxed) >> 16;
        self.at.store(count << 16, Ordering::Relaxed);
    }

    /// The node that is at work, and what hangs if it does not return.
    fn stuck(at: u64, time: u64) -> Stuck {
        let (node, work) = (at >> 8 & 0xff, at & 0xff);
        let words = WORKS.iter().find(|(it, _)| *it as u64 == work).map_or("a step", |it| it.1);
        let since = Duration::from_nanos(time);
        let seconds = (LOOK * LOOKS_MAX).as_secs();
        let how = format!(
            "no progress since {since:?}: n{node} hangs, it has not returned from {words} after \
             {seconds} s of real time"
        );
        Stuck { node: Some(node), how }
    }
}

/// Looks at a pulse now and then.
#[derive(Debug, Default)]
struct Watchman {
    last: u64,
    same: u32,
}

impl Watchman {
    /// What hangs, if a node was found at the same work too often.
    fn look(&mut self, pulse: &Pulse) -> Option<Stuck> {
        let at = pulse.at.load(Ordering::Relaxed);
        let works = at >> 8 & 0xff != 0;
        self.same = if works && at == self.last { self.same + 1 } else { 0 };
        self.last = at;
        (self.same >= LOOKS_MAX).then(|| Pulse::stuck(at, pulse.time.load(Ordering::Relaxed)))
    }
}

/// Runs a plan, as [`simulate`](super::simulate) does, and gives its observer back. A node that
/// never returns ends the run: then there is no evidence but that, and no observer.
pub fn simulate_guarded<O: Observer + Send + 'static>(
    plan: &Plan,
    inert: bool,
    observer: Option<O>,
    stop: &AtomicBool,
) -> (Simulation, Option<O>) {
    let (pulse, over) = (Arc::new(Pulse::default()), Arc::new(AtomicBool::new(false)));
    over.store(stop.load(Ordering::Relaxed), Ordering::Relaxed);
    let (sender, ended) = mpsc::channel();
    {
        let (plan, pulse, over) = (plan.clone(), Arc::clone(&pulse), Arc::clone(&over));
        thread::spawn(move || {
            let mut observer = observer;
            let seen = observer.as_mut().map(|it| it as &mut dyn Observer);
            let run = AssertUnwindSafe(|| watched(&plan, inert, seen, &over, pulse));
            let simulation = catch_unwind(run);
            // Whoever waited has given up.
            let _ = sender.send((simulation, observer));
        });
    }
    let mut watchman = Watchman::default();
    loop {
        match ended.recv_timeout(LOOK) {
            Ok((Ok(simulation), observer)) => return (simulation, observer),
            Ok((Err(panic), _)) => resume_unwind(panic),
            Err(RecvTimeoutError::Timeout) => {
                over.store(stop.load(Ordering::Relaxed), Ordering::Relaxed);
                if let Some(stuck) = watchman.look(&pulse) {
                    return (hung(plan, stuck), None);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("the thread sends whatever happens")
            }
        }
    }
}

/// The run of a node that hangs: all else is in the thread that is left behind.
fn hung(plan: &Plan, stuck: Stuck) -> Simulation {
    let run = Run {
        model: plan.workload.model().into(),
        nodes: plan.node_ids().len(),
        traced: plan.system.traced(),
        simulated: true,
        expect: limits::expect(plan),
        incomplete: vec!["the simulation was given up, and what it recorded with it".to_owned()],
        stuck: vec![stuck],
        ..Run::default()
    };
    let evidence = Evidence { run, ..Evidence::default() };
    let virtual_time = Duration::ZERO;
    Simulation { evidence, violation: None, passed: None, events: 0, virtual_time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_node_that_is_at_the_same_work_hangs() {
        let (pulse, mut watchman) = (Pulse::default(), Watchman::default());
        let mut looks = |pulse: &Pulse| (0..=LOOKS_MAX).find_map(|_| watchman.look(pulse));
        assert_eq!(looks(&pulse), None, "the harness is at work");
        for _ in 0..3 {
            pulse.begin(3, Work::Request, Duration::from_millis(70));
            assert_eq!((0..LOOKS_MAX).find_map(|_| Watchman::default().look(&pulse)), None);
        }
        let stuck = looks(&pulse).unwrap();
        assert_eq!(stuck.node, Some(3));
        let says = "no progress since 70ms: n3 hangs, it has not returned from a client's request";
        assert!(stuck.how.starts_with(says), "{}", stuck.how);
        pulse.end();
        assert_eq!(looks(&pulse), None);
    }
}
