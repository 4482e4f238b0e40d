//! The image of a system that is not this project's, in one of the ways that its description names:
//! an image that is here or that a registry gives, a Dockerfile, or Debian packages.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use bollard::Docker;
use sha2::{Digest, Sha256};

use super::{Kind, Source, dockerfile, existing, recipe, source::Workspace};
use crate::system::{Image, System};

/// A folder with a Dockerfile that is larger than this is taken for a mistake.
const CONTEXT_MAX: u64 = 1 << 30;

/// The system's image: its reference, and in words how it came to be. Builds or pulls it if it is
/// not here.
pub(super) async fn ensure(
    docker: &Docker,
    source: Source,
    system: &System,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(String, String)> {
    let Image { registry, dockerfile, debian, .. } = &system.description().image;
    let (registries, recipes) = (source != Source::Recipe, source != Source::Registry);
    let mut refused = Vec::new();
    if let Some(reference) = registry.as_ref().filter(|_| registries) {
        say(&format!("{system} image: looking for {reference}"));
        match dockerfile::pull(docker, reference, say).await {
            Ok(()) => return Ok((reference.clone(), format!("the image {reference}"))),
            Err(error) => refused.push(error.context(format!("not {reference}"))),
        }
    }
    if let Some(path) = dockerfile {
        match by_dockerfile(docker, path, say).await {
            Ok(image) => return Ok((image, format!("built by {}", path.display()))),
            Err(error) => refused.push(error.context(format!("not by {}", path.display()))),
        }
    }
    if recipes && !debian.is_empty() {
        match by_packages(docker, system, debian, say).await {
            Ok(image) => {
                let how = format!("of the Debian packages {}", debian.join(", "));
                return Ok((image, how));
            }
            Err(error) => refused.push(error.context("not of Debian packages")),
        }
    }
    Err(failed(system, refused))
}

fn failed(system: &System, refused: Vec<Error>) -> Error {
    if refused.is_empty() {
        return anyhow!(
            "{system} cannot be had: its description names no way that RAFT_LAB_IMAGES allows"
        );
    }
    let reasons: Vec<String> = refused.iter().map(|error| format!("{error:#}")).collect();
    anyhow!("there is no image of {system}: {}", reasons.join("; "))
}

async fn by_dockerfile(
    docker: &Docker,
    path: &Path,
    say: &(dyn Fn(&str) + Sync),
) -> Result<String> {
    let of = || format!("the Dockerfile {}", path.display());
    ensure!(path.is_file(), "{} is not there", of());
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().with_context(of)?.to_string_lossy().into_owned();
    let mut files = Vec::new();
    let mut size = 0;
    walk(folder, Path::new(""), &mut files, &mut size)?;
    let mut hash = Sha256::new();
    let mut archive = tar::Builder::new(Vec::new());
    for file in &files {
        let full = folder.join(file);
        let content = fs::read(&full).with_context(|| format!("reading {}", full.display()))?;
        let mode = fs::metadata(&full).map_or(0, |it| it.permissions().mode());
        hash.update(file.to_string_lossy().as_bytes());
        hash.update(mode.to_le_bytes());
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(&content);
        let read = || format!("reading {}", full.display());
        archive.append_path_with_name(&full, file).with_context(read)?;
    }
    hash.update(&name);
    let image = reference(hash);
    if existing(docker, &image, Source::Auto).await?.is_none() {
        say(&format!("building {}", path.display()));
        dockerfile::build_context(docker, &name, &image, Kind::System, archive.into_inner()?)
            .await?;
    }
    Ok(image)
}

/// All files below a folder, relative to it, ascending.
fn walk(folder: &Path, below: &Path, files: &mut Vec<PathBuf>, size: &mut u64) -> Result<()> {
    let full = folder.join(below);
    let entries = fs::read_dir(&full).with_context(|| format!("listing {}", full.display()))?;
    let mut names: Vec<_> = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    names.sort();
    for name in names {
        let path = below.join(&name);
        let full = folder.join(&path);
        let reading = || format!("reading {}", full.display());
        if fs::symlink_metadata(&full).with_context(reading)?.is_dir() {
            walk(folder, &path, files, size)?;
            continue;
        }
        // A link counts as the file that it leads to.
        let metadata = fs::metadata(&full).with_context(reading)?;
        ensure!(metadata.is_file(), "{} is no file", full.display());
        *size += metadata.len();
        if *size > CONTEXT_MAX {
            bail!(
                "the folder {} holds more than 1 GiB, all of which would go into the image's \
                 build: put the Dockerfile into a folder of its own",
                folder.display()
            );
        }
        files.push(path);
    }
    Ok(())
}

async fn by_packages(
    docker: &Docker,
    system: &System,
    packages: &[String],
    say: &(dyn Fn(&str) + Sync),
) -> Result<String> {
    let workspace = Workspace::find()?;
    let mut hash = Sha256::new();
    // What is common to all images that are made this way.
    hash.update(workspace.hash(Kind::Pod)?);
    packages.iter().for_each(|package| hash.update(format!("{package}\n")));
    let image = reference(hash);
    if existing(docker, &image, Source::Auto).await?.is_none() {
        let _turn = workspace.lock().await?;
        if existing(docker, &image, Source::Auto).await?.is_none() {
            say(&format!("{system} image: downloading and unpacking Debian packages"));
            recipe::build_system(docker, &workspace, packages, &image).await?;
        }
    }
    Ok(image)
}

fn reference(hash: Sha256) -> String {
    let digits: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("raft-lab/system:{digits}")
}
