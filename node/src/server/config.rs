//! What a node is told at its start: flags and environment, read once, checked once.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Parser;

use super::limit_flags::LimitFlags;
use crate::{
    mutants::Mutants,
    raft::{NodeId, VOTERS_MAX},
    replica::{self, Limits},
};

/// One node of a Raft cluster that serves a subset of etcd's v3 gRPC API.
///
/// Every flag can also be given in the environment, as RAFT_ and the flag's name in capitals with
/// underscores (RAFT_DATA_DIR for --data-dir). The node ends with code 0 after SIGTERM or SIGINT,
/// 64 when it was started with wrong flags, and 3 when its surroundings fail: an address in use, a
/// disk that does not sync, a write-ahead log that is corrupt.
#[derive(Debug, Parser)]
#[command(name = "raft-node", version, about, long_about, max_term_width = 100)]
pub struct Flags {
    /// This node's number, from 1; it must be one of those in --initial-cluster.
    #[arg(long, env = "RAFT_ID", value_name = "N")]
    id: NodeId,

    /// All nodes of the cluster, this one included, with the addresses at which their peers reach
    /// them: 1=host:port,2=host:port,... From one to nine nodes; the same on every node.
    #[arg(long, env = "RAFT_INITIAL_CLUSTER", value_name = "ID=HOST:PORT,...")]
    initial_cluster: String,

    /// Directory of the write-ahead log. It is made when missing, and belongs to one node for
    /// ever: another node, or a second process, is refused.
    #[arg(long, env = "RAFT_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,

    /// A name for people, shown by `etcdctl member list` [default: n and the id].
    #[arg(long, env = "RAFT_NAME", value_name = "NAME")]
    name: Option<String>,

    /// Name shared by the cluster; nodes with different tokens, or with other members, refuse each
    /// other. Not a secret.
    #[arg(long, env = "RAFT_CLUSTER_TOKEN", value_name = "WORD", default_value = "raft-cluster")]
    cluster_token: String,

    /// Address on which the node takes connections from its peers [default: its own address in
    /// --initial-cluster].
    #[arg(long, env = "RAFT_LISTEN_PEER", value_name = "HOST:PORT")]
    listen_peer: Option<String>,

    /// Address at which peers reach this node; if given, it must say the same as
    /// --initial-cluster.
    #[arg(long, env = "RAFT_ADVERTISE_PEER", value_name = "HOST:PORT")]
    advertise_peer: Option<String>,

    /// Address on which the node serves clients.
    #[arg(
        long,
        env = "RAFT_LISTEN_CLIENT",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:2379"
    )]
    listen_client: String,

    /// Address at which clients reach this node, as `etcdctl member list` shows it [default: that
    /// of --listen-client; where it names no host, the host in --initial-cluster].
    #[arg(long, env = "RAFT_ADVERTISE_CLIENT", value_name = "HOST:PORT")]
    advertise_client: Option<String>,

    /// Shortest time without a leader's message after which a node stands for election; each wait
    /// is drawn anew from once to twice this time. Several times the round trip between nodes.
    #[arg(long, env = "RAFT_ELECTION_TIMEOUT", value_name = "TIME", default_value = "1000ms", value_parser = humantime::parse_duration)]
    election_timeout: Duration,

    /// How often an idle leader says that it is there; at most half the election timeout.
    #[arg(long, env = "RAFT_HEARTBEAT_INTERVAL", value_name = "TIME", default_value = "100ms", value_parser = humantime::parse_duration)]
    heartbeat_interval: Duration,

    #[command(flatten)]
    limits: LimitFlags,

    /// File to which the node appends a line of JSON for every step that Raft's safety depends on,
    /// before the step's effect leaves the node [default: no trace].
    #[arg(long, env = "RAFT_TRACE", value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Seed of the node's random choices, the election timeouts; one value may serve all nodes, as
    /// id and number of the start are mixed in [default: from the clock].
    #[arg(long, env = "RAFT_SEED", value_name = "N")]
    seed: Option<u64>,

    /// What is logged on stderr: error, warn, info, debug or trace.
    #[arg(long, env = "RAFT_LOG", value_name = "LEVEL", default_value = "info")]
    log: tracing::Level,

    /// A known bug that the node has; may be given several times. For tests of a test.
    #[cfg(feature = "mutants")]
    #[arg(long = "mutant", env = "RAFT_MUTANT", value_name = "NAME", value_delimiter = ',')]
    mutants: Vec<crate::mutants::Mutant>,
}

