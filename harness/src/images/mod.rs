//! The two images of a cluster: the pod (iptables, tc, a shell) and the node (the binary).
//!
//! They are built when they are missing or their sources changed: an image's tag is the hash of
//! what it is made of. There are two ways, and the one that works is taken:
//!
//! - with a registry ([`dockerfile`]): the Dockerfiles in `docker/`;
//! - without one ([`recipe`]): Debian packages that this machine can download, unpacked and
//!   imported, and the node compiled here.
//!
//! The node's image of a system that is not this project's is had as its description says: see
//! [`system`].

pub mod dockerfile;
pub mod recipe;
pub mod source;
mod system;

use std::{fs, time::Duration};

use anyhow::{Context, Result, anyhow};
use bollard::{
    Docker,
    query_parameters::{ListImagesOptions, RemoveImageOptions},
};

use crate::{
    daemon::{self, is_missing},
    system::System,
};
use source::Workspace;

/// Label of our images; its value is the kind: `pod`, `node`, `mutant` or `system`.
pub const KIND: &str = "raft-lab.image";

/// Label of our images that says in words how they were built.
pub const HOW: &str = "raft-lab.how";

/// User and group that the node runs as. No account of the host.
pub const USER: u32 = 10001;

/// Images without a tag are of no use after the build, but one may be going on elsewhere.
const UNTAGGED_KEPT: Duration = Duration::from_secs(3600);

/// Images of older sources are kept for so long: another working tree may be using them.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The same, when somebody asks to clean up.
const COLLECTED: Duration = Duration::from_secs(3600);

/// References of the images of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The pod's.
    pub pod: String,
    /// The node's.
    pub node: String,
    /// That of the node with known bugs, for plans that ask for it.
    pub mutant: Option<String>,
    /// In words, how they came to be.
    pub how: String,
}

/// Where images come from. [`Source::Auto`] gives way to the variable `RAFT_LAB_IMAGES`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// The Dockerfiles, if their base image is here or a registry gives it; else the recipe.
    #[default]
    Auto,
    /// The Dockerfiles only.
    Registry,
    /// The recipe only.
    Recipe,
}

/// Chooses the source where the caller asks for [`Source::Auto`].
const VARIABLE: &str = "RAFT_LAB_IMAGES";

impl Source {
    /// The source that counts: what was asked for, else what the environment says.
    fn resolve(self) -> Result<Self> {
        match std::env::var(VARIABLE) {
            Ok(word) if self == Self::Auto && !word.is_empty() => {
                <Self as clap::ValueEnum>::from_str(&word, false).map_err(|_| {
                    anyhow!("{VARIABLE} is {word:?}; it may be auto, registry or recipe")
                })
            }
            _ => Ok(self),
        }
    }
}

/// What an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Owns a node's network namespace.
    Pod,
    /// Runs the node.
    Node,
    /// Runs the node with the known bugs that it is told to have: built with the cargo feature
    /// `mutants`, which the image of [`Kind::Node`] never is.
    Mutant,
    /// Runs a system that is not this project's.
    System,
}

impl Kind {
    /// As in labels and tags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Node => "node",
            Self::Mutant => "mutant",
            Self::System => "system",
        }
    }

    /// The Dockerfile, in `docker/`.
    fn dockerfile(self) -> &'static str {
        match self {
            Self::Pod => "pod.Dockerfile",
            Self::Node | Self::Mutant | Self::System => "node.Dockerfile",
        }
    }

    /// The cargo features of the node in it.
    fn features(self) -> &'static str {
        match self {
            Self::Pod | Self::Node | Self::System => "",
            Self::Mutant => "mutants",
        }
    }
}

