//! Whether what was recorded of a fault proves that it took effect, or that it is over. Judged by
//! content: a cut that dropped no packet cut nothing, whatever its record says.

use std::collections::BTreeSet;

use crate::fault::{Answered, ByNode, Damage, Detail, Kind, Link, Phase, Record};

/// A process that SIGKILL ended has this code.
const KILLED: i64 = 128 + 9;

/// What a record lacks to prove what its phase says: that the fault took effect, that it did so
/// until its heal was requested, or that it is over. `None` if it lacks nothing.
pub(super) fn lacks(record: &Record) -> Option<String> {
    let result = match record.phase {
        Phase::Confirmed => effect(record),
        Phase::HealRequested => account(record),
        Phase::Healed => over(record),
        Phase::Requested | Phase::Applied | Phase::Failed | Phase::Skipped => Ok(()),
    };
    result.err()
}

/// That the fault took effect.
fn effect(record: &Record) -> Result<(), String> {
    let observed = &record.observed;
    match (record.kind, &record.detail) {
        (Kind::Kill | Kind::Restart, Some(Detail::Ended(ended))) => {
            let code = if record.kind == Kind::Kill { KILLED } else { 0 };
            each(&record.nodes, ended, |node, it| {
                if it.exit_code != code {
                    return Err(format!("{node} ended with code {}, not {code}", it.exit_code));
                }
                ensure(!it.unanswered.is_empty(), || {
                    format!("{node} was not asked whether it is gone")
                })
            })
        }
        (Kind::Pause, Some(Detail::Frozen(frozen))) => {
            each(&record.nodes, frozen, |node, after| {
                ensure(*after > 0, || format!("no question to {node} timed out"))
            })
        }
        (Kind::Partition, Some(Detail::Dropped { probes_failed, counters })) => {
            same_links(&record.links, &observed.links, "it was observed on")?;
            same_links(&record.links, probes_failed, "probes failed on")?;
            ensure(counters.len() == record.links.len(), || {
                let (links, counters) = (record.links.len(), counters.len());
                format!("{links} links are cut, and there are {counters} counters")
            })?;
            match counters.iter().find(|counter| counter.packets == 0) {
                Some(idle) => {
                    Err(format!("no packet met the rule at {}: {}", idle.node, idle.rule))
                }
                None => ensure(!counters.is_empty(), || "it cuts no link".into()),
            }
        }
        (Kind::Network, Some(Detail::Struck(struck))) => {
            let links: Vec<Link> = struck.keys().copied().collect();
            same_links(&links, &observed.links, "it was observed on")?;
            ensure(struck.values().any(|messages| *messages > 0), || "it struck no message".into())
        }
        (Kind::Network, Some(Detail::Broken { lost, clients })) => {
            let links: Vec<Link> = lost.keys().copied().collect();
            same_links(&links, &observed.links, "it was observed on")?;
            ensure(lost.values().chain(clients.values()).any(|count| *count > 0), || {
                "nothing was lost".into()
            })
        }
        (Kind::Disk, Some(Detail::Damaged(damage))) => each(&record.nodes, damage, damaged),
        (Kind::Disk, Some(Detail::Refused(refused))) => {
            each(&record.nodes, refused, |node, words| {
                ensure(!words.is_empty(), || {
                    format!("{node} said nothing when it refused to start")
                })
            })
        }
        (Kind::Clock, Some(Detail::Clocks(clocks))) => {
            each(&record.nodes, clocks, |node, reading| {
                ensure(!reading.is_natural(), || format!("the clock of {node} went as before"))
            })
        }
        (_, detail) => Err(unfit(detail.as_ref())),
    }
}

/// That a disk showed the fault.
fn damaged(node: &str, damage: &Damage) -> Result<(), String> {
    match damage {
        Damage::Slow { syncs, .. } => ensure(*syncs > 0, || format!("no sync of {node} was slow")),
        Damage::Stopped { why, .. } => {
            ensure(!why.is_empty(), || format!("{node} did not say why it stopped"))
        }
        Damage::Flipped { .. } => Ok(()),
    }
}

