//! Pause: the freezer stops every process of the node; its kernel side stays alive.
//!
//! Bites when the container's state is paused and an RPC hangs. Is healed when the state is
//! running and the RPC is answered. A node that another fault kills meanwhile is not this fault's
//! any more.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use checker::fault::Phase;
use futures::future::try_join_all;
use serde_json::{Value, json};
use tonic::Code;

use super::{Account, Miss, Nemesis, by_node, holders};
use crate::nemesis::{NodeId, overlap::FaultId};

/// An answer takes far less where the node runs.
const HANGS: Duration = Duration::from_millis(300);
const ANSWER: Duration = Duration::from_secs(5);

/// Nodes that are paused.
pub(super) struct Pause;

pub(super) async fn install(
    nemesis: &Nemesis,
    id: FaultId,
    account: &mut Account<'_>,
) -> Result<Pause, Miss> {
    let granted = nemesis.with_holds(|holds| holds.pause(id, &account.nodes));
    if granted.nodes.is_empty() {
        let by = holders(&granted.taken);
        return Err(Miss::Skipped(format!("every node aimed at is down or paused already: {by}")));
    }
    account.nodes = granted.nodes.clone();
    if !nemesis.inert {
        let paused =
            try_join_all(granted.nodes.iter().map(|&node| nemesis.cluster.pause(node))).await;
        if let Err(error) = paused {
            // Some may be paused: none may stay so.
            for &node in &granted.nodes {
                let _ = nemesis.cluster.unpause(node).await;
            }
            return Err(error.into());
        }
    }
    let detail = if granted.taken.is_empty() {
        Value::Null
    } else {
        json!({ "down or paused already": holders(&granted.taken) })
    };
    account.note(Phase::Installed, detail);
    let seen = try_join_all(granted.nodes.iter().map(|&node| seen_paused(nemesis, node))).await;
    match seen {
        Ok(proofs) => account.note(Phase::Bitten, by_node(proofs)),
        Err(error) => {
            for &node in &granted.nodes {
                let _ = nemesis.cluster.unpause(node).await;
            }
            return Err(error.into());
        }
    }
    Ok(Pause)
}

async fn seen_paused(nemesis: &Nemesis, node: NodeId) -> anyhow::Result<(NodeId, Value)> {
    let state = nemesis.cluster.state(node).await?;
    ensure!(state.paused, "n{node} was paused and its container is not");
    match nemesis.watch.ask(node, HANGS).await {
        Ok(_) => bail!("n{node} was paused and still answers"),
        Err(status) if status.code() == Code::DeadlineExceeded => {
            Ok((node, json!({ "state": "paused", "rpc": status.message() })))
        }
        Err(status) => bail!(
            "n{node} was paused; an RPC to it should hang and instead failed: {}",
            status.message()
        ),
    }
}

impl Pause {
    pub(super) async fn heal(
        self,
        nemesis: &Nemesis,
        id: FaultId,
        account: &mut Account<'_>,
    ) -> anyhow::Result<Value> {
        let _hand = nemesis.hand.lock().await;
        let nodes = nemesis.with_holds(|holds| holds.paused_by(id));
        let killed: Vec<String> =
            account.nodes.difference(&nodes).map(|node| format!("n{node}")).collect();
        account.note(Phase::HealRequested, Value::Null);
        let asked = Instant::now();
        try_join_all(nodes.iter().map(|&node| nemesis.cluster.unpause(node))).await?;
        let proofs =
            try_join_all(nodes.iter().map(|&node| seen_running(nemesis, node, asked))).await?;
        let mut proof = by_node(proofs);
        if let (Some(proof), false) = (proof.as_object_mut(), killed.is_empty()) {
            proof.insert("ended by a kill".to_owned(), killed.into());
        }
        Ok(proof)
    }
}

async fn seen_running(
    nemesis: &Nemesis,
    node: NodeId,
    asked: Instant,
) -> anyhow::Result<(NodeId, Value)> {
    let state = nemesis.cluster.state(node).await?;
    ensure!(!state.paused, "n{node} was unpaused and its container is still paused");
    loop {
        match nemesis.watch.ask(node, ANSWER).await {
            Ok(_) => {
                let took = asked.elapsed().as_millis();
                return Ok((node, json!({ "answered_after_ms": took })));
            }
            Err(status) if asked.elapsed() > ANSWER => {
                return Err(status).with_context(|| {
                    format!("n{node} was unpaused and did not answer within {ANSWER:?}")
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