/// Builds or pulls what is missing or out of date for a system, the image of mutants if asked for,
/// telling `say` what it is at. With nothing to do it takes some milliseconds.
///
/// # Errors
///
/// The sources are not on this machine (the harness was copied away from them), or no way of
/// building works; the sentence has the reason of each.
pub async fn ensure(
    docker: &Docker,
    source: Source,
    system: &System,
    mutants: bool,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Images> {
    let (pod, pod_how) = ensure_one(docker, Kind::Pod, source, say).await?;
    let (node, node_how) = match system.is_raft_node() {
        true => ensure_one(docker, Kind::Node, source, say).await?,
        false => {
            let docker = docker.clone().with_timeout(daemon::IMAGE_TIMEOUT);
            system::ensure(&docker, source.resolve()?, system, say).await?
        }
    };
    let mutant = match mutants {
        true => Some(ensure_one(docker, Kind::Mutant, source, say).await?.0),
        false => None,
    };
    let all = [Some(&pod), Some(&node), mutant.as_ref()];
    let all: Vec<&str> = all.into_iter().flatten().map(String::as_str).collect();
    prune(docker, &all, KEPT).await;
    let how = if pod_how == node_how { pod_how } else { format!("pod {pod_how}; node {node_how}") };
    Ok(Images { pod, node, mutant, how })
}

/// [`ensure`] for one of the images: its reference, and how it was built.
///
/// # Errors
///
/// As [`ensure`].
pub async fn ensure_one(
    docker: &Docker,
    kind: Kind,
    source: Source,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(String, String)> {
    // What an image takes is not what an answer takes.
    let docker = &docker.clone().with_timeout(daemon::IMAGE_TIMEOUT);
    let source = source.resolve()?;
    let workspace = Workspace::find()?;
    let image = reference(&workspace, kind)?;
    if let Some(how) = existing(docker, &image, source).await? {
        return Ok((image, how));
    }
    // Of two harnesses that start at once, one builds and the other waits.
    let _turn = workspace.lock().await?;
    let how = match existing(docker, &image, source).await? {
        Some(how) => how,
        None => build(docker, &workspace, kind, &image, source, say).await?,
    };
    Ok((image, how))
}

/// The references that [`ensure`] would give, and whether each image exists; builds nothing.
///
/// # Errors
///
/// The sources are not on this machine, or the daemon fails.
pub async fn status(docker: &Docker) -> Result<Vec<(String, bool)>> {
    let workspace = Workspace::find()?;
    let mut images = Vec::new();
    for kind in [Kind::Pod, Kind::Node] {
        let image = reference(&workspace, kind)?;
        let exists = existing(docker, &image, Source::Auto).await?.is_some();
        images.push((image, exists));
    }
    Ok(images)
}

fn reference(workspace: &Workspace, kind: Kind) -> Result<String> {
    Ok(format!("raft-lab/{}:{}", kind.name(), workspace.hash(kind)?))
}

/// How an image was built, if it exists and was built in an allowed way.
async fn existing(docker: &Docker, image: &str, source: Source) -> Result<Option<String>> {
    let inspected = match docker.inspect_image(image).await {
        Ok(inspected) => inspected,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("looking for the image {image}")),
    };
    let how = inspected
        .config
        .and_then(|config| config.labels)
        .and_then(|mut labels| labels.remove(HOW))
        .unwrap_or_default();
    let allowed = match source {
        Source::Auto => true,
        Source::Registry => how == dockerfile::HOW,
        Source::Recipe => how == recipe::HOW,
    };
    Ok(allowed.then_some(how))
}

async fn build(
    docker: &Docker,
    workspace: &Workspace,
    kind: Kind,
    image: &str,
    source: Source,
    say: &(dyn Fn(&str) + Sync),
) -> Result<String> {
    let name = kind.name();
    let bases = dockerfile::Bases::from_environment();
    let refused = if source == Source::Recipe {
        None
    } else {
        say(&format!("{name} image: looking for the base image {}", bases.base));
        let attempt = async {
            bases.fetch(docker, kind, say).await?;
            say(&format!("{name} image: building docker/{}", kind.dockerfile()));
            dockerfile::build(docker, workspace, kind, image, &bases).await
        };
        match attempt.await {
            Ok(()) => return Ok(dockerfile::HOW.into()),
            Err(error) if source == Source::Registry => {
                return Err(error.context(format!("building the {name} image by its Dockerfile")));
            }
            Err(error) => {
                say(&format!("{name} image: not by its Dockerfile ({error:#})"));
                Some(error)
            }
        }
    };
    let outcome = recipe::build(docker, workspace, kind, image, say).await;
    match (outcome, refused) {
        (Ok(()), _) => Ok(recipe::HOW.into()),
        (Err(error), None) => Err(error.context(format!("building the {name} image by recipe"))),
        (Err(error), Some(refused)) => Err(anyhow!(
            "the {name} image cannot be built, neither by its Dockerfile ({refused:#}) nor by \
             recipe ({error:#}). Let the Docker daemon reach a registry, or name images that it \
             has in RAFT_LAB_BASE_IMAGE and RAFT_LAB_RUST_IMAGE; or run on a Debian or Ubuntu \
             whose apt-get reaches its packages"
        )),
    }
}

/// Removes what building images left: our images of older sources that nothing uses, and temporary
/// directories of harnesses that were killed. Returns how many there were of each.
///
/// # Errors
///
/// The sources are not on this machine, or the daemon fails.
pub async fn collect(docker: &Docker) -> Result<(usize, usize)> {
    let current = status(docker).await?;
    let current: Vec<&str> = current.iter().map(|(image, _)| image.as_str()).collect();
    let removed = prune(docker, &current, COLLECTED).await;
    let directory = packages::directory(Workspace::find()?.root());
    Ok((removed, packages::sweep(&directory)))
}

/// Removes our images of older sources that nothing uses. Failing at it harms nobody. Returns how
/// many were removed.
async fn prune(docker: &Docker, current: &[&str], kept: Duration) -> usize {
    let options = ListImagesOptions {
        filters: Some([("label".to_owned(), vec![KIND.to_owned()])].into()),
        ..Default::default()
    };
    let images = match docker.list_images(Some(options)).await {
        Ok(images) => images,
        Err(error) => {
            tracing::debug!("listing images: {error}");
            return 0;
        }
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let mut removed = 0;
    for image in images {
        let age = now.saturating_sub(u64::try_from(image.created).unwrap_or(now));
        // A build stage, or what had its tag taken over by a newer image.
        let untagged = image.repo_tags.iter().all(|tag| tag.starts_with("<none>"));
        let kept = if untagged { UNTAGGED_KEPT } else { kept };
        if age < kept.as_secs() || image.repo_tags.iter().any(|tag| current.contains(&&**tag)) {
            continue;
        }
        // Without force: the daemon refuses where a container still uses it.
        match docker.remove_image(&image.id, None::<RemoveImageOptions>, None).await {
            Ok(_) => removed += 1,
            Err(error) => tracing::debug!("keeping {:?}: {error}", image.repo_tags),
        }
    }
    removed
}

/// Exclusive access to image building in this working tree, until dropped.
struct Turn(#[expect(dead_code, reason = "the lock is released when the file is closed")] fs::File);

impl Workspace {
    async fn lock(&self) -> Result<Turn> {
        let directory = self.root().join("target");
        fs::create_dir_all(&directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        let path = directory.join(".raft-lab-images.lock");
        tokio::task::spawn_blocking(move || {
            let file =
                fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
            file.lock().with_context(|| format!("locking {}", path.display()))?;
            Ok(Turn(file))
        })
        .await?
    }
}
