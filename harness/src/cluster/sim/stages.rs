//! The stages of a run, the same as on containers: the cluster comes up; load and faults; every
//! fault is healed; every node must serve again; the clients stop; every key is read; the stores
//! are compared; the nodes end.

use std::time::Duration;

use super::{
    client::{Client, Job},
    observe::{Happening, Stage},
    process::{Process, by_node},
    queue::Event,
    world::World,
};
use crate::{nemesis::NodeId, run::limits};

/// Within this time a cluster must have a leader that all follow, or within [`limits::patience`] where
/// that is longer.
const BRING_UP: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

impl World<'_> {
    /// The run is at a new stage.
    pub(super) fn enter(&mut self, stage: Stage) {
        (self.stage, self.stage_since) = (stage, self.now);
        self.watch.see(self.now, Happening::Stage(stage));
    }

    /// Looks again, after a while, whether the stage is over.
    pub(super) fn look_later(&mut self) {
        self.queue.push(self.now + POLL, Event::Look);
    }

    /// Goes on to the next stage where the present one is over.
    pub(super) fn advance(&mut self) {
        match self.stage {
            Stage::BringUp => self.bring_up(),
            Stage::Load if self.now >= self.start + self.plan.time => {
                self.enter(Stage::Healing);
                self.end_faults();
                self.advance();
            }
            Stage::Healing if self.nemesis.is_over() => self.begin_recovery(),
            Stage::Recovery if self.are_over(|job| matches!(job, Job::Probe { .. })) => {
                self.end_recovery();
            }
            Stage::Draining if self.are_over(|_| true) => {
                self.enter(Stage::Reading);
                let left = self.keys.iter().rev().cloned().collect();
                let until = self.now + limits::patience(self.plan);
                let job = Job::Read { left, attempts: 0, until, unread: Vec::new() };
                let number = self.plan.load.concurrency + self.plan.nodes;
                let at = (number % self.plan.nodes) as usize;
                self.enlist(Client::new(number, at, job));
            }
            Stage::Reading if self.are_over(|_| true) => {
                if let Some(Client { job: Job::Read { unread, .. }, .. }) = self.clients.last()
                    && !unread.is_empty()
                {
                    let why = format!("no final read of {} succeeded", unread.join(", "));
                    self.record.incomplete(why);
                }
                self.enter(Stage::Comparing);
                self.advance();
            }
            Stage::Comparing => self.compare(),
            _ => {}
        }
    }

    fn bring_up(&mut self) {
        let patience = BRING_UP.max(limits::patience(self.plan));
        let leader = |process: &super::process::Process| process.answers()?.leader;
        let first = self.processes.first().and_then(leader);
        if first.is_some() && self.processes.iter().all(|process| leader(process) == first) {
            self.start = self.now;
            self.enter(Stage::Load);
            self.queue.push(self.now + self.plan.time, Event::Look);
            let nodes = self.processes.len() as u64;
            for number in 0..self.plan.load.concurrency {
                self.enlist(Client::new(number, (number % nodes) as usize, Job::Load));
            }
            self.begin_faults();
        } else if self.now > patience {
            self.record.incomplete(format!("no leader was elected within {patience:?}"));
            self.enter(Stage::Over);
        } else {
            self.look_later();
        }
    }

    fn begin_recovery(&mut self) {
        self.enter(Stage::Recovery);
        self.record.run().healed = Some(self.since_start());
        let until = self.now + limits::patience(self.plan) + limits::GRACE;
        for at in 0..self.processes.len() {
            let number = self.plan.load.concurrency + at as u64;
            self.enlist(Client::new(number, at, Job::Probe { until, served: false }));
        }
    }

    fn end_recovery(&mut self) {
        let probes = self.clients.iter().filter_map(|client| match client.job {
            Job::Probe { served, .. } => Some(served),
            _ => None,
        });
        let silent: Vec<String> = (1..)
            .zip(probes)
            .filter(|(_, served)| !served)
            .map(|(node, _): (NodeId, _)| format!("n{node}"))
            .collect();
        if !silent.is_empty() {
            self.record.incomplete(format!(
                "{} did not serve within {:?} after the last heal",
                silent.join(", "),
                limits::patience(self.plan) + limits::GRACE
            ));
        }
        self.enter(Stage::Draining);
        self.load_ended = true;
        self.advance();
    }

    fn are_over(&self, which: impl Fn(&Job) -> bool) -> bool {
        self.clients.iter().filter(|client| which(&client.job)).all(|client| client.over)
    }

    fn compare(&mut self) {
        let applied: Vec<_> = self
            .processes
            .iter()
            .map(|process| process.answers().map(|status| status.applied_index))
            .collect();
        let equal = applied.windows(2).all(|pair| pair[0] == pair[1]);
        if equal && applied.iter().all(Option::is_some) {
            for node in self.plan.node_ids() {
                match by_node(|| Ok(self.processes[node as usize - 1].hash())) {
                    Ok(Some((revision, hash))) => {
                        let told = (format!("n{node}"), revision, hash);
                        self.record.run().final_hashes.push(told);
                    }
                    Ok(None) => {}
                    Err(fatal) => self.died(node, &fatal),
                }
            }
            if let Some(store) = self.processes.first().and_then(Process::store) {
                self.watch.see(self.now, Happening::Compared { store });
            }
        } else if self.now < self.stage_since + limits::patience(self.plan) {
            return self.look_later();
        } else {
            self.record.incomplete(
                "the stores were not compared: the nodes differ in what they applied".to_owned(),
            );
        }
        let disturbed = self.nemesis.disturbed();
        for node in self.plan.node_ids() {
            if !disturbed.contains(&node) {
                self.stop(node);
            }
        }
        self.enter(Stage::Over);
    }
}
