//! Whether enough happened for the verdict to mean something.

use std::{collections::BTreeMap, time::Duration};

use proto::trace::{Event, Role};

use super::{ok, open, unknown};
use crate::{
    evidence::{Evidence, Run},
    fault::{Phase, Record},
    history::Request,
    text::count,
    verdict::Property,
};

/// Name of the property.
pub const NAME: &str = "coverage";

/// What is known of the nodes at a moment is at most so old: a leader may have been replaced
/// shortly before it is attacked as one.
const STALE: Duration = Duration::from_secs(1);

/// Looks at how many operations succeeded, whether any met a fault, and whether attacks on leaders
/// led to new leaders.
pub fn check(evidence: &Evidence, operations: &[impl Request]) -> Property {
    let succeeded = operations.iter().filter(|o| o.succeeded()).count();
    let wanted = evidence.run.expect.operations.max(1);
    if succeeded == 0 {
        return unknown(NAME, "no operation succeeded, so nothing was tested");
    }
    if (succeeded as u64) < wanted {
        return unknown(
            NAME,
            format!("{} succeeded, fewer than {wanted}", count(succeeded, "operation")),
        );
    }
    let lives = lives(&evidence.faults);
    if !met(evidence, &lives) {
        return unknown(NAME, "no operation was open while a fault was in effect");
    }
    let mut detail = format!("{} succeeded", count(succeeded, "operation"));
    if evidence.traces.iter().any(|trace| !trace.is_empty()) {
        let terms = Terms::of(evidence);
        if terms.led.is_empty() {
            return unknown(NAME, "clients were answered, and the traces show no leader");
        }
        let (attacks, replaced) = terms.attacks(&lives, &evidence.run);
        let attacked = format!(
            "leaders were cut off, stopped or killed {} for seconds",
            count(attacks, "time")
        );
        if 2 * replaced < attacks {
            let (led, replaced) = (count(terms.led.len(), "term"), count(replaced, "time"));
            return unknown(
                NAME,
                format!(
                    "{attacked}, and only {replaced} the traces show a new leader then: too few \
                     elections were tested ({led} had a leader)"
                ),
            );
        }
        detail += &format!(", {} had a leader", count(terms.led.len(), "term"));
        if attacks > 0 {
            detail += &format!("; {attacked} and replaced {}", count(replaced, "time"));
        }
    }
    ok(NAME, detail)
}

/// The records of each fault.
type Lives<'a> = BTreeMap<usize, Vec<&'a Record>>;

fn lives(records: &[Record]) -> Lives<'_> {
    let mut lives = Lives::new();
    for record in records {
        lives.entry(record.fault).or_default().push(record);
    }
    lives
}

/// When a fault was first in one of these phases.
fn at(life: &[&Record], wanted: &[Phase]) -> Option<u64> {
    life.iter().find(|record| wanted.contains(&record.phase)).map(|record| record.time)
}

/// From when to when a fault may have had an effect.
fn in_force(life: &[&Record]) -> Option<(u64, u64)> {
    let over = at(life, &[Phase::Healed, Phase::Failed, Phase::Skipped]);
    Some((at(life, &[Phase::Applied])?, over.unwrap_or(u64::MAX)))
}

/// Whether some operation was open while a fault was in effect, where any was.
fn met(evidence: &Evidence, lives: &Lives<'_>) -> bool {
    let confirmed = lives.values().filter(|life| at(life, &[Phase::Confirmed]).is_some());
    let mut faults = confirmed.filter_map(|life| in_force(life)).peekable();
    if faults.peek().is_none() {
        return true;
    }
    let open = open(&evidence.history);
    faults.any(|(from, to)| open.iter().any(|span| span.start <= to && from <= span.end))
}

/// Which terms had a leader.
#[derive(Default)]
struct Terms {
    /// Of each: who led it, and since when, in the time of history and faults; it may have begun
    /// before them.
    led: BTreeMap<u64, (u64, i128)>,
}

impl Terms {
    fn of(evidence: &Evidence) -> Self {
        let mut led = BTreeMap::new();
        let started = i128::from(evidence.run.started);
        for record in evidence.traces.iter().flatten() {
            if let Event::Role { term, role: Role::Leader, .. } = record.event {
                led.entry(term).or_insert((record.node, i128::from(record.time) - started));
            }
        }
        Self { led }
    }

    /// How many attacks on leaders there were that must depose them, and after how many of them a
    /// new leader began, before the next.
    fn attacks(&self, lives: &Lives<'_>, run: &Run) -> (usize, usize) {
        let mut attacks: Vec<(u64, u64, u64)> = lives
            .iter()
            .filter(|(fault, _)| alone_for_long(**fault, lives, run.expect.deposing))
            .filter_map(|(_, life)| {
                let confirmed = life.iter().find(|record| record.phase == Phase::Confirmed)?;
                let asked = life.first()?.time;
                Some((confirmed.time, asked, self.deposed(confirmed)?))
            })
            .collect();
        attacks.sort_unstable();
        let next = attacks.iter().skip(1).map(|(confirmed, ..)| *confirmed).chain([u64::MAX]);
        let replaced = attacks.iter().zip(next).filter(|((_, asked, term), next)| {
            let from = i128::from(*asked) - STALE.as_nanos() as i128;
            let later = self.led.range(term + 1..);
            later.into_iter().any(|(_, (_, since))| (from..i128::from(*next)).contains(since))
        });
        (attacks.len(), replaced.count())
    }

