//! A node's container: what runs in it, and what it may do.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use bollard::{
    Docker, body_full,
    models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType},
    query_parameters::{CreateContainerOptionsBuilder, UploadToContainerOptionsBuilder},
};

use super::{Options, label, network::Subnet};
use crate::{
    images::{self, Images},
    nemesis::NodeId,
    plan::{Limits, Storage},
    system::{Filled, template::Facts},
};

/// A node that makes more processes and threads than this is stopped from it, not the machine.
const PIDS_MAX: i64 = 8192;
/// Where the volume is mounted.
const VOLUME: &str = "/data";
/// Where memory is mounted, for nodes that are to forget.
const MEMORY: &str = "/memory";
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
    let system = &options.system;
    let description = system.description();
    let addresses: Vec<Ipv4Addr> =
        (1..=options.nodes as NodeId).map(|peer| subnet.node(peer)).collect();
    let (data, memory) = match options.storage {
        Storage::Durable => (VOLUME, None),
        // The mode would be lost at the second start; the owner is not.
        Storage::Memory => {
            let owner = format!("uid={0},gid={0},mode=0700", images::USER);
            (MEMORY, Some([(MEMORY.to_owned(), owner)].into()))
        }
    };
    let facts = Facts {
        run: &options.run_id,
        seed: options.seed,
        addresses: &addresses,
        node,
        client_address,
        port: description.node.port,
        data,
        election_timeout: options.election_timeout,
        heartbeat_interval: options.heartbeat_interval,
    };
    let Filled { mut command, environment, files } = system.program(&facts)?;
    let bugs = options.mutants.get(&node).map_or(&[][..], Vec::as_slice);
    if system.is_raft_node() {
        let limits = limits(options.limits);
        let flags = limits.into_iter().chain(bugs.iter().map(|bug| ("mutant", bug.clone())));
        command.extend(flags.map(|(name, value)| format!("--{name}={value}")));
    }
    let image = match &images.mutant {
        _ if bugs.is_empty() => &images.node,
        Some(mutant) => mutant,
        None => bail!("there is no image for the mutant n{node}"),
    };
    let name = options.node(node);
    let labels = label::labels(&options.run_id);
    let mut own = labels.clone();
    own.insert(label::NODE.into(), format!("n{node}"));
    if let Some(directory) = &options.directory {
        own.insert(label::DIRECTORY.into(), directory.display().to_string());
    }
    if let Some(trace) = &description.node.trace {
        own.insert(label::TRACE.into(), trace.clone());
    }
    let volume = bollard::models::VolumeCreateRequest {
        name: Some(name.clone()),
        labels: Some(labels),
        ..Default::default()
    };
    docker.create_volume(volume).await.with_context(|| format!("creating a volume for n{node}"))?;
    let body = ContainerCreateBody {
        image: Some(image.clone()),
        // Without a command, what the image has.
        entrypoint: command.first().map(|program| vec![program.clone()]),
        cmd: (!command.is_empty()).then(|| command.split_off(1)),
        env: Some(environment),
        user: description.node.user.clone(),
        labels: Some(own),
        host_config: Some(HostConfig {
            network_mode: Some(format!("container:{}", options.pod(node))),
            cap_drop: Some(match system.is_raft_node() {
                true => vec!["ALL".into()],
                // What else other programs need is not known. Forged packets would pass a cut.
                false => vec!["MKNOD".into(), "NET_RAW".into()],
            }),
            pids_limit: Some(PIDS_MAX),
            security_opt: Some(vec!["no-new-privileges".into()]),
            readonly_rootfs: Some(system.is_raft_node()),
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
    if !files.is_empty() {
        let archive = archive(&files).context("packing the node's files")?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        docker
            .upload_to_container(&name, Some(options), body_full(archive.into()))
            .await
            .with_context(|| format!("writing the files of n{node}"))?;
    }
    Ok(())
}

/// Files that everybody may read and execute, in an archive.
fn archive(files: &[(PathBuf, String)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        let relative = path.strip_prefix("/").unwrap_or(path);
        archive.append_data(&mut header, relative, text.as_bytes())?;
    }
    archive.into_inner()
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
