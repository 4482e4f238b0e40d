//! Drives the exercise on containers: real time in, orders out.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, watch};

use super::{
    Stop,
    progress::{Progress, Status},
    record::Recorder,
};
use crate::{
    cluster::docker::hands::Hands,
    exercise::{Alarm, Exercise, Note, Observation, Order, Stage, Time},
    plan::Plan,
};

/// How often the progress line changes.
const TICK: Duration = Duration::from_millis(200);

/// What leads a run on containers.
pub(super) struct Drive<'a> {
    pub(super) plan: &'a Plan,
    pub(super) exercise: Exercise<'a>,
    pub(super) hands: Hands,
    pub(super) reports: mpsc::UnboundedReceiver<Observation>,
    pub(super) recorder: &'a mut Recorder,
    pub(super) progress: &'a mut Progress,
    pub(super) stop: &'a Stop,
    /// A violation found while the run goes on; none: the run goes on all the same.
    pub(super) violation: Option<watch::Receiver<Option<String>>>,
    pub(super) alarms: Alarms,
    /// When the load began, and the last time at which something was recorded.
    pub(super) start: Time,
    pub(super) now: Time,
}

/// Alarms by time; those of one time in the order in which they were set.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    heap: BinaryHeap<Reverse<(Time, u64)>>,
    alarms: BTreeMap<u64, Alarm>,
    last: u64,
}

impl Alarms {
    fn set(&mut self, at: Time, alarm: Alarm) {
        self.last += 1;
        self.alarms.insert(self.last, alarm);
        self.heap.push(Reverse((at, self.last)));
    }

    fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    fn due(&mut self, now: Time) -> Option<Alarm> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, id)) = self.heap.pop()?;
        self.alarms.remove(&id)
    }
}

impl Drive<'_> {
    /// Runs the exercise to its end.
    pub(super) async fn run(&mut self) {
        let origin = Instant::now();
        let mut ticks = tokio::time::interval(TICK);
        let (mut stopped, mut violated) = (false, false);
        self.take(Observation::Begin, origin);
        while self.exercise.stage() != Stage::Over {
            let next = self.alarms.next().map(|at| origin + at);
            let alarm = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let observation = tokio::select! {
                biased;
                () = self.stop.first(), if !stopped => {
                    stopped = true;
                    let signal = self.stop.asked().unwrap_or("a signal");
                    Some(Observation::EndEarly(signal.to_owned()))
                }
                () = found(self.violation.as_mut()), if !violated => {
                    violated = true;
                    Some(Observation::EndEarly("a violation of linearizability".to_owned()))
                }
                _ = ticks.tick() => {
                    self.show();
                    None
                }
                Some(report) = self.reports.recv() => Some(report),
                () = alarm => None,
            };
            if let Some(observation) = observation {
                self.take(observation, origin);
            }
            while let Some(alarm) = self.alarms.due(origin.elapsed()) {
                self.take(Observation::Alarm(alarm), origin);
            }
        }
    }

    /// The exercise takes something in, and its orders are carried out.
    fn take(&mut self, what: Observation, origin: Instant) {
        let now = origin.elapsed();
        let mut orders = Vec::new();
        self.exercise.handle(now, what, &self.hands, &mut orders);
        for order in orders {
            match order {
                Order::Wake { at, alarm } => self.alarms.set(at, alarm),
                Order::Connect { client, token, node } => self.hands.connect(client, token, node),
                Order::Send { client, token, operation } => {
                    self.hands.send(client, token, operation);
                }
                Order::Disconnect { client } => self.hands.disconnect(client),
                Order::Perform { ticket, deed } => self.hands.perform(ticket, deed),
                Order::Note(note) => self.note(note, now),
            }
        }
    }

    fn note(&mut self, note: Note, now: Time) {
        if let Note::Stage(stage) = note {
            match stage {
                Stage::BringUp => {
                    self.progress.step("Starting the nodes and waiting for a leader");
                }
                Stage::Load => self.start = now,
                Stage::Reading => {
                    self.progress.step("Reading every key and comparing the nodes' stores");
                }
                Stage::Stopping => self.progress.step("Stopping the nodes"),
                _ => {}
            }
        }
        self.now = now;
        self.recorder.note(note, now.saturating_sub(self.start));
    }

    fn show(&mut self) {
        if !matches!(self.exercise.stage(), Stage::Load | Stage::Healing | Stage::Recovery) {
            return;
        }
        self.progress.status(&Status {
            elapsed: self.now.saturating_sub(self.start),
            total: self.plan.time,
            counts: self.recorder.counts(),
            faults: self.exercise.active_faults(),
            leader: self.hands.leader(),
        });
    }
}

/// Waits for a violation.
async fn found(violation: Option<&mut watch::Receiver<Option<String>>>) {
    let found = match violation {
        Some(violation) => violation.wait_for(Option::is_some).await.is_ok(),
        None => false,
    };
    if !found {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_go_off_in_the_order_of_time_and_of_setting() {
        let mut alarms = Alarms::default();
        let at = Duration::from_millis;
        for (time, stage) in [(5, Stage::Load), (3, Stage::Healing), (3, Stage::Reading)] {
            alarms.set(at(time), Alarm::Stage(stage));
        }
        assert_eq!(alarms.next(), Some(at(3)));
        assert!(alarms.due(at(2)).is_none());
        let mut order = Vec::new();
        while let Some(Alarm::Stage(stage)) = alarms.due(at(4)) {
            order.push(stage);
        }
        assert_eq!(order, [Stage::Healing, Stage::Reading]);
        assert_eq!(alarms.next(), Some(at(5)));
    }
}