impl Flags {
    #[cfg(feature = "mutants")]
    fn mutants(&self) -> Mutants {
        self.mutants.iter().copied().collect()
    }

    #[cfg(not(feature = "mutants"))]
    fn mutants(&self) -> Mutants {
        Mutants::NONE
    }
}

/// What a node is, checked; fixed for its life.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// Its name, for people.
    pub name: String,
    /// Peer addresses (`host:port`) of all nodes, this one included.
    pub cluster: BTreeMap<NodeId, String>,
    /// Digest of the token and the ids: nodes of another cluster are refused.
    pub cluster_id: u64,
    /// Directory of the write-ahead log.
    pub data_dir: PathBuf,
    /// Where to listen for peers, `host:port`.
    pub listen_peer: String,
    /// Where to listen for clients, `host:port`.
    pub listen_client: String,
    /// Where clients reach this node, as a URL.
    pub client_url: String,
    /// Shortest election timeout.
    pub election_timeout: Duration,
    /// Interval of a leader's heartbeats.
    pub heartbeat_interval: Duration,
    /// File of the trace.
    pub trace: Option<PathBuf>,
    /// Seed of the random choices, before the id and the number of the start are mixed in.
    pub seed: u64,
    /// Limits on what is in flight.
    pub limits: Limits,
    /// The known bugs that the node has; none in normal builds.
    pub mutants: Mutants,
    /// What is logged.
    pub log: tracing::Level,
}

const NAME_BYTES_MAX: usize = 100;
const HEARTBEAT_MIN: Duration = Duration::from_millis(1);
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_secs(50);

impl Config {
    /// Checks the flags.
    ///
    /// # Errors
    ///
    /// A sentence that says which flag is wrong and what it must be.
    pub fn new(flags: Flags) -> Result<Self, String> {
        let cluster = parse_cluster(&flags.initial_cluster)?;
        let id = flags.id;
        let Some(own) = cluster.get(&id).cloned() else {
            return Err(format!(
                "--id {id} is not in --initial-cluster, which has {:?}; each node's id must be there",
                cluster.keys().collect::<Vec<_>>()
            ));
        };
        if let Some(advertised) = flags.advertise_peer.as_deref().map(address)
            && advertised.as_ref() != Ok(&own)
        {
            return Err(format!(
                "--advertise-peer {} differs from this node's address in --initial-cluster, {own}; \
                 peers use the latter",
                advertised?
            ));
        }
        let listen_peer = match &flags.listen_peer {
            Some(text) => address(text).map_err(|why| format!("--listen-peer: {why}"))?,
            None => own.clone(),
        };
        let listen_client =
            address(&flags.listen_client).map_err(|why| format!("--listen-client: {why}"))?;
        let advertise_client = match &flags.advertise_client {
            Some(text) => address(text).map_err(|why| format!("--advertise-client: {why}"))?,
            None => reachable(&listen_client, &own),
        };
        let name = flags.name.clone().unwrap_or_else(|| format!("n{id}"));
        if name.is_empty()
            || name.len() > NAME_BYTES_MAX
            || !name.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(format!(
                "--name {name:?} must be 1 to {NAME_BYTES_MAX} ASCII characters without spaces"
            ));
        }
        check_timings(&flags)?;
        let cluster_id = cluster_id(&flags.cluster_token, cluster.keys());
        let mutants = flags.mutants();
        Ok(Self {
            id,
            name,
            cluster,
            cluster_id,
            data_dir: flags.data_dir,
            listen_peer,
            listen_client,
            client_url: format!("http://{advertise_client}"),
            election_timeout: flags.election_timeout,
            heartbeat_interval: flags.heartbeat_interval,
            trace: flags.trace,
            seed: flags.seed.unwrap_or_else(seed_from_clock),
            limits: flags.limits.limits()?,
            mutants,
            log: flags.log,
        })
    }

    /// What the replica needs to know, at the node's `boot`-th start, with the Lamport clock that
    /// the starts before it reached.
    pub fn replica(&self, boot: u64, clock: u64) -> replica::Config {
        let mut seed = xxhash_rust::xxh3::Xxh3::with_seed(self.seed);
        seed.update(&self.id.to_le_bytes());
        seed.update(&boot.to_le_bytes());
        replica::Config {
            id: self.id,
            cluster_id: self.cluster_id,
            clock,
            voters: self.cluster.keys().copied().collect(),
            election_timeout: self.election_timeout,
            heartbeat_interval: self.heartbeat_interval,
            seed: seed.digest(),
            limits: self.limits,
            mutants: self.mutants,
        }
    }
}