    /// The term of the leader that a fault deposes, if it does.
    fn deposed(&self, confirmed: &Record) -> Option<u64> {
        if !confirmed.severs_leader {
            return None;
        }
        let hit = |node: &u64| confirmed.nodes.contains(&format!("n{node}"));
        let until = i128::from(confirmed.time);
        let led = self.led.iter().rev().find(|(_, (node, since))| *since <= until && hit(node));
        led.map(|(term, _)| *term)
    }
}

/// Whether a fault was in effect for so `long` while no other was in force: several together may
/// leave nobody who could elect another leader.
fn alone_for_long(fault: usize, lives: &Lives<'_>, long: Duration) -> bool {
    let Some(life) = lives.get(&fault) else { return false };
    let (Some(from), Some(to)) = (at(life, &[Phase::Confirmed]), at(life, &[Phase::HealRequested]))
    else {
        return false;
    };
    let long = u64::try_from(long.as_nanos()).unwrap_or(u64::MAX);
    let others = lives.iter().filter(|(other, _)| **other != fault);
    let mut others: Vec<(u64, u64)> = others.filter_map(|(_, life)| in_force(life)).collect();
    others.sort_unstable();
    let mut free_from = from;
    for (installed, over) in others {
        if installed.min(to).saturating_sub(free_from) >= long {
            return true;
        }
        free_from = free_from.max(over);
    }
    to.saturating_sub(free_from) >= long
}

#[cfg(test)]
mod tests {
    use proto::trace::{self, Position};

    use super::*;
    use crate::{
        fault::{Kind as FaultKind, Observed},
        history::{Event as Told, Function, Kind, Value, operation::pair},
        verdict::{self, Outcome::Ok as Held, Outcome::Unknown},
        version::Version,
    };

    const SECOND: u64 = 1_000_000_000;

    /// A read from one second to another.
    fn read(call: u64, end: u64) -> Vec<Told> {
        let event = |index, seconds, kind| Told {
            index,
            time: seconds * SECOND,
            process: 0,
            kind,
            f: Function::Read,
            key: "k".into(),
            value: Value::Nil,
            error: None,
            node: None,
            revision: None,
        };
        vec![event(0, call, Kind::Invoke), event(1, end, Kind::Ok)]
    }

    /// A fault of this number that lasts from one second to another.
    fn fault(
        number: usize,
        (kind, severs_leader): (FaultKind, bool),
        nodes: &[&str],
        seconds: (u64, u64),
    ) -> Vec<Record> {
        use Phase::{Applied, Confirmed, HealRequested, Healed, Requested};
        [Requested, Applied, Confirmed, HealRequested, Healed]
            .map(|phase| Record {
                fault: number,
                time: SECOND * if phase <= Confirmed { seconds.0 } else { seconds.1 },
                phase,
                version: Version,
                kind,
                what: String::new(),
                nodes: nodes.iter().map(|&n| n.into()).collect(),
                links: Vec::new(),
                leader: Some("n1".into()),
                severs_leader,
                observed: Observed::default(),
                detail: None,
            })
            .to_vec()
    }

    fn kill(seconds: (u64, u64)) -> Vec<Record> {
        fault(0, (FaultKind::Kill, true), &["n1"], seconds)
    }

    /// Of five nodes, where these led these terms since these seconds of a load that began at 100
    /// s.
    fn evidence(faults: Vec<Record>, leaders: &[(u64, u64, u64)]) -> Evidence {
        let records = leaders.iter().map(|&(term, node, seconds)| {
            let (role, last) = (Role::Leader, Position::default());
            let event = Event::Role { term, role, leader: Some(node), last };
            let time = seconds * SECOND;
            trace::Record { node, boot: 1, seq: 0, clock: 0, time, event }
        });
        let traces = vec![records.collect()];
        let mut evidence =
            Evidence { history: read(0, 1000).into(), faults, traces, ..Evidence::default() };
        evidence.run.nodes = 5;
        evidence.run.started = 100 * SECOND;
        evidence
    }

    fn judge(evidence: &Evidence) -> Property {
        check(evidence, &pair(evidence.history.registers()).unwrap())
    }

    fn outcome(faults: Vec<Record>, leaders: &[(u64, u64, u64)]) -> verdict::Outcome {
        judge(&evidence(faults, leaders)).outcome
    }

    #[test]
    fn leaders_that_are_attacked_must_change() {
        assert_eq!(outcome(kill((10, 15)), &[(1, 1, 99)]), Unknown);
        assert_eq!(outcome(kill((10, 15)), &[(1, 1, 99), (2, 2, 112)]), Held);
        // As soon as it is down, and before it is known to be.
        assert_eq!(outcome(kill((10, 15)), &[(1, 1, 99), (2, 2, 109)]), Held);
        // Elections long before say nothing.
        assert_eq!(outcome(kill((10, 15)), &[(1, 2, 98), (2, 1, 99)]), Unknown);
    }

