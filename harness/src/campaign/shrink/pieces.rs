//! Faults and operations, taken away in chunks and one by one.

use std::{ops::Range, sync::atomic::AtomicBool, time::Duration};

use checker::history::{Event, Kind, Place};

use super::{Reduction, times};
use crate::{
    cluster::simulate,
    exercise,
    plan::{Load, Plan},
    workload::{
        Workload,
        script::{Script, Step},
    },
};

/// What the clients of a plan's load begin in its run, on registers.
pub(super) fn performed(plan: &Plan, stop: &AtomicBool) -> Vec<Step> {
    let simulation = simulate(plan, stop);
    let events = simulation.evidence.history.registers().iter();
    events
        .filter_map(|event| {
            let client = client(plan, event.process)?;
            let Event { kind: Kind::Invoke, f, key, value, .. } = event else { return None };
            let at = Duration::from_nanos(event.time);
            Some(Step { at, client, f: *f, key: key.clone(), value: *value })
        })
        .collect()
}

/// How many operations the clients of a plan's load began in a run of it.
pub(super) fn begun(plan: &Plan, history: impl Iterator<Item = Place>) -> usize {
    let invoked = history.filter(|place| place.kind == Kind::Invoke);
    invoked.filter(|place| client(plan, place.process).is_some()).count()
}

/// The client of the load that a process is. Clients behind those ask whether nodes serve, and read
/// at the end; after an unknown outcome a client goes on under another number.
fn client(plan: &Plan, process: u64) -> Option<u64> {
    let client = process % exercise::stride(plan.load.concurrency, plan.nodes);
    (client < plan.load.concurrency).then_some(client)
}

impl Reduction<'_> {
    /// First steps, while the load is still generated and another seed is another load: the time
    /// behind the violation goes, then perhaps all but the last few faults.
    pub(super) fn shorten(&mut self) {
        self.take_any_of(times::cut);
        let faults = self.best.plan.faults.len();
        for last in [0, 1, 2, 3, 4, 6, 8, 12, 16].into_iter().filter(|last| *last < faults) {
            if self.take(times::last_faults(&self.best.plan, last)) {
                self.take_any_of(times::cut);
                break;
            }
        }
    }

    /// The generated load becomes a script of what was invoked: with the same seed the same run.
    pub(super) fn write_down(&mut self) {
        let Workload::Register(options) = &self.best.plan.workload else { return };
        let reads = options.reads;
        let steps = performed(&self.best.plan, self.search.stop());
        let plan = &self.best.plan;
        let last = steps.iter().map(|step| step.at).max().unwrap_or_default();
        let in_time = steps.iter().filter(|step| step.at <= plan.time).cloned().collect();
        let written = |steps: Vec<Step>, time: Duration| Plan {
            workload: Workload::Script(Script { steps, reads }),
            load: Load { rate: 0, stretches: Vec::new(), ..plan.load.clone() },
            time,
            ..plan.clone()
        };
        // No operation at all, those before the healing, all of them.
        let candidates = [
            written(Vec::new(), plan.time),
            written(in_time, plan.time),
            written(steps, plan.time.max(last)),
        ];
        let _ = candidates.into_iter().any(|candidate| self.take(candidate));
    }

    /// Takes away operations. Whether any.
    pub(super) fn drop_operations(&mut self) -> bool {
        self.drop_chunks(
            |plan| plan.workload.script().map_or(0, |script| script.steps.len()),
            |plan, chunk| {
                if let Some(script) = plan.workload.script_mut() {
                    script.steps.drain(chunk);
                }
            },
        )
    }

    /// Takes away faults. Whether any.
    pub(super) fn drop_faults(&mut self) -> bool {
        self.drop_chunks(
            |plan| plan.faults.len(),
            |plan, chunk| {
                plan.faults.drain(chunk);
            },
        )
    }

    /// Tries to do without all, without each half, each quarter and so on, in the end without each
    /// single one.
    fn drop_chunks(
        &mut self,
        count: fn(&Plan) -> usize,
        drop: fn(&mut Plan, Range<usize>),
    ) -> bool {
        let mut any = false;
        let mut size = count(&self.best.plan);
        while size > 0 {
            let mut from = 0;
            while from < count(&self.best.plan) {
                let mut candidate = self.best.plan.clone();
                let end = (from + size).min(count(&candidate));
                drop(&mut candidate, from..end);
                if self.take(candidate) {
                    any = true;
                } else {
                    from = end;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        any
    }
}
