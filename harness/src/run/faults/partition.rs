//! Partition: the kernel drops packets between nodes.
//!
//! Bites when on every link the cut's counter has grown and a probe from its sender to its
//! receiver fails. Is healed when the probes succeed again, on the links that no other fault holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use checker::fault::Phase;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::{Account, Miss, Nemesis};
use crate::{
    cluster::docker,
    nemesis::{Link, overlap::FaultId},
};

/// Within this time a heal must be seen.
const HEAL: Duration = Duration::from_secs(5);

/// Links that are cut.
pub(super) struct Partition {
    links: BTreeSet<Link>,
}

pub(super) async fn install(
    nemesis: &Nemesis,
    id: FaultId,
    links: BTreeSet<Link>,
    account: &mut Account<'_>,
) -> Result<Partition, Miss> {
    nemesis.with_holds(|holds| holds.cut(id, &links));
    let wanted: Vec<docker::Link> = if nemesis.inert {
        Vec::new()
    } else {
        links.iter().map(|link| docker::Link { from: link.from, to: link.to }).collect()
    };
    let installed = nemesis.cluster.install(id as u64, &wanted).await?;
    account.note(
        Phase::Installed,
        json!({ "rules": installed.rules, "skew_us": installed.skew.as_micros() }),
    );
    match prove(nemesis, id, &links).await {
        Ok(proof) => {
            account.note(Phase::Bitten, proof);
            Ok(Partition { links })
        }
        Err(error) => {
            let removed = nemesis.cluster.remove(id as u64).await;
            Err(Miss::Failed(match removed {
                Ok(()) => error,
                Err(removal) => error.context(format!("and its removal failed: {removal:#}")),
            }))
        }
    }
}

/// The probes run first: their packets, too, are dropped and counted.
async fn prove(nemesis: &Nemesis, id: FaultId, links: &BTreeSet<Link>) -> anyhow::Result<Value> {
    let reached = probe(nemesis, links).await?;
    let through: Vec<String> =
        reached.iter().filter(|(_, reached)| **reached).map(|(link, _)| link.to_string()).collect();
    ensure!(through.is_empty(), "a probe got through the cut on {}", through.join(", "));
    let counters = nemesis.cluster.counters(id as u64).await?;
    ensure!(
        counters.len() == links.len(),
        "{} links are cut and {} counters found",
        links.len(),
        counters.len()
    );
    if let Some(idle) = counters.iter().find(|counter| counter.packets == 0) {
        bail!("no packet has met the rule at n{}: {}", idle.node, idle.rule);
    }
    let failed: Vec<String> = links.iter().map(Link::to_string).collect();
    Ok(json!({ "probes_failed": failed, "counters": count(&counters) }))
}

fn count(counters: &[docker::Counter]) -> Value {
    counters
        .iter()
        .map(|counter| {
            json!({
                "node": format!("n{}", counter.node),
                "rule": counter.rule,
                "packets": counter.packets,
                "bytes": counter.bytes,
            })
        })
        .collect()
}

async fn probe(nemesis: &Nemesis, links: &BTreeSet<Link>) -> anyhow::Result<BTreeMap<Link, bool>> {
    let probes = links.iter().map(|&link| async move {
        anyhow::Ok((link, nemesis.cluster.probe(link.from, link.to).await?))
    });
    Ok(try_join_all(probes).await?.into_iter().collect())
}

impl Partition {
    pub(super) async fn heal(
        self,
        nemesis: &Nemesis,
        id: FaultId,
        account: &mut Account<'_>,
    ) -> anyhow::Result<Value> {
        let _hand = nemesis.hand.lock().await;
        let counters = nemesis.cluster.counters(id as u64).await?;
        account.note(Phase::HealRequested, json!({ "counters": count(&counters) }));
        let asked = Instant::now();
        nemesis.cluster.remove(id as u64).await?;
        let free = nemesis.with_holds(|holds| holds.whole_without(id, &self.links));
        let held: Vec<String> = self.links.difference(&free).map(Link::to_string).collect();
        let mut left = free.clone();
        loop {
            let reached = probe(nemesis, &left).await?;
            left.retain(|link| !reached.get(link).copied().unwrap_or(false));
            if left.is_empty() {
                break;
            }
            if asked.elapsed() > HEAL {
                let links: Vec<String> = left.iter().map(Link::to_string).collect();
                bail!(
                    "the cut was removed, and {HEAL:?} later probes still fail on {}",
                    links.join(", ")
                );
            }
        }
        let links: Vec<String> = free.iter().map(Link::to_string).collect();
        let mut proof = json!({
            "probes_succeeded": links,
            "after_ms": asked.elapsed().as_millis(),
        });
        if let (Some(proof), false) = (proof.as_object_mut(), held.is_empty()) {
            proof.insert("held by other faults".to_owned(), held.into());
        }
        Ok(proof)
    }
}
