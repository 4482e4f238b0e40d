//! Kill: SIGKILL, and later a start with the same data.
//!
//! Bites when the container is seen down, by this signal and nothing else, and an RPC is refused: a
//! node that had crashed by itself was not killed, and starting it again would hide that. Is healed
//! when the node answers after it was started again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail, ensure};
use checker::fault::Phase;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::{Account, Miss, Nemesis, by_node, holders};
use crate::{
    cluster::docker::ContainerState,
    nemesis::{
        NodeId,
        overlap::{FaultId, Granted},
    },
    run::bringup,
};

/// A node that was started again must answer within this time.
const ANSWER: Duration = Duration::from_secs(20);
const RPC: Duration = Duration::from_millis(500);
/// Exit code of a container that SIGKILL ended.
const SIGKILLED: i64 = 128 + 9;

/// Nodes that are down.
pub(super) struct Kill {
    /// Each with the number of its start that was killed, for the account.
    boots: BTreeMap<NodeId, u64>,
}

pub(super) async fn install(
    nemesis: &Nemesis,
    id: FaultId,
    account: &mut Account<'_>,
) -> Result<Kill, Miss> {
    let granted = nemesis.with_holds(|holds| holds.kill(id, &account.nodes));
    if granted.nodes.is_empty() {
        let by = holders(&granted.taken);
        return Err(Miss::Skipped(format!("every node aimed at is down already: {by}")));
    }
    account.nodes = granted.nodes.clone();
    let boots: BTreeMap<NodeId, u64> =
        granted.nodes.iter().map(|&node| (node, nemesis.watch.boot(node))).collect();
    match kill(nemesis, &granted, account).await {
        Ok(()) => Ok(Kill { boots }),
        Err(error) => {
            // Not proved, so not kept: none may stay down.
            for &node in &granted.nodes {
                if nemesis.cluster.state(node).await.is_ok_and(|state| !state.running) {
                    nemesis.cluster.start(node).await?;
                }
            }
            Err(error.into())
        }
    }
}

async fn kill(nemesis: &Nemesis, granted: &Granted, account: &Account<'_>) -> anyhow::Result<()> {
    for &node in &granted.nodes {
        bringup::running(&nemesis.cluster, node, 1).await?;
    }
    if !nemesis.inert {
        try_join_all(granted.nodes.iter().map(|&node| nemesis.cluster.kill(node))).await?;
    }
    let mut detail = json!({ "signal": "SIGKILL" });
    if let (Some(detail), false) = (detail.as_object_mut(), granted.taken.is_empty()) {
        detail.insert("down already".to_owned(), holders(&granted.taken).into());
    }
    if let (Some(detail), false) = (detail.as_object_mut(), granted.ends.is_empty()) {
        detail.insert("ends the pause of".to_owned(), holders(&granted.ends).into());
    }
    account.note(Phase::Installed, detail);
    let proofs = try_join_all(granted.nodes.iter().map(|&node| seen_down(nemesis, node))).await?;
    account.note(Phase::Bitten, by_node(proofs));
    Ok(())
}

async fn seen_down(nemesis: &Nemesis, node: NodeId) -> anyhow::Result<(NodeId, Value)> {
    let state = nemesis.cluster.state(node).await?;
    killed(node, &state)?;
    match nemesis.watch.ask(node, RPC).await {
        Ok(_) => bail!("n{node} was killed and still answers"),
        Err(status) => Ok((node, json!({ "exit_code": state.exit_code, "rpc": status.message() }))),
    }
}

/// # Errors
/// The node runs, or ended otherwise than by the signal.
fn killed(node: NodeId, state: &ContainerState) -> anyhow::Result<()> {
    ensure!(!state.running, "n{node} was killed and its container still runs");
    let Some(code) = state.exit_code else { bail!("n{node} has never run, so it was not killed") };
    ensure!(
        !state.out_of_memory,
        "n{node} was to be killed and the kernel had killed it for lack of memory"
    );
    ensure!(
        code == SIGKILLED,
        "n{node} was to be killed and had exited by itself with code {code}; its log says why"
    );
    Ok(())
}

impl Kill {
    pub(super) async fn heal(
        self,
        nemesis: &Nemesis,
        account: &mut Account<'_>,
    ) -> anyhow::Result<Value> {
        account.note(Phase::HealRequested, Value::Null);
        let asked = Instant::now();
        {
            let _hand = nemesis.hand.lock().await;
            try_join_all(self.boots.keys().map(|&node| nemesis.cluster.start(node))).await?;
        }
        let answers = self.boots.iter().map(|(&node, &boot)| answers(nemesis, node, boot, asked));
        Ok(by_node(try_join_all(answers).await?))
    }
}

/// Waits until a node answers again: it was seen down, so whatever answers was started since. A
/// start that is not later than `boot`, the one that was killed, shows only that the node forgot
/// its data, which is for its trace to tell.
async fn answers(
    nemesis: &Nemesis,
    node: NodeId,
    boot: u64,
    asked: Instant,
) -> anyhow::Result<(NodeId, Value)> {
    loop {
        let error = match nemesis.watch.ask(node, RPC).await {
            Ok(seen) => {
                let took = asked.elapsed().as_millis();
                let proof = json!({ "boot": [boot, seen.boot], "answered_after_ms": took });
                return Ok((node, proof));
            }
            Err(status) => anyhow!("{}", status.message()),
        };
        bringup::running(&nemesis.cluster, node, 1).await.context("started again")?;
        if asked.elapsed() > ANSWER {
            return Err(error).with_context(|| {
                format!("n{node} was started again and did not answer within {ANSWER:?}")
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_node_that_the_signal_ended_was_killed() {
        let ended = ContainerState {
            running: false,
            paused: false,
            exit_code: Some(137),
            out_of_memory: false,
            started_at: None,
            finished_at: None,
        };
        assert!(killed(3, &ended).is_ok());
        let refused = |state: ContainerState| killed(3, &state).unwrap_err().to_string();
        let running = ContainerState { running: true, exit_code: None, ..ended.clone() };
        assert!(refused(running).contains("still runs"));
        let crashed = ContainerState { exit_code: Some(101), ..ended.clone() };
        assert!(refused(crashed).contains("exited by itself with code 101"));
        let starved = ContainerState { out_of_memory: true, ..ended.clone() };
        assert!(refused(starved).contains("lack of memory"));
        let unborn = ContainerState { exit_code: None, ..ended };
        assert!(refused(unborn).contains("never run"));
    }
}
