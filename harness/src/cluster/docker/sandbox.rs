//! A pod alone, without a network, to try things in.

use anyhow::{Context, Result};
use bollard::{
    Docker,
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions},
};

use super::{guard::Guard, label, pod, shell::Shell};

/// A pod whose only device is `lo`. Removed when destroyed or dropped.
pub(crate) struct Sandbox {
    docker: Docker,
    name: String,
    shell: Shell,
    guard: Guard,
}

impl Sandbox {
    pub(crate) async fn create(docker: &Docker, image: &str, purpose: &str) -> Result<Self> {
        let run = format!("{purpose}-{}", std::process::id());
        let name = format!("raft-{run}");
        let guard = Guard::new(&run);
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            labels: Some(label::labels(&run)),
            host_config: Some(HostConfig {
                network_mode: Some("none".into()),
                ..pod::confinement()
            }),
            ..pod::sleeper()
        };
        docker
            .create_container(Some(CreateContainerOptionsBuilder::new().name(&name).build()), body)
            .await
            .context("creating a pod")?;
        docker
            .start_container(&name, None::<StartContainerOptions>)
            .await
            .context("starting a pod")?;
        let shell = Shell::open(docker, &name).await?;
        Ok(Self { docker: docker.clone(), name, shell, guard })
    }

    /// Runs a script in it.
    pub(crate) async fn run(&self, script: &str) -> Result<String> {
        self.shell.run(script).await
    }

    pub(crate) async fn freeze_and_thaw(&self) -> Result<()> {
        self.docker.pause_container(&self.name).await.context("pausing a container")?;
        self.docker.unpause_container(&self.name).await.context("thawing a container")
    }

    pub(crate) async fn destroy(self) -> Result<()> {
        self.guard.remove(&self.docker).await.map(drop)
    }
}
