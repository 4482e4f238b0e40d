//! A node's container: what runs in it, and what it may do.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bollard::{
    Docker,
    models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType},
    query_parameters::CreateContainerOptionsBuilder,
};

use super::{Options, label, network::Subnet};
use crate::{
    images::{self, Images},
    nemesis::NodeId,
    plan::{Limits, Storage},
};

/// Port of the etcd API inside a node's network namespace.
pub(super) const CLIENT_PORT: u16 = 2379;
/// Port for peers.
pub(super) const PEER_PORT: u16 = 2380;
/// Where the volume is mounted.
const VOLUME: &str = "/data";
/// Where memory is mounted, for nodes that are to forget.
const MEMORY: &str = "/memory";
/// The trace outlives a kill.
pub(super) const TRACE: &str = "/data/trace.jsonl";

/// The flags of the limits that are not as usual.
fn limits(limits: Limits) -> Vec<(&'static str, String)> {
    let usual = Limits::default();
    let timeout = |time| humantime::format_duration(time).to_string();
    let all = [
        ("max-append-bytes", limits.append_bytes.to_string(), usual.append_bytes.to_string()),
        ("append-window", limits.append_window.to_string(), usual.append_window.to_string()),
        ("max-request-bytes", limits.request_bytes.to_string(), usual.request_bytes.to_string()),
        ("max-requests", limits.requests.to_string(), usual.requests.to_string()),
        (
            "max-uncommitted-bytes",
            limits.uncommitted_bytes.to_string(),
            usual.uncommitted_bytes.to_string(),
        ),
        ("request-timeout", timeout(limits.request_timeout), timeout(usual.request_timeout)),
    ];
    let unusual = all.into_iter().filter(|(_, value, usual)| value != usual);
    unusual.map(|(flag, value, _)| (flag, value)).collect()
}

/// Creates a node's volume and container.
pub(super) async fn create(
    docker: &Docker,
    images: &Images,
    options: &Options,
    subnet: Subnet,
    node: NodeId,
    client_address: SocketAddr,
) -> Result<()> {
    let members: Vec<String> = (1..=options.nodes as NodeId)
        .map(|peer| format!("{peer}={}:{PEER_PORT}", subnet.node(peer)))
        .collect();
    let (data, memory) = match options.storage {
        Storage::Durable => (VOLUME, None),
        // The mode would be lost at the second start; the owner is not.
        Storage::Memory => {
            let owner = format!("uid={0},gid={0},mode=0700", images::USER);
            (MEMORY, Some([(MEMORY.to_owned(), owner)].into()))
        }
    };
    let mut flags = vec![
        ("id", node.to_string()),
        ("initial-cluster", members.join(",")),
        ("cluster-token", options.run_id.clone()),
        ("data-dir", format!("{data}/raft")),
        ("trace", TRACE.to_owned()),
        ("listen-peer", format!("0.0.0.0:{PEER_PORT}")),
        ("listen-client", format!("0.0.0.0:{CLIENT_PORT}")),
        ("advertise-client", client_address.to_string()),
        ("election-timeout", humantime::format_duration(options.election_timeout).to_string()),
        ("heartbeat-interval", humantime::format_duration(options.heartbeat_interval).to_string()),
        ("seed", options.seed.to_string()),
    ];
    flags.extend(limits(options.limits));
    let bugs = options.mutants.get(&node).map_or(&[][..], Vec::as_slice);
    let image = match &images.mutant {
        _ if bugs.is_empty() => &images.node,
        Some(mutant) => mutant,
        None => bail!("there is no image for the mutant n{node}"),
    };
    flags.extend(bugs.iter().map(|bug| ("mutant", bug.clone())));
    let name = options.node(node);
    let labels = label::labels(&options.run_id);
    let mut own = labels.clone();
    own.insert(label::NODE.into(), format!("n{node}"));
    if let Some(directory) = &options.directory {
        own.insert(label::DIRECTORY.into(), directory.display().to_string());
    }
    let volume = bollard::models::VolumeCreateRequest {
        name: Some(name.clone()),
        labels: Some(labels),
        ..Default::default()
    };
    docker.create_volume(volume).await.with_context(|| format!("creating a volume for n{node}"))?;
    let body = ContainerCreateBody {
        image: Some(image.clone()),
        cmd: Some(flags.iter().map(|(name, value)| format!("--{name}={value}")).collect()),
        labels: Some(own),
        host_config: Some(HostConfig {
            network_mode: Some(format!("container:{}", options.pod(node))),
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(vec!["no-new-privileges".into()]),
            readonly_rootfs: Some(true),
            mounts: Some(vec![Mount {
                typ: Some(MountType::VOLUME),
                source: Some(name.clone()),
                target: Some(VOLUME.into()),
                ..Default::default()
            }]),
            tmpfs: memory,
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".into()),
                config: Some([("max-size".to_owned(), "256m".to_owned())].into()),
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    docker
        .create_container(Some(CreateContainerOptionsBuilder::new().name(&name).build()), body)
        .await
        .with_context(|| format!("creating the container of n{node}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_unusual_limits_are_flags() {
        assert!(limits(Limits::default()).is_empty());
        let few = Limits {
            requests: 3,
            request_timeout: Duration::from_millis(1500),
            ..Limits::default()
        };
        let flags = limits(few);
        let expected = [("max-requests", "3"), ("request-timeout", "1s 500ms")];
        assert!(flags.iter().map(|(flag, value)| (*flag, value.as_str())).eq(expected));
    }
}
