//! After the last heal: does every node serve again, do all hold the same, what do they hold?

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use checker::history::{Function, Kind, Value};
use futures::future::{join_all, try_join_all};

use super::{
    clients::{Client, Load},
    watch::Watch,
};
use crate::{nemesis::NodeId, workload::Operation};

const RPC: Duration = Duration::from_secs(1);

fn read(key: &str) -> Operation {
    Operation { f: Function::Read, key: key.to_owned(), value: Value::Nil }
}

/// Reads through each node until each has answered once. Returns the nodes that did not within
/// `patience`.
pub(super) async fn recovery(
    load: &Arc<Load>,
    first_client: u64,
    key: &str,
    patience: Duration,
) -> Vec<NodeId> {
    let start = Instant::now();
    let operation = read(key);
    let attempts = load.nodes.iter().enumerate().map(|(at, (node, _))| {
        let mut client = Client::loyal(load, first_client + at as u64, at);
        let operation = &operation;
        async move {
            while start.elapsed() < patience {
                if client.perform(operation).await.kind == Kind::Ok {
                    return None;
                }
            }
            Some(*node)
        }
    });
    join_all(attempts).await.into_iter().flatten().collect()
}

/// Reads every key, through the nodes in turn; gives up none within `patience`. Returns the keys that
/// could not be read.
pub(super) async fn final_reads(
    load: &Arc<Load>,
    client: u64,
    keys: &[String],
    patience: Duration,
) -> Vec<String> {
    let start = Instant::now();
    let mut client = Client::new(load, client);
    let mut unread = Vec::new();
    for key in keys {
        let operation = read(key);
        let mut read = false;
        let mut attempts = 0;
        while !read && (attempts < 2 * load.nodes.len() || start.elapsed() < patience) {
            read = client.perform(&operation).await.kind == Kind::Ok;
            attempts += 1;
        }
        if !read {
            unread.push(key.clone());
        }
    }
    unread
}

/// Each node's revision and hash, once all have applied the same index.
///
/// # Errors
/// They did not within `patience`; a sentence says who is behind, or does not answer.
pub(super) async fn hashes(
    watch: &Watch,
    patience: Duration,
) -> Result<Vec<(String, i64, u32)>, String> {
    let start = Instant::now();
    loop {
        let error = match hashes_now(watch).await {
            Ok(hashes) => return Ok(hashes),
            Err(error) => error,
        };
        if start.elapsed() > patience {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn hashes_now(watch: &Watch) -> Result<Vec<(String, i64, u32)>, String> {
    let before = applied(watch).await?;
    let hashes = try_join_all(watch.ids().into_iter().map(|id| async move {
        let node = watch.node(id).ok_or_else(|| format!("there is no n{id}"))?;
        let (revision, hash) = node
            .hash(RPC)
            .await
            .map_err(|status| format!("n{id} gave no hash of its store: {}", status.message()))?;
        Ok::<_, String>((format!("n{id}"), revision, hash))
    }))
    .await?;
    // Hashes count only if nothing was applied while they were taken.
    if applied(watch).await? == before {
        Ok(hashes)
    } else {
        Err("the nodes still apply entries, though no client writes".to_owned())
    }
}

/// The index that all nodes have applied.
async fn applied(watch: &Watch) -> Result<u64, String> {
    let seen = try_join_all(watch.ids().into_iter().map(|id| async move {
        let seen = watch
            .ask(id, RPC)
            .await
            .map_err(|status| format!("n{id} does not answer: {}", status.message()))?;
        Ok::<_, String>((id, seen.applied_index))
    }))
    .await?;
    let most = seen.iter().map(|(_, applied)| *applied).max().unwrap_or(0);
    match seen.iter().find(|(_, applied)| *applied != most) {
        Some((id, applied)) => {
            Err(format!("n{id} has applied index {applied}, and others index {most}"))
        }
        None => Ok(most),
    }
}
