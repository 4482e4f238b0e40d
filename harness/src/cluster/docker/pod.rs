//! Pods: the containers that own the nodes' network namespaces.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Error, Result, anyhow};
use bollard::{
    Docker,
    models::{
        ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkingConfig,
        PortBinding,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, InspectContainerOptions, StartContainerOptions,
    },
};

use super::{
    label, lifeline,
    rules::{self, Flavour},
    shell::{Prober, Shell},
};

/// A running pod with its shells open. Clones share them.
#[derive(Clone)]
pub(super) struct Pod {
    /// Its address in the cluster's network, which is the node's.
    pub(super) address: Ipv4Addr,
    /// Where clients on this machine reach the node.
    pub(super) client_address: SocketAddr,
    flavour: Flavour,
    shell: Arc<Shell>,
    prober: Arc<Prober>,
}

impl Pod {
    /// Opens the shells and prepares the packet filter.
    pub(super) async fn open(
        docker: &Docker,
        name: &str,
        address: Ipv4Addr,
        client_address: SocketAddr,
    ) -> Result<Self> {
        let (shell, prober) =
            tokio::try_join!(Shell::open(docker, name), Prober::open(docker, name))?;
        let flavour = shell.run(rules::PREPARE).await.context(
            "iptables does not work in a pod, so no partition can be made. The kernel needs \
             nf_tables (with xt_comment and nft_compat) or ip_tables; see `harness doctor`",
        )?;
        let flavour = Flavour::parse(&flavour)
            .with_context(|| format!("preparing {name} printed {flavour:?}"))?;
        Ok(Self {
            address,
            client_address,
            flavour,
            shell: Arc::new(shell),
            prober: Arc::new(prober),
        })
    }

    /// Drops what comes from `sources`; gives the time at which that was confirmed.
    pub(super) async fn cut(self, cut: u64, sources: Vec<Ipv4Addr>) -> Result<Instant> {
        self.shell.run(&self.flavour.install(cut, &sources)).await?;
        Ok(Instant::now())
    }

    /// Undoes [`Pod::cut`]; nothing if that is undone already, by an attempt whose answer was lost.
    pub(super) async fn heal(self, cut: u64, sources: Vec<Ipv4Addr>) -> Result<()> {
        match self.shell.run(&self.flavour.remove(cut, &sources)).await {
            Err(error) if lifeline::is_of_the_way(&error) => Err(error),
            Err(error) => match rules::counters(0, cut, &self.table().await?).is_empty() {
                true => Ok(()),
                false => Err(error),
            },
            Ok(_) => Ok(()),
        }
    }

    /// The filter table with its counters.
    pub(super) async fn table(&self) -> Result<String> {
        self.shell.run(&self.flavour.save()).await
    }

    pub(super) async fn ping(&self, address: Ipv4Addr) -> Result<bool> {
        self.prober.ping(address).await
    }

    /// What the pod was told, and what it answered.
    pub(super) fn transcript(&self) -> String {
        self.shell.transcript()
    }
}

/// What a pod may do: break its own network, nothing else.
pub(super) fn confinement() -> HostConfig {
    HostConfig {
        cap_drop: Some(vec!["ALL".into()]),
        cap_add: Some(vec!["NET_ADMIN".into(), "NET_RAW".into()]),
        security_opt: Some(vec!["no-new-privileges".into()]),
        readonly_rootfs: Some(true),
        // iptables-legacy keeps its lock there, the shell its here-documents.
        tmpfs: Some(["/run", "/tmp"].map(|path| (path.to_owned(), "size=1m".to_owned())).into()),
        ..Default::default()
    }
}

/// What a pod does: nothing, for 68 years.
pub(super) fn sleeper() -> ContainerCreateBody {
    ContainerCreateBody {
        entrypoint: Some(vec!["busybox".into(), "sleep".into(), "2147483647".into()]),
        cmd: Some(Vec::new()),
        ..Default::default()
    }
}

/// The port that a pod publishes on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    /// Inside: the one that the node serves clients on.
    pub(super) inside: u16,
    /// Outside; none: a free one.
    pub(super) outside: Option<u16>,
}

/// Creates a pod that publishes the node's client port.
pub(super) async fn create(
    docker: &Docker,
    image: &str,
    name: &str,
    network: &str,
    address: Ipv4Addr,
    port: Published,
    run: &str,
) -> Result<()> {
    let exposed = format!("{}/tcp", port.inside);
    let binding = PortBinding {
        host_ip: Some(Ipv4Addr::LOCALHOST.to_string()),
        // The daemon takes nothing for "choose one".
        host_port: Some(port.outside.map(|port| port.to_string()).unwrap_or_default()),
    };
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(address.to_string()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        labels: Some(label::labels(run)),
        exposed_ports: Some(vec![exposed.clone()]),
        host_config: Some(HostConfig {
            network_mode: Some(network.to_owned()),
            port_bindings: Some([(exposed, Some(vec![binding]))].into()),
            ..confinement()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some([(network.to_owned(), endpoint)].into()),
        }),
        ..sleeper()
    };
    docker
        .create_container(Some(CreateContainerOptionsBuilder::new().name(name).build()), body)
        .await
        .with_context(|| format!("creating the pod {name}"))?;
    Ok(())
}

/// Starts a pod; gives the address at which clients reach its node.
pub(super) async fn start(docker: &Docker, name: &str, port: Published) -> Result<SocketAddr> {
    if let Err(error) = docker.start_container(name, None::<StartContainerOptions>).await {
        let text = error.to_string();
        return Err(match port.outside {
            Some(port) if text.contains("already allocated") || text.contains("already in use") => {
                port_taken(port, &text)
            }
            _ => Error::new(error).context(format!("starting the pod {name}")),
        });
    }
    let inspected = docker
        .inspect_container(name, None::<InspectContainerOptions>)
        .await
        .with_context(|| format!("asking for the port of {name}"))?;
    let port = inspected
        .network_settings
        .and_then(|settings| settings.ports)
        .and_then(|mut ports| ports.remove(&format!("{}/tcp", port.inside)).flatten())
        .into_iter()
        .flatten()
        .find_map(|binding| binding.host_port?.parse::<u16>().ok())
        .with_context(|| format!("the Docker daemon published no port for {name}"))?;
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

/// The sentence for a port that someone else has.
pub(super) fn port_taken(port: u16, reason: &str) -> Error {
    anyhow!(
        "port {port} of 127.0.0.1 cannot be used for a node's clients ({reason}). Choose another \
         base port, or none to get free ones; `ss -ltnp 'sport = :{port}'` shows who has it"
    )
}