fn check_timings(flags: &Flags) -> Result<(), String> {
    let (heartbeat, election) = (flags.heartbeat_interval, flags.election_timeout);
    let show = humantime::format_duration;
    if heartbeat < HEARTBEAT_MIN {
        return Err(format!("--heartbeat-interval must be at least {}", show(HEARTBEAT_MIN)));
    }
    if heartbeat * 2 > election {
        return Err(format!(
            "--heartbeat-interval {} must be at most half of --election-timeout {}: followers \
             would take a healthy leader for dead",
            show(heartbeat),
            show(election)
        ));
    }
    if election > ELECTION_TIMEOUT_MAX {
        return Err(format!("--election-timeout must be at most {}", show(ELECTION_TIMEOUT_MAX)));
    }
    Ok(())
}

fn parse_cluster(text: &str) -> Result<BTreeMap<NodeId, String>, String> {
    let mut cluster = BTreeMap::new();
    for part in text.split(',').map(str::trim) {
        let wrong = |why: &str| {
            format!("--initial-cluster: {part:?} {why}; it must be like 1=host:port,2=host:port")
        };
        let (id, peer) = part.split_once('=').ok_or_else(|| wrong("has no '='"))?;
        let id: NodeId = id.trim().parse().map_err(|_| wrong("does not start with a number"))?;
        if id == 0 {
            return Err(wrong("has id 0, but ids start at 1"));
        }
        let peer = address(peer).map_err(|why| wrong(&format!("has a bad address ({why})")))?;
        if let Some((other, _)) = cluster.iter().find(|(_, taken)| **taken == peer) {
            return Err(wrong(&format!("has the address of node {other}")));
        }
        if cluster.insert(id, peer).is_some() {
            return Err(wrong(&format!("names node {id} a second time")));
        }
    }
    if cluster.len() > VOTERS_MAX {
        return Err(format!(
            "--initial-cluster has {} nodes; at most {VOTERS_MAX} are possible",
            cluster.len()
        ));
    }
    Ok(cluster)
}

/// `host:port`, also when written as a URL.
fn address(text: &str) -> Result<String, String> {
    let bare = text.trim().trim_start_matches("http://").trim_end_matches('/');
    let (host, port) = bare.rsplit_once(':').ok_or_else(|| format!("{text:?} has no port"))?;
    if host.is_empty() {
        return Err(format!("{text:?} has no host; 0.0.0.0 stands for all of this machine's"));
    }
    if host.contains([' ', '/', '@']) || (host.contains(':') && !host.starts_with('[')) {
        return Err(format!("{host:?} is no host name or address"));
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(bare.to_owned()),
        _ => Err(format!("{port:?} is no port from 1 to 65535")),
    }
}

/// The address at which others reach what listens on `listen`, given that they reach this machine
/// at the host of `own`.
fn reachable(listen: &str, own: &str) -> String {
    let (host, port) = listen.rsplit_once(':').unwrap_or((listen, ""));
    match host {
        "0.0.0.0" | "[::]" => {
            format!("{}:{port}", own.rsplit_once(':').map_or(own, |(host, _)| host))
        }
        _ => listen.to_owned(),
    }
}

