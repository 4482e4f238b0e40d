//! The texts of a description that differ from node to node, in the language of Jinja.
//!
//! | name | what it is |
//! |---|---|
//! | `id`, `node` | the node's number, from 1, and its name, `n1` |
//! | `address` | its address in the cluster's network |
//! | `client_address` | address and port at which clients reach it |
//! | `peers` | all nodes, each with `id`, `node` and `address` |
//! | `port` | the port that clients connect to |
//! | `data` | the directory that outlives the process |
//! | `run` | the run's name, the same on all nodes and no other run's |
//! | `seed` | the run's seed |
//! | `election_timeout_ms`, `heartbeat_interval_ms` | the plan's timings, in milliseconds |
//! | `architecture` | of the machine, as Go names it: `amd64`, `arm64` |
//!
//! Any other name is refused when the description is read, before anything is started.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, anyhow};
use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

use crate::nemesis::NodeId;

/// What templates know of a cluster and one of its nodes.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The run's name.
    pub run: &'a str,
    /// The run's seed.
    pub seed: u64,
    /// The addresses of all nodes, by their number from 1 on.
    pub addresses: &'a [Ipv4Addr],
    /// The node that the text is for.
    pub node: NodeId,
    /// Where clients reach it.
    pub client_address: SocketAddr,
    /// The port that clients connect to.
    pub port: u16,
    /// The directory that outlives the process.
    pub data: &'a str,
    /// Shortest election timeout.
    pub election_timeout: Duration,
    /// Time between a leader's heartbeats.
    pub heartbeat_interval: Duration,
}

#[derive(Serialize)]
struct Peer {
    id: u64,
    node: String,
    address: IpAddr,
}

#[derive(Serialize)]
struct Names<'a> {
    #[serde(flatten)]
    own: &'a Peer,
    peers: &'a [Peer],
    client_address: SocketAddr,
    port: u16,
    data: &'a str,
    run: &'a str,
    seed: u64,
    election_timeout_ms: u128,
    heartbeat_interval_ms: u128,
    architecture: &'static str,
}

impl Facts<'_> {
    /// A text for the node.
    ///
    /// # Errors
    /// The template is malformed, or has a name that means nothing; says which.
    pub fn fill(&self, template: &str) -> anyhow::Result<String> {
        let peer = |(&address, id): (&Ipv4Addr, u64)| {
            let node = format!("n{id}");
            Peer { id, node, address: address.into() }
        };
        let peers: Vec<Peer> = self.addresses.iter().zip(1..).map(peer).collect();
        let own = peers.iter().find(|peer| peer.id == self.node);
        let own = own.ok_or_else(|| anyhow!("there is no n{}", self.node))?;
        let names = Names {
            own,
            peers: &peers,
            client_address: self.client_address,
            port: self.port,
            data: self.data,
            run: self.run,
            seed: self.seed,
            election_timeout_ms: self.election_timeout.as_millis(),
            heartbeat_interval_ms: self.heartbeat_interval.as_millis(),
            architecture: architecture(),
        };
        let mut environment = Environment::empty();
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.context("the syntax of templates")?);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.render_str(template, Serde(names)).map_err(|error| {
            let unknown = error.kind() == minijinja::ErrorKind::UndefinedError;
            match error.range().filter(|_| unknown).and_then(|range| template.get(range)) {
                Some(name) => anyhow!("`{name}` names nothing"),
                None => anyhow!("{}", error.detail().unwrap_or("the template is malformed")),
            }
        })
    }
}

/// What machines like this one are called in Go.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Addresses of three nodes.
pub(super) const ADDRESSES: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3), Ipv4Addr::new(10, 0, 0, 4)];

/// The second of these nodes, to try a template before there is a cluster.
pub(super) fn sample(port: u16, addresses: &[Ipv4Addr]) -> Facts<'_> {
    Facts {
        run: "r",
        seed: 7,
        addresses,
        node: 2,
        client_address: (Ipv4Addr::LOCALHOST, 4001).into(),
        port,
        data: "/data",
        election_timeout: Duration::from_millis(500),
        heartbeat_interval: Duration::from_millis(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_tells_of_the_node_and_of_its_peers() {
        let list = "{{ node }} at {{ address }}: {% for peer in peers %}{{ peer.node }}={{ \
                    peer.address }}{% if not loop.last %},{% endif %}{% endfor %}\n";
        let filled = sample(2379, &ADDRESSES).fill(list).unwrap();
        assert_eq!(filled, "n2 at 10.0.0.3: n1=10.0.0.2,n2=10.0.0.3,n3=10.0.0.4\n");
        let shell = "${HOME} {x} {{ id }} {{ election_timeout_ms }}";
        assert_eq!(sample(2379, &ADDRESSES).fill(shell).unwrap(), "${HOME} {x} 2 500");
    }

    #[test]
    fn a_name_that_means_nothing_is_named() {
        let refused =
            |template: &str| sample(2379, &ADDRESSES).fill(template).unwrap_err().to_string();
        assert_eq!(refused("--name={{ nodename }}"), "`nodename` names nothing");
        assert!(refused("{{ peers[7].node }}").contains("names nothing"));
        assert!(!refused("{{ id").is_empty());
    }
}