/// What the fault did until its heal was requested: faults that hold need no account, and an
/// account of nothing contradicts the effect.
fn account(record: &Record) -> Result<(), String> {
    match (record.kind, &record.detail) {
        (Kind::Partition, Some(Detail::Dropped { counters, .. })) => {
            match counters.iter().find(|counter| counter.packets == 0) {
                Some(idle) => {
                    Err(format!("no packet met the rule at {}: {}", idle.node, idle.rule))
                }
                None => Ok(()),
            }
        }
        (Kind::Network, Some(Detail::Struck(_) | Detail::Broken { .. }))
        | (Kind::Disk, Some(Detail::Refused(_))) => effect(record),
        (Kind::Disk, Some(Detail::Damaged(damage))) => each(&record.nodes, damage, damaged),
        (_, None) => Ok(()),
        (_, detail) => Err(unfit(detail.as_ref())),
    }
}

/// That the fault is over.
fn over(record: &Record) -> Result<(), String> {
    match (record.kind, &record.detail) {
        (Kind::Kill | Kind::Restart | Kind::Disk, Some(Detail::Answered { nodes, silent, .. })) => {
            let all = nodes.keys().chain(silent.keys());
            same(&record.nodes, all, "something is known of")?;
            ensure(!record.nodes.is_empty(), || "it hit no node".into())?;
            runs_silently(nodes, silent)?;
            nodes.iter().try_for_each(|(node, it)| match it.boots {
                Some([before, after]) if after > before => Ok(()),
                Some([before, after]) => Err(format!(
                    "{node} answered as boot {after}, which is none after boot {before}"
                )),
                None => Err(format!("{node} did not say which boot answered")),
            })
        }
        (Kind::Pause, Some(Detail::Answered { nodes, silent, killed })) => {
            let all = nodes.keys().chain(silent.keys()).chain(killed);
            same(&record.nodes, all, "an answer is known of")?;
            runs_silently(nodes, silent)
        }
        (Kind::Partition | Kind::Network, Some(Detail::Passed { probes, held, .. })) => {
            let all: Vec<Link> = probes.iter().chain(held).copied().collect();
            same_links(&record.observed.links, &all, "probes passed on")?;
            let cut: BTreeSet<&Link> = record.links.iter().collect();
            ensure(cut.is_subset(&all.iter().collect()), || {
                "links that it cut are left out".into()
            })?;
            ensure(!all.is_empty(), || "no link was looked at".into())
        }
        (Kind::Disk, Some(Detail::Damaged(_))) => Ok(()),
        (Kind::Clock, Some(Detail::Clocks(clocks))) => {
            each(&record.nodes, clocks, |node, reading| {
                ensure(reading.is_natural(), || format!("the clock of {node} was still wrong"))
            })
        }
        (_, detail) => Err(unfit(detail.as_ref())),
    }
}

/// Nodes that run and do not answer are healed, once they had time to answer.
fn runs_silently(nodes: &ByNode<Answered>, silent: &ByNode<u64>) -> Result<(), String> {
    silent.iter().try_for_each(|(node, after)| {
        ensure(*after > 0, || format!("{node} was given no time to answer"))?;
        ensure(!nodes.contains_key(node), || format!("{node} is said to answer, and to be silent"))
    })
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Something of each node that was hit, and of no other.
fn each<T>(
    nodes: &[String],
    seen: &ByNode<T>,
    proves: impl Fn(&str, &T) -> Result<(), String>,
) -> Result<(), String> {
    same(nodes, seen.keys(), "something is known of")?;
    ensure(!seen.is_empty(), || "it hit no node".into())?;
    seen.iter().try_for_each(|(node, it)| proves(node, it))
}

fn same<'a>(
    nodes: &[String],
    seen: impl Iterator<Item = &'a String>,
    what: &str,
) -> Result<(), String> {
    let (hit, seen): (BTreeSet<&String>, BTreeSet<&String>) =
        (nodes.iter().collect(), seen.collect());
    match hit.symmetric_difference(&seen).next() {
        Some(node) if hit.contains(node) => Err(format!("it hit {node}, and nothing proves that")),
        Some(node) => Err(format!("{what} {node}, which it did not hit")),
        None => Ok(()),
    }
}

