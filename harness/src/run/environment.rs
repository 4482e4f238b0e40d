//! `environment.json`: where and with what a run was made.

use std::fs;

use bollard::Docker;
use serde_json::json;

use super::files::Files;
use crate::{images::Images, report};

/// What the harness knows of a run.
pub(crate) struct Made<'a> {
    /// The run's id, which its containers carry: what they hold may be copied into the directory
    /// after the harness was killed.
    pub(crate) run: Option<&'a str>,
    pub(crate) command: &'a [String],
    /// What of the plan containers cannot follow.
    pub(crate) ignored: Option<&'a str>,
}

/// Writes `environment.json`. What the daemon does not tell is left out.
///
/// # Errors
/// The file cannot be written.
pub(crate) async fn write(
    files: &mut Files,
    docker: &Docker,
    images: &Images,
    made: &Made<'_>,
) -> anyhow::Result<()> {
    let version = docker.version().await.unwrap_or_default();
    let info = docker.info().await.unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut hashes = serde_json::Map::new();
    let mutant = images.mutant.iter().map(|image| ("mutant", image));
    for (name, image) in [("pod", &images.pod), ("node", &images.node)].into_iter().chain(mutant) {
        let id = docker.inspect_image(image).await.ok().and_then(|image| image.id);
        hashes.insert(name.to_owned(), json!({ "name": image, "id": id }));
    }
    let environment = json!({
        "version": report::ENVIRONMENT_VERSION,
        "harness": {
            "version": env!("CARGO_PKG_VERSION"),
            "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        },
        "run": made.run,
        "command": made.command,
        "ignored": made.ignored,
        "machine": {
            "kernel": kernel.trim(),
            "architecture": std::env::consts::ARCH,
            "cpus": std::thread::available_parallelism().map_or(0, usize::from),
            "memory_bytes": info.mem_total,
        },
        "docker": {
            "version": version.version,
            "api_version": version.api_version,
            "operating_system": info.operating_system,
            "storage_driver": info.driver,
            "cgroup_version": info.cgroup_version.map(|version| version.to_string()),
        },
        "images": hashes,
    });
    files.json("environment.json", &environment)
}