fn cluster_id<'a>(token: &str, ids: impl Iterator<Item = &'a NodeId>) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(token.as_bytes());
    for id in ids {
        hasher.update(&id.to_le_bytes());
    }
    hasher.digest()
}

fn seed_from_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &[&str]) -> Result<Config, String> {
        let base = ["raft-node", "--id", "2", "--data-dir", "d"];
        Config::new(Flags::try_parse_from(base.iter().chain(flags)).unwrap())
    }

    #[test]
    fn defaults_follow_from_the_cluster() {
        let cluster = ["--initial-cluster", "1=a:1,2=http://b:2/,3=c:3"];
        let config =
            config(&[&cluster[..], &["--listen-client", "0.0.0.0:2379"]].concat()).unwrap();
        assert_eq!(config.name, "n2");
        assert_eq!(config.listen_peer, "b:2");
        assert_eq!(config.client_url, "http://b:2379");
        assert_eq!(config.replica(1, 0).voters, [1, 2, 3]);
        assert_ne!(config.replica(1, 0).seed, config.replica(2, 0).seed);
        assert_eq!(config.limits, Limits::default());
        let small = ["--max-requests", "7", "--request-timeout", "1s"];
        let limits = self::config(&[&cluster[..], &small].concat()).unwrap().limits;
        assert_eq!((limits.requests, limits.request_timeout), (7, Duration::from_secs(1)));
    }

    #[test]
    fn wrong_values_are_refused_with_the_reason() {
        let three = "1=a:1,2=b:2,3=c:3";
        for (flags, reason) in [
            (&["--initial-cluster", "1=a:1,3=c:3"][..], "--id 2 is not in"),
            (&["--initial-cluster", "2=a:1,2=c:3"], "a second time"),
            (&["--initial-cluster", "1=a:1,2=a:1"], "has the address of node 1"),
            (&["--initial-cluster", "2"], "has no '='"),
            (&["--initial-cluster", ""], "has no '='"),
            (&["--initial-cluster", "0=a:1,2=b:2"], "ids start at 1"),
            (&["--initial-cluster", "2=a"], "has no port"),
            (&["--initial-cluster", "2=a:0"], "is no port"),
            (&["--initial-cluster", "2=a:99999"], "is no port"),
            (&["--initial-cluster", "2=:80"], "has no host"),
            (
                &[
                    "--initial-cluster",
                    "1=a:1,2=a:2,3=a:3,4=a:4,5=a:5,6=a:6,7=a:7,8=a:8,9=a:9,10=a:10",
                ],
                "at most 9",
            ),
            (&["--initial-cluster", three, "--heartbeat-interval", "1s"], "at most half"),
            (&["--initial-cluster", three, "--heartbeat-interval", "0s"], "at least"),
            (&["--initial-cluster", three, "--election-timeout", "2m"], "at most 50s"),
            (&["--initial-cluster", three, "--advertise-peer", "x:1"], "differs"),
            (&["--initial-cluster", three, "--listen-client", "x"], "--listen-client"),
            (&["--initial-cluster", three, "--request-timeout", "0s"], "--request-timeout"),
            (&["--initial-cluster", three, "--max-requests", "0"], "--max-requests"),
            (&["--initial-cluster", three, "--append-window", "9999999999"], "at most"),
            (&["--initial-cluster", three, "--name", "n\u{e9}"], "--name"),
            (&["--initial-cluster", three, "--name", ""], "--name"),
        ] {
            let refusal = config(flags).unwrap_err();
            assert!(refusal.contains(reason), "{flags:?}: {refusal}");
        }
    }

    #[test]
    fn clusters_differ_by_token_and_by_ids() {
        let of = |token, ids: &[u64]| cluster_id(token, ids.iter());
        assert_eq!(of("a", &[1, 2]), of("a", &[1, 2]));
        assert_ne!(of("a", &[1, 2]), of("b", &[1, 2]));
        assert_ne!(of("a", &[1, 2]), of("a", &[1, 3]));
    }
}