fn same_links(cut: &[Link], seen: &[Link], what: &str) -> Result<(), String> {
    let (cut, seen): (BTreeSet<&Link>, BTreeSet<&Link>) =
        (cut.iter().collect(), seen.iter().collect());
    match cut.symmetric_difference(&seen).next() {
        Some(link) if cut.contains(link) => Err(format!("nothing is known of {link}")),
        Some(link) => Err(format!("{what} {link}, which it did not hit")),
        None => Ok(()),
    }
}

/// The detail is of another fault or phase.
fn unfit(detail: Option<&Detail>) -> String {
    match detail {
        None => "no proof was recorded".into(),
        Some(_) => "what was recorded is the proof of something else".into(),
    }
}

/// Records with proof, for tests.
#[cfg(test)]
pub(super) mod samples {
    use super::*;
    use crate::{
        fault::{ClockReading, Counter, Ended, Observed},
        version::Version,
    };

    fn links() -> Vec<Link> {
        ["n1→n2", "n2→n1"].map(|link| link.parse().unwrap()).to_vec()
    }

    fn answered() -> Detail {
        let answered = Answered { after_ms: 31, boots: Some([1, 2]) };
        Detail::Answered {
            nodes: [("n2".into(), answered)].into(),
            silent: [].into(),
            killed: Vec::new(),
        }
    }

    fn clock(gained_us: u64) -> Detail {
        Detail::Clocks([("n2".into(), ClockReading { gained_us, natural_us: 50_000 })].into())
    }

    fn dropped(probes_failed: Vec<Link>) -> Detail {
        let counter = |link: Link| Counter {
            node: format!("n{}", link.to),
            rule: format!("drop {link}"),
            packets: 3,
            bytes: None,
        };
        let mut counters: Vec<Counter> = links().into_iter().map(counter).collect();
        counters.reverse();
        Detail::Dropped { probes_failed, counters }
    }

    fn detail(kind: Kind, phase: Phase) -> Option<Detail> {
        let struck = || Detail::Struck([("n2→n1".parse().unwrap(), 2)].into());
        let passed = |probes| Detail::Passed { probes, after_ms: 4, held: Vec::new() };
        let ended = |exit_code| {
            let unanswered = "connection refused".into();
            let ended = Ended { boot: 1, exit_code, unanswered, unsynced_sectors: None };
            Detail::Ended([("n2".into(), ended)].into())
        };
        Some(match (kind, phase) {
            (Kind::Kill, Phase::Confirmed) => ended(137),
            (Kind::Restart, Phase::Confirmed) => ended(0),
            (Kind::Pause, Phase::Confirmed) => Detail::Frozen([("n2".into(), 300)].into()),
            (Kind::Partition, Phase::Confirmed) => dropped(links()),
            (Kind::Partition, Phase::HealRequested) => dropped(Vec::new()),
            (Kind::Network, Phase::Confirmed | Phase::HealRequested) => struck(),
            (Kind::Disk, Phase::Confirmed | Phase::HealRequested) => {
                let slow = Damage::Slow { syncs: 1, longest_us: 90_000 };
                Detail::Damaged([("n2".into(), slow)].into())
            }
            (Kind::Clock, Phase::Confirmed) => clock(100_000),
            (Kind::Kill | Kind::Restart | Kind::Pause | Kind::Disk, Phase::Healed) => answered(),
            (Kind::Partition, Phase::Healed) => passed(links()),
            (Kind::Network, Phase::Healed) => passed(vec!["n2→n1".parse().unwrap()]),
            (Kind::Clock, Phase::Healed) => clock(50_001),
            _ => return None,
        })
    }

