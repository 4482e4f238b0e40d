//! The same events sooner, and at rounder times.

use std::{collections::BTreeSet, time::Duration};

use super::finding::Finding;
use crate::{
    nemesis::schedule::SHORTEST,
    plan::Plan,
    workload::{Workload, script::Step},
};

/// No test is shorter.
const TIME_MIN: Duration = Duration::from_secs(1);
/// What a time of a whole test is a multiple of.
const WHOLE: Duration = Duration::from_millis(100);
/// What times are rounded to, from the roundest.
const ROUND: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_millis(500),
    Duration::from_millis(100),
    Duration::from_millis(10),
    Duration::from_millis(1),
];

fn steps(plan: &Plan) -> &[Step] {
    plan.workload.script().map_or(&[], |script| &script.steps)
}

fn steps_mut(plan: &mut Plan) -> &mut [Step] {
    plan.workload.script_mut().map_or(&mut [], |script| &mut script.steps)
}

fn retain_steps(plan: &mut Plan, keep: impl Fn(&Step) -> bool) {
    if let Some(script) = plan.workload.script_mut() {
        script.steps.retain(keep);
    }
}

/// In order of time, and as long as its events need and no longer.
fn in_order(mut plan: Plan, at_least: Duration) -> Plan {
    plan.faults.sort_by_key(|injection| injection.at);
    if let Workload::Script(script) = &mut plan.workload {
        script.steps.sort_by_key(|step| step.at);
    }
    let ends = plan.faults.iter().map(|injection| injection.at + injection.lasts);
    let begins = steps(&plan).iter().map(|step| step.at);
    let last = ends.chain(begins).max().unwrap_or_default();
    plan.time = up(last.max(at_least).max(TIME_MIN), WHOLE);
    plan
}

fn up(time: Duration, unit: Duration) -> Duration {
    let down = down(time, unit);
    if down == time { time } else { down + unit }
}

fn down(time: Duration, unit: Duration) -> Duration {
    time - Duration::from_nanos((time.as_nanos() % unit.as_nanos().max(1)) as u64)
}

fn nearest(time: Duration, unit: Duration) -> Duration {
    down(time + unit / 2, unit)
}

/// Nothing behind the violation; and nothing behind the last event.
pub(super) fn cut(finding: &Finding) -> Vec<Plan> {
    let Finding { plan, at, .. } = finding;
    let mut cut = plan.clone();
    let end = up(*at, WHOLE).max(TIME_MIN);
    retain_steps(&mut cut, |step| step.at <= *at);
    cut.faults.retain(|injection| injection.at <= *at);
    for injection in &mut cut.faults {
        let left = end.saturating_sub(injection.at).max(SHORTEST);
        injection.lasts = injection.lasts.min(left);
    }
    let generated = plan.workload.is_generated();
    let short = in_order(plan.clone(), if generated { plan.time } else { Duration::ZERO });
    vec![in_order(cut, end), short]
}

/// The last few faults of a generated load, and the time that they take.
pub(super) fn last_faults(plan: &Plan, count: usize) -> Plan {
    let mut plan = plan.clone();
    plan.faults.drain(..plan.faults.len().saturating_sub(count));
    let first = plan.faults.first().map_or(plan.time, |injection| injection.at);
    let early = down(first.saturating_sub(Duration::from_millis(500)), WHOLE);
    for injection in &mut plan.faults {
        injection.at -= early;
    }
    let time = plan.time.saturating_sub(early);
    in_order(plan, time)
}

/// Events come closer together, and faults last shorter.
pub(super) fn shorter(finding: &Finding) -> Vec<Plan> {
    let plan = &finding.plan;
    let mut variants = Vec::new();
    let mut moments: BTreeSet<Duration> = steps(plan).iter().map(|step| step.at).collect();
    moments.extend(plan.faults.iter().flat_map(|fault| [fault.at, fault.at + fault.lasts]));
    moments.insert(plan.time);
    let mut before = Duration::ZERO;
    for moment in moments {
        let gap = moment - before;
        for left in [Duration::ZERO, WHOLE, 5 * WHOLE, down(gap / 2, WHOLE)] {
            if left < gap {
                variants.push(sooner(plan, moment, gap - left));
            }
        }
        before = moment;
    }
    for (number, injection) in plan.faults.iter().enumerate() {
        for lasts in [SHORTEST, 2 * SHORTEST, down(injection.lasts / 2, WHOLE)] {
            if lasts < injection.lasts {
                let mut variant = plan.clone();
                variant.faults[number].lasts = lasts;
                variants.push(in_order(variant, Duration::ZERO));
            }
        }
    }
    variants
}

/// All from a moment on comes sooner.
fn sooner(plan: &Plan, from: Duration, by: Duration) -> Plan {
    let moved = |time: Duration| if time >= from { time.saturating_sub(by) } else { time };
    let mut plan = plan.clone();
    for step in steps_mut(&mut plan) {
        step.at = moved(step.at);
    }
    for injection in &mut plan.faults {
        let end = moved(injection.at + injection.lasts);
        injection.at = moved(injection.at);
        injection.lasts = end.saturating_sub(injection.at).max(SHORTEST);
    }
    let time = moved(plan.time);
    in_order(plan, time)
}

/// Rounder times: of all events at once, then of single ones.
pub(super) fn rounder(finding: &Finding) -> Vec<Plan> {
    let plan = &finding.plan;
    let mut variants = Vec::new();
    for unit in ROUND {
        for round in [nearest, down, up] {
            let mut all = plan.clone();
            for step in steps_mut(&mut all) {
                step.at = round(step.at, unit);
            }
            for injection in &mut all.faults {
                injection.at = round(injection.at, unit);
                injection.lasts = round(injection.lasts, unit).max(SHORTEST);
            }
            variants.push(in_order(all, Duration::ZERO));
        }
    }
    for unit in ROUND {
        for round in [nearest, down, up] {
            for number in 0..steps(plan).len() {
                let mut one = plan.clone();
                let step = &mut steps_mut(&mut one)[number];
                step.at = round(step.at, unit);
                variants.push(in_order(one, Duration::ZERO));
            }
            for number in 0..plan.faults.len() {
                let mut at = plan.clone();
                at.faults[number].at = round(at.faults[number].at, unit);
                variants.push(in_order(at, Duration::ZERO));
                let mut lasts = plan.clone();
                let injection = &mut lasts.faults[number];
                injection.lasts = round(injection.lasts, unit).max(SHORTEST);
                variants.push(in_order(lasts, Duration::ZERO));
            }
        }
    }
    variants
}