    #[test]
    fn enough_attacks_must_be_followed_by_an_election() {
        let faults: Vec<Record> = (0..5)
            .flat_map(|n| {
                let from = 10 + 5 * n as u64;
                fault(n, (FaultKind::Kill, true), &["n1", "n2"], (from, from + 4))
            })
            .collect();
        let mut leaders = vec![(1, 1, 98), (2, 2, 99)];
        let property = judge(&evidence(faults.clone(), &leaders));
        assert_eq!(property.outcome, Unknown);
        assert_eq!(
            property.detail,
            "leaders were cut off, stopped or killed 5 times for seconds, and only 0 times the \
             traces show a new leader then: too few elections were tested (2 terms had a leader)"
        );
        leaders.extend([(3, 1, 111), (5, 2, 118)]);
        assert_eq!(outcome(faults.clone(), &leaders), Unknown);
        leaders.push((6, 1, 132));
        assert_eq!(
            judge(&evidence(faults, &leaders)).detail,
            "1 operation succeeded, 5 terms had a leader; leaders were cut off, stopped or killed 5 \
             times for seconds and replaced 3 times"
        );
    }

    #[test]
    fn who_was_no_leader_by_the_traces_was_not_attacked_as_one() {
        assert_eq!(outcome(kill((10, 15)), &[(1, 3, 99)]), Held);
        // What the harness saw was a second old.
        assert_eq!(outcome(kill((10, 15)), &[(1, 1, 99), (2, 3, 109)]), Held);
    }

    #[test]
    fn an_attack_beside_another_fault_proves_nothing_until_it_is_alone() {
        let beside = |from: u64, to: u64| {
            let mut faults = kill((10, 15));
            faults.extend(fault(1, (FaultKind::Kill, true), &["n2", "n3"], (from, to)));
            outcome(faults, &[(1, 1, 99)])
        };
        assert_eq!(beside(10, 19), Held);
        assert_eq!(beside(10, 13), Held);
        assert_eq!(beside(12, 19), Held);
        assert_eq!(beside(10, 12), Unknown);
        assert_eq!(beside(13, 19), Unknown);
    }

    #[test]
    fn short_attacks_and_attacks_on_others_prove_nothing() {
        assert_eq!(outcome(kill((10, 11)), &[(1, 1, 99)]), Held);
        assert_eq!(
            outcome(fault(0, (FaultKind::Kill, true), &["n2"], (10, 15)), &[(1, 1, 99)]),
            Held
        );
    }

    #[test]
    fn faults_that_a_leader_may_outlive_prove_nothing() {
        let after = |severs_leader| {
            let fault = fault(0, (FaultKind::Partition, severs_leader), &["n1"], (10, 15));
            outcome(fault, &[(1, 1, 99)])
        };
        assert_eq!(after(true), Unknown);
        assert_eq!(after(false), Held);
    }

    #[test]
    fn nobody_answers_without_a_leader() {
        let property = judge(&evidence(Vec::new(), &[]));
        assert_eq!(property.outcome, Held, "a system without traces");
        let mut evidence = evidence(Vec::new(), &[(1, 1, 99)]);
        assert_eq!(judge(&evidence).detail, "1 operation succeeded, 1 term had a leader");
        evidence.traces[0][0].event = Event::Stopped {};
        let property = judge(&evidence);
        assert_eq!(property.outcome, Unknown);
        assert_eq!(property.detail, "clients were answered, and the traces show no leader");
    }

    #[test]
    fn some_operation_must_meet_a_fault() {
        let with = |call, end| {
            let mut evidence = evidence(kill((55, 56)), &[(1, 1, 99)]);
            evidence.history = read(call, end).into();
            judge(&evidence)
        };
        let apart = with(20, 21);
        assert_eq!(apart.outcome, Unknown);
        assert_eq!(apart.detail, "no operation was open while a fault was in effect");
        assert_eq!(with(20, 55).outcome, Held);
        assert_eq!(with(56, 57).outcome, Held);
        assert_eq!(with(57, 58).outcome, Unknown);
        let mut evidence = evidence(kill((55, 56)), &[(1, 1, 99)]);
        evidence.history = read(20, 21).into();
        evidence.faults.retain(|record| record.phase == Phase::Requested);
        assert_eq!(judge(&evidence).outcome, Held, "it never took effect, which others judge");
    }

    #[test]
    fn too_few_operations_are_undecided() {
        let mut evidence = Evidence::default();
        let none = judge(&evidence);
        assert_eq!(none.detail, "no operation succeeded, so nothing was tested");
        assert_eq!(none.outcome, Unknown);
        evidence.history = read(0, 1).into();
        assert_eq!(judge(&evidence).outcome, Held);
        evidence.run.expect.operations = 2;
        let few = judge(&evidence);
        assert_eq!(few.outcome, Unknown);
        assert_eq!(few.detail, "1 operation succeeded, fewer than 2");
    }
}
