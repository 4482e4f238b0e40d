//! What a dialling peer says of itself, as metadata of its stream, before any packet counts.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use tonic::{
    Status,
    metadata::{AsciiMetadataValue, MetadataMap, errors::InvalidMetadataValue},
};

use super::Config;
use crate::raft::NodeId;

/// The version of the peers' protocol, [`VERSION`].
const PROTOCOL: &str = "raft-peer-protocol";
/// 2: entries have a kind.
const VERSION: u32 = 2;
const CLUSTER: &str = "raft-cluster-id";
const FROM: &str = "raft-from";
const TO: &str = "raft-to";
const NAME: &str = "raft-name";
const CLIENT_URL: &str = "raft-client-url";

/// A dialling peer, checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// Who dials.
    pub(super) from: NodeId,
    /// Its name.
    pub(super) name: String,
    /// Where clients reach it.
    pub(super) client_url: String,
}

/// Writes this node's hello to `peer`.
pub(super) fn write(
    config: &Config,
    peer: NodeId,
    metadata: &mut MetadataMap,
) -> Result<(), InvalidMetadataValue> {
    let values: BTreeMap<&'static str, String> = [
        (PROTOCOL, VERSION.to_string()),
        (CLUSTER, format!("{:016x}", config.cluster_id)),
        (FROM, config.id.to_string()),
        (TO, peer.to_string()),
        (NAME, config.name.clone()),
        (CLIENT_URL, config.client_url.clone()),
    ]
    .into();
    for (key, value) in values {
        metadata.insert(key, AsciiMetadataValue::try_from(value)?);
    }
    Ok(())
}

/// Reads and checks a peer's hello.
///
/// # Errors
///
/// `FAILED_PRECONDITION`, with a sentence that both sides log.
pub(super) fn read(config: &Config, metadata: &MetadataMap) -> Result<Hello, Status> {
    let version: u32 = value(metadata, PROTOCOL)?;
    if version != VERSION {
        return Err(refusal(format!(
            "the peer speaks version {version} of the peers' protocol, node {} version {VERSION}: \
             run the same version of raft-node on all nodes",
            config.id
        )));
    }
    let cluster: String = value(metadata, CLUSTER)?;
    let own = format!("{:016x}", config.cluster_id);
    let from: NodeId = value(metadata, FROM)?;
    let to: NodeId = value(metadata, TO)?;
    if cluster != own {
        return Err(refusal(format!(
            "node {from} is of cluster {cluster}, node {} of {own}: --cluster-token or the ids in \
             --initial-cluster differ",
            config.id
        )));
    }
    if to != config.id {
        return Err(refusal(format!(
            "node {from} dialled node {to} but reached node {}: an address in its \
             --initial-cluster is wrong",
            config.id
        )));
    }
    if from == config.id || !config.cluster.contains_key(&from) {
        return Err(refusal(format!(
            "node {from} is no peer of node {}; two nodes may have one id",
            config.id
        )));
    }
    Ok(Hello { from, name: value(metadata, NAME)?, client_url: value(metadata, CLIENT_URL)? })
}

fn value<T: FromStr<Err: Display>>(metadata: &MetadataMap, key: &str) -> Result<T, Status> {
    let value = metadata.get(key).ok_or_else(|| refusal(format!("the peer sent no {key}")))?;
    let text = value.to_str().map_err(|why| refusal(format!("the peer's {key}: {why}")))?;
    text.parse().map_err(|why| refusal(format!("the peer's {key} {text:?}: {why}")))
}

fn refusal(why: String) -> Status {
    Status::failed_precondition(why)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::server::Flags;

    fn config(id: &str, cluster: &str, token: &str) -> Config {
        let flags = ["raft-node", "--data-dir", "d", "--id", id, "--initial-cluster", cluster];
        let token = ["--cluster-token", token, "--advertise-client", "c:9"];
        Config::new(Flags::try_parse_from(flags.iter().chain(&token)).unwrap()).unwrap()
    }

    fn hello(from: &Config, to: NodeId) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        write(from, to, &mut metadata).unwrap();
        metadata
    }

    #[test]
    fn a_peer_is_known_by_what_it_says() {
        let cluster = "1=a:1,2=b:2,3=c:3";
        let (one, two) = (config("1", cluster, "t"), config("2", cluster, "t"));
        let expected = Hello { from: 1, name: "n1".into(), client_url: "http://c:9".into() };
        assert_eq!(read(&two, &hello(&one, 2)).unwrap(), expected);

        let mut newer = hello(&one, 2);
        newer.insert(PROTOCOL, "3".parse().unwrap());
        for (metadata, reason) in [
            (hello(&config("1", cluster, "other"), 2), "is of cluster"),
            (hello(&config("1", "1=a:1,2=b:2", "t"), 2), "is of cluster"),
            (hello(&one, 3), "reached node 2"),
            (hello(&two, 2), "two nodes may have one id"),
            (MetadataMap::new(), "sent no raft-peer-protocol"),
            (newer, "version 3 of the peers' protocol, node 2 version 2"),
        ] {
            let status = read(&two, &metadata).unwrap_err();
            assert_eq!(status.code(), tonic::Code::FailedPrecondition);
            assert!(status.message().contains(reason), "{status}");
        }
        let mut odd = hello(&one, 2);
        odd.insert(FROM, "one".parse().unwrap());
        assert!(read(&two, &odd).unwrap_err().message().contains("raft-from"));
    }
}
