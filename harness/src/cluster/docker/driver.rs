//! Drives a machine on containers: real time in, orders out.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{Cluster, hands::Hands};
use crate::{
    exercise::{Alarm, Machine, Note, Observation, Order, Stage, Time},
    nemesis::NodeId,
};

/// What stands between a machine and a cluster of containers.
pub struct Driver {
    origin: Instant,
    hands: Hands,
    reports: mpsc::UnboundedReceiver<Observation>,
    alarms: Alarms,
    begun: bool,
    /// When the load began: the time of the evidence counts from there.
    load: Time,
    lost: bool,
}

impl Driver {
    /// A driver whose time begins now. `timeout`: a client gives up an operation after this time.
    pub fn new(cluster: &Arc<Cluster>, timeout: Duration) -> Self {
        let (hands, reports) = Hands::new(cluster, timeout);
        let alarms = Alarms::default();
        Self {
            origin: Instant::now(),
            hands,
            reports,
            alarms,
            begun: false,
            load: Time::ZERO,
            lost: false,
        }
    }

    /// Waits for the next thing that the machine must learn. Nothing is lost if the wait is given
    /// up.
    pub async fn next(&mut self) -> Observation {
        if !std::mem::replace(&mut self.begun, true) {
            return Observation::Begin;
        }
        loop {
            if let Some(alarm) = self.alarms.due(self.origin.elapsed()) {
                return Observation::Alarm(alarm);
            }
            let next = self.alarms.next().map(|at| self.origin + at);
            let alarm = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(report) = self.reports.recv() => return report,
                lost = self.hands.until_lost(), if !self.lost => {
                    self.lost = true;
                    let at = lost.since.saturating_duration_since(self.origin);
                    let at = at.saturating_sub(self.load).as_secs_f64();
                    return Observation::EndEarly(format!("lost the Docker daemon at {at:.1} s"));
                }
                () = alarm => {}
            }
        }
    }

    /// Has the machine take something in, and carries out what it orders. Returns what is to be
    /// recorded, and the time.
    pub fn take(&mut self, machine: &mut impl Machine, what: Observation) -> (Time, Vec<Note>) {
        let now = self.origin.elapsed();
        let mut orders = Vec::new();
        machine.handle(now, what, &self.hands, &mut orders);
        let mut notes = Vec::new();
        for order in orders {
            match order {
                Order::Wake { at, alarm } => self.alarms.set(at, alarm),
                Order::Note(note) => {
                    if let Note::Stage(Stage::Load) = note {
                        self.load = now;
                    }
                    notes.push(note);
                }
                order => self.hands.carry_out(order),
            }
        }
        (now, notes)
    }

    /// Time since the driver began.
    pub fn now(&self) -> Time {
        self.origin.elapsed()
    }

    /// The leader and its term, as the nodes lately said.
    pub fn leader(&self) -> Option<(NodeId, u64)> {
        self.hands.leader()
    }
}

/// Alarms by time; those of one time in the order in which they were set.
#[derive(Debug, Default)]
struct Alarms {
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