    /// A phase of fault 0, which hits n2.
    pub(crate) fn record(kind: Kind, phase: Phase) -> Record {
        let seen = matches!(phase, Phase::Confirmed | Phase::HealRequested | Phase::Healed);
        let on_links = match kind {
            Kind::Partition => links(),
            Kind::Network => vec!["n2→n1".parse().unwrap()],
            _ => Vec::new(),
        };
        let nodes = if on_links.is_empty() { vec!["n2".into()] } else { Vec::new() };
        Record {
            version: Version,
            fault: 0,
            time: 0,
            phase,
            kind,
            what: "leader alone".into(),
            nodes: vec!["n2".into()],
            links: if kind == Kind::Partition { links() } else { Vec::new() },
            leader: Some("n2".into()),
            severs_leader: true,
            observed: if seen { Observed { nodes, links: on_links } } else { Observed::default() },
            detail: detail(kind, phase),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{samples::record, *};
    use crate::fault::Counter;

    type Doctor = fn(&mut Detail);

    /// What a record lacks once its detail was doctored.
    fn lacked(kind: Kind, phase: Phase, doctor: Doctor) -> String {
        let mut record = record(kind, phase);
        assert_eq!(lacks(&record), None, "{kind} {phase:?}");
        doctor(record.detail.as_mut().unwrap());
        lacks(&record).unwrap()
    }

    fn first<T>(map: &mut std::collections::BTreeMap<String, T>) -> &mut T {
        map.values_mut().next().unwrap()
    }

    fn counters(detail: &mut Detail) -> &mut Vec<Counter> {
        let Detail::Dropped { counters, .. } = detail else { panic!() };
        counters
    }

    fn boots(detail: &mut Detail) -> &mut Option<[u64; 2]> {
        let Detail::Answered { nodes, .. } = detail else { panic!() };
        &mut first(nodes).boots
    }

    #[test]
    fn what_proves_nothing_is_named() {
        use Kind::{Clock, Disk, Kill, Network, Partition, Pause, Restart};
        use Phase::{Confirmed, HealRequested, Healed};
        let code: Doctor = |detail| {
            let Detail::Ended(ended) = detail else { panic!() };
            first(ended).exit_code = 101;
        };
        let answers: Doctor = |detail| {
            let Detail::Ended(ended) = detail else { panic!() };
            first(ended).unanswered.clear();
        };
        let at_once: Doctor = |detail| {
            let Detail::Frozen(frozen) = detail else { panic!() };
            *first(frozen) = 0;
        };
        let none_struck: Doctor = |detail| {
            let Detail::Struck(struck) = detail else { panic!() };
            struck.values_mut().for_each(|messages| *messages = 0);
        };
        let as_usual: Doctor = |detail| {
            let Detail::Clocks(clocks) = detail else { panic!() };
            first(clocks).gained_us = 50_000;
        };
        let still_fast: Doctor = |detail| {
            let Detail::Clocks(clocks) = detail else { panic!() };
            first(clocks).gained_us = 60_000;
        };
        let never_slow: Doctor = |detail| {
            *detail =
                Detail::Damaged([("n2".into(), Damage::Slow { syncs: 0, longest_us: 0 })].into());
        };
        let no_probe: Doctor = |detail| {
            if let Detail::Dropped { probes_failed: links, .. }
            | Detail::Passed { probes: links, .. } = detail
            {
                links.pop();
            }
        };
        let other: Doctor = |detail| *detail = Detail::Struck([].into());
        let cases: [(Kind, Phase, Doctor, &str); 20] = [
            (Kill, Confirmed, code, "n2 ended with code 101, not 137"),
            (Restart, Confirmed, code, "n2 ended with code 101, not 0"),
            (Kill, Confirmed, answers, "n2 was not asked whether it is gone"),
            (
                Kill,
                Healed,
                |d| *boots(d) = Some([1, 1]),
                "n2 answered as boot 1, which is none after boot 1",
            ),
            (Kill, Healed, |d| *boots(d) = None, "n2 did not say which boot answered"),
            (
                Restart,
                Healed,
                |d| *boots(d) = Some([2, 1]),
                "n2 answered as boot 1, which is none after",
            ),
            (Pause, Confirmed, at_once, "no question to n2 timed out"),
            (
                Pause,
                Healed,
                |d| *d = Detail::Answered { nodes: [].into(), silent: [].into(), killed: vec![] },
                "it hit n2, and nothing proves that",
            ),
            (
                Partition,
                Confirmed,
                |d| counters(d).iter_mut().for_each(|c| c.packets = 0),
                "no packet met the rule at n1",
            ),
            (
                Partition,
                HealRequested,
                |d| counters(d)[1].packets = 0,
                "no packet met the rule at n2",
            ),
            (
                Partition,
                Confirmed,
                |d| drop(counters(d).pop()),
                "2 links are cut, and there are 1 counters",
            ),
            (Partition, Confirmed, no_probe, "nothing is known of n2→n1"),
            (Partition, Healed, no_probe, "nothing is known of n2→n1"),
            (Network, Confirmed, none_struck, "it struck no message"),
            (Network, HealRequested, other, "it was observed on n2→n1, which it did not hit"),
            (Network, Healed, no_probe, "nothing is known of n2→n1"),
            (Disk, Confirmed, never_slow, "no sync of n2 was slow"),
            (Clock, Confirmed, as_usual, "the clock of n2 went as before"),
            (Clock, Healed, still_fast, "the clock of n2 was still wrong"),
            (Kill, Confirmed, other, "what was recorded is the proof of something else"),
        ];
        for (kind, phase, doctor, expected) in cases {
            let why = lacked(kind, phase, doctor);
            assert!(why.starts_with(expected), "{kind} {phase:?}: {why}");
        }
    }

    #[test]
    fn every_kind_needs_a_proof_of_its_own() {
        for kind in Kind::ALL {
            for phase in [Phase::Confirmed, Phase::Healed] {
                let proved = record(kind, phase);
                assert_eq!(lacks(&proved), None, "{kind} {phase:?}");
                let without = Record { detail: None, ..proved };
                assert_eq!(lacks(&without).unwrap(), "no proof was recorded");
            }
        }
    }

    #[test]
    fn a_paused_node_that_was_killed_meanwhile_need_not_answer() {
        let mut record = record(Kind::Pause, Phase::Healed);
        record.nodes.push("n3".into());
        assert_eq!(lacks(&record).unwrap(), "it hit n3, and nothing proves that");
        let answered = Answered { after_ms: 1, boots: None };
        record.detail = Some(Detail::Answered {
            nodes: [("n2".into(), answered)].into(),
            silent: [].into(),
            killed: vec!["n3".into()],
        });
        assert_eq!(lacks(&record), None);
    }

    #[test]
    fn a_node_that_runs_and_owes_an_answer_is_healed() {
        let silent = |nodes: ByNode<Answered>, after| {
            Some(Detail::Answered {
                nodes,
                silent: [("n2".into(), after)].into(),
                killed: Vec::new(),
            })
        };
        for kind in [Kind::Kill, Kind::Restart, Kind::Pause, Kind::Disk] {
            let mut record = record(kind, Phase::Healed);
            record.detail = silent([].into(), 20_001);
            assert_eq!(lacks(&record), None, "{kind}");
            record.detail = silent([].into(), 0);
            assert_eq!(lacks(&record).unwrap(), "n2 was given no time to answer");
            let answered = Answered { after_ms: 1, boots: Some([1, 2]) };
            record.detail = silent([("n2".into(), answered)].into(), 20_001);
            assert_eq!(lacks(&record).unwrap(), "n2 is said to answer, and to be silent");
        }
    }
}
