//! Leads the exercise on containers, with a progress line.

use std::time::Duration;

use tokio::sync::watch;

use super::{
    Stop, live,
    progress::{self, Progress, Status},
    record::{Cut, Recorder},
};
use crate::{
    cluster::docker::driver::Driver,
    exercise::{Exercise, Machine, Note, Observation, Stage, Time},
    plan::Plan,
};

/// How often the progress line changes.
const TICK: Duration = Duration::from_millis(200);

/// What leads a run on containers.
pub(super) struct Lead<'a> {
    pub(super) plan: &'a Plan,
    pub(super) exercise: Exercise<'a>,
    pub(super) driver: Driver,
    pub(super) recorder: &'a mut Recorder,
    pub(super) progress: &'a mut Progress,
    pub(super) stop: &'a Stop,
    /// A violation found while the run goes on; none: the run goes on all the same.
    pub(super) violation: Option<live::Violation>,
    /// A file that is cut short: what comes now is not recorded.
    pub(super) cut: Cut,
    /// Only for testing the harness itself.
    pub(super) panics_at: Option<Duration>,
    /// When the load began, and when something was last recorded.
    pub(super) start: Time,
    pub(super) now: Time,
}

impl Lead<'_> {
    /// Runs the exercise to its end.
    pub(super) async fn run(&mut self) {
        let mut ticks = tokio::time::interval(TICK);
        let (mut stopped, mut violated, mut cut) = (false, false, false);
        while !self.exercise.is_over() {
            let observation = tokio::select! {
                biased;
                () = self.stop.first(), if !stopped => {
                    stopped = true;
                    let signal = self.stop.asked().unwrap_or("a signal");
                    Observation::EndEarly(signal.to_owned())
                }
                () = found(self.violation.as_mut()), if !violated => {
                    violated = true;
                    Observation::EndEarly("a violation of linearizability".to_owned())
                }
                () = found(Some(&mut self.cut)), if !cut => {
                    cut = true;
                    let why = self.cut.borrow().clone().unwrap_or_default();
                    progress::print(&format!("{why}; stopping"));
                    Observation::EndEarly(why)
                }
                _ = ticks.tick() => {
                    let load = self.exercise.stage() == Stage::Load;
                    let time = self.driver.now().saturating_sub(self.start);
                    if load && self.panics_at.is_some_and(|at| time >= at) {
                        panic!("as this test wants");
                    }
                    self.show();
                    continue;
                }
                observation = self.driver.next() => {
                    if let Observation::EndEarly(why) = &observation {
                        progress::print(&format!("{why}; stopping"));
                    }
                    observation
                }
            };
            let (now, notes) = self.driver.take(&mut self.exercise, observation);
            self.now = now;
            for note in notes {
                self.note(note);
            }
        }
    }

    fn note(&mut self, note: Note) {
        if let Note::Stage(stage) = note {
            match stage {
                Stage::BringUp => {
                    self.progress.step("Starting the nodes and waiting for a leader");
                }
                Stage::Load => self.start = self.now,
                Stage::Reading => {
                    self.progress.step("Reading every key and comparing the nodes' stores");
                }
                Stage::Stopping => self.progress.step("Stopping the nodes"),
                _ => {}
            }
        }
        self.recorder.note(note, self.now.saturating_sub(self.start));
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
            leader: self.driver.leader(),
        });
    }
}

/// Waits until something is found.
async fn found<T>(news: Option<&mut watch::Receiver<Option<T>>>) {
    let found = match news {
        Some(news) => news.wait_for(Option::is_some).await.is_ok(),
        None => false,
    };
    if !found {
        std::future::pending::<()>().await;
    }
}
