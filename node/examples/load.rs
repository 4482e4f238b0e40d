//! Puts as fast as a number of clients can, for a rough figure of a running cluster:
//!
//! ```text
//! cargo run --release -p node --example load -- 127.0.0.1:2379,127.0.0.1:2479 64 10
//! ```
//!
//! The arguments are the nodes, the number of clients (spread over the nodes, each with one request
//! in flight) and the seconds to run.

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use proto::etcd::{PutRequest, kv_client::KvClient};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let nodes = arguments.next().context("first argument: the nodes, host:port,host:port")?;
    let nodes: Vec<_> = nodes.split(',').collect();
    let clients: usize = arguments.next().context("second argument: clients")?.parse()?;
    let seconds: u64 = arguments.next().context("third argument: seconds")?.parse()?;

    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let endpoint = Endpoint::from_shared(format!("http://{}", nodes[client % nodes.len()]))?;
        tasks.spawn(put_until(client, endpoint, end));
    }
    let (mut latencies, mut failures) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (mut own, failed) = done??;
        latencies.append(&mut own);
        failures += failed;
    }
    latencies.sort_unstable();
    let quantile = |q: f64| {
        let at = (latencies.len() as f64 * q) as usize;
        latencies.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    println!(
        "{:.0} puts/s, latency p50 {:.1} ms, p99 {:.1} ms, {failures} failures",
        latencies.len() as f64 / start.elapsed().as_secs_f64(),
        quantile(0.50),
        quantile(0.99),
    );
    Ok(())
}

/// The latencies of one client's puts, and how many failed.
async fn put_until(
    client: usize,
    endpoint: Endpoint,
    end: Instant,
) -> Result<(Vec<Duration>, u64)> {
    let mut kv = KvClient::new(endpoint.connect().await?);
    let (mut latencies, mut failures) = (Vec::new(), 0);
    let mut number = 0;
    while Instant::now() < end {
        let asked = Instant::now();
        number += 1;
        let request = PutRequest {
            key: format!("client {client} key {}", number % 100).into(),
            value: number.to_string().into(),
            ..Default::default()
        };
        match kv.put(request).await {
            Ok(_) => latencies.push(asked.elapsed()),
            Err(_) => failures += 1,
        }
    }
    Ok((latencies, failures))
}
