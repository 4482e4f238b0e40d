//! A system under test, as its file describes it.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// What a file of a system says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Its name, for reports: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// Where its program comes from.
    pub image: Image,
    /// What runs in a node's container.
    pub node: Program,
    /// How clients talk to it.
    pub client: Client,
    /// How a node's state is seen.
    pub status: Status,
    /// What the end of a node's process means.
    #[serde(default)]
    pub ends: Ends,
    /// What it promises where others promise less or more.
    #[serde(default)]
    pub bounds: Bounds,
}

/// Where a program comes from. Of several ways the first that works is taken, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// It is this project's node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub project: bool,
    /// A reference to an image that the Docker daemon has, or that a registry gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// A Dockerfile, relative to the description; its folder is the build's context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<PathBuf>,
    /// Debian packages that this machine can download, for machines without a registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debian: Vec<String>,
}

/// What runs in a node's container. Its texts are [templates](super::template).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The command and its arguments, in place of the image's entry point; none: what the image
    /// has.
    #[serde(default)]
    pub command: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Files that are written before the first start, by their absolute paths.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// The port that clients connect to.
    pub port: u16,
    /// The user that it runs as, as Docker takes it; none: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where it writes its trace, if it writes one as this project's node does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// How clients talk to a system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// In what language.
    pub protocol: Protocol,
    /// Whether it executes an operation once that is sent again under the same session and
    /// sequence number, as this project's node does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sessions: bool,
    /// Whether an error's `raft-outcome: none` may be believed: that the request certainly had,
    /// and will have, no effect. Only of a system that is known to send it so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tells_outcome: bool,
    /// Whether workloads go out of their way to avoid a known defect of etcd up to 3.6: see
    /// [`sparing`](crate::workload::etcd::Options::sparing).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spare: bool,
}

/// The language of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// etcd's API, version 3.
    Etcd,
}

/// How a node's state is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Status {
    /// The service `Inspect` of this project's node.
    RaftNode,
    /// etcd's service `Maintenance`.
    Etcd,
}

/// What the end of a node's process means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ends {
    /// Exit codes after SIGTERM that are in order.
    pub stopped: Vec<i64>,
    /// Exit codes of a node that found a defect in itself.
    pub defect: Vec<i64>,
    /// Exit codes of a node that refuses what its disk holds.
    pub refused: Vec<i64>,
}

impl Default for Ends {
    fn default() -> Self {
        Self { stopped: vec![0], defect: Vec::new(), refused: Vec::new() }
    }
}

/// What a system promises of its service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Every node serves within this time once nothing hinders it; none: as this project's node.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub service: Option<Duration>,
}

/// A shorter promise nobody can keep, a longer one promises nothing.
const SERVICE_MIN: Duration = Duration::from_millis(100);
const SERVICE_MAX: Duration = Duration::from_secs(3600);

impl Description {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// The first thing that is impossible, and what would be possible.
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        let Image { project, registry, dockerfile, debian } = &self.image;
        ensure!(
            !self.name.is_empty()
                && self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)),
            "the name {:?} must consist of letters, digits, `-`, `_` and `.`",
            self.name
        );
        ensure!(
            *project || registry.is_some() || dockerfile.is_some() || !debian.is_empty(),
            "[image] must say where the program comes from: `registry`, `dockerfile` or `debian`"
        );
        if let Some(reference) = registry {
            let name = reference.rsplit('/').next().unwrap_or_default();
            ensure!(
                name.contains([':', '@']),
                "the image {reference:?} needs a tag or a digest, as in {reference}:1.2"
            );
        }
        for package in debian {
            let allowed =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+.-".contains(c);
            ensure!(
                package.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && package.chars().all(allowed),
                "{package:?} is no name of a Debian package"
            );
        }
        if let Some(service) = self.bounds.service {
            ensure!(
                (SERVICE_MIN..=SERVICE_MAX).contains(&service),
                "[bounds] service is 100ms to 1h, not {}",
                humantime::format_duration(service)
            );
        }
        ensure!(self.node.port != 0, "[node] port is 1 to 65535, not 0");
        for path in self.node.files.keys().chain(&self.node.trace) {
            ensure!(
                path.starts_with('/') && !path.split('/').any(|part| part == ".."),
                "the file {path:?} in [node] needs an absolute path without `..`"
            );
        }
        Ok(())
    }
}

impl Program {
    /// All its texts that differ from node to node.
    pub(super) fn templates(&self) -> impl Iterator<Item = &String> {
        let Self { command, environment, files, .. } = self;
        command.iter().chain(environment.values()).chain(files.values())
    }
}
