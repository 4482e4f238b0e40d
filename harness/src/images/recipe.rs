//! Images without a registry: Debian packages that this machine can download, unpacked into an
//! archive and imported. No root, no debootstrap; `docker/recipe` lists what goes in.

use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bollard::{Docker, body_full, query_parameters::CreateImageOptions};
use futures::StreamExt;
use packages::{Debian, Machine};
use serde::Deserialize;
use tar::{Builder, EntryType, Header};

use super::{HOW as HOW_LABEL, KIND, Kind, USER, source::Workspace};

/// How these images came to be.
pub const HOW: &str = "built by recipe from this machine's Debian packages";

/// Directories that have moved below `/usr`; packages may still name the old places.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Parts of packages that nothing here reads.
const UNUSED: &[&str] = &["/usr/share/", "/gconv/", "/usr/lib/locale/"];

/// Parts of packages that are for people.
const PAPERS: &[&str] =
    &["/usr/share/doc/", "/usr/share/info/", "/usr/share/locale/", "/usr/share/man/"];

/// What Debian's package scripts would link, had they run.
const LINKS: [(&str, &str); 3] = [
    ("usr/sbin/iptables", "xtables-nft-multi"),
    ("usr/sbin/iptables-restore", "xtables-nft-multi"),
    ("usr/sbin/iptables-save", "xtables-nft-multi"),
];

/// Builds an image and gives it the tag `image`.
///
/// # Errors
///
/// `apt-get` or `dpkg-deb` are not there or fail, the node does not compile, or the daemon fails.
pub async fn build(
    docker: &Docker,
    workspace: &Workspace,
    kind: Kind,
    image: &str,
    say: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    let name = kind.name();
    let binary = match kind {
        Kind::Pod | Kind::System => None,
        Kind::Node | Kind::Mutant => {
            say(&format!("{name} image: compiling the node (cargo build --release)"));
            Some(compile(workspace, kind).await?)
        }
    };
    say(&format!("{name} image: downloading and unpacking Debian packages"));
    let recipe = Recipe::read(workspace)?;
    let debian = Debian::new(Machine::this(), packages::directory(workspace.root()));
    let archive =
        tokio::task::spawn_blocking(move || root(&recipe, &debian, kind, binary.as_deref()))
            .await??;
    let mut changes = vec![format!("LABEL {KIND}={name}"), format!("LABEL {HOW_LABEL}={HOW:?}")];
    match kind {
        Kind::Pod | Kind::System => {
            changes.push(r#"ENTRYPOINT ["busybox", "sleep", "2147483647"]"#.into());
        }
        Kind::Node | Kind::Mutant => {
            changes.push(format!("USER {USER}:{USER}"));
            changes.push(r#"ENTRYPOINT ["/usr/local/bin/raft-node"]"#.into());
        }
    }
    import(docker, image, archive, changes).await
}

/// Builds the image of a system of its Debian packages, with a shell and what belongs to one, and
/// gives it the tag `image`. No script of a package is run.
///
/// # Errors
///
/// As [`build`].
pub(super) async fn build_system(
    docker: &Docker,
    workspace: &Workspace,
    packages: &[String],
    image: &str,
) -> Result<()> {
    let recipe = Recipe::read(workspace)?;
    let debian = Debian::new(Machine::this(), packages::directory(workspace.root()));
    let packages = packages.to_vec();
    let archive = tokio::task::spawn_blocking(move || {
        let names: Vec<&str> =
            packages.iter().map(String::as_str).chain(["busybox-static", "libc6"]).collect();
        let mut root = Root::new(PAPERS)?;
        root.fill(&debian, &names, &recipe.applets)?;
        root.directory("data", 0o755, USER)?;
        anyhow::Ok(root.archive.into_inner()?)
    })
    .await??;
    let changes = vec![
        format!("LABEL {KIND}={}", Kind::System.name()),
        format!("LABEL {HOW_LABEL}={HOW:?}"),
        format!("USER {USER}:{USER}"),
    ];
    import(docker, image, archive, changes).await
}

/// Makes an image of a root file system in a tar archive; `changes` are lines of a Dockerfile.
///
/// # Errors
///
/// The reference has no tag, or the daemon fails.
pub async fn import(
    docker: &Docker,
    image: &str,
    archive: Vec<u8>,
    changes: Vec<String>,
) -> Result<()> {
    let (repository, tag) = image
        .rsplit_once(':')
        .with_context(|| format!("the image reference {image:?} has no tag"))?;
    let options = CreateImageOptions {
        from_src: Some("-".into()),
        repo: Some(repository.into()),
        tag: Some(tag.into()),
        changes,
        ..Default::default()
    };
    let mut events = docker.create_image(Some(options), Some(body_full(archive.into())), None);
    while let Some(event) = events.next().await {
        event.with_context(|| format!("importing {image}"))?;
    }
    Ok(())
}

/// `docker/recipe`, read.
#[derive(Clone, Debug, Default)]
struct Recipe {
    pod: Vec<String>,
    node: Vec<String>,
    applets: Vec<String>,
}

impl Recipe {
    fn read(workspace: &Workspace) -> Result<Self> {
        let path = workspace.root().join("docker/recipe");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut recipe = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace().map(str::to_owned);
            let list = match words.next().as_deref() {
                None => continue,
                Some("pod") => &mut recipe.pod,
                Some("node") => &mut recipe.node,
                Some("applets") => &mut recipe.applets,
                Some(other) => bail!("{}: unknown word {other:?}", path.display()),
            };
            list.extend(words);
        }
        Ok(recipe)
    }
}

/// Compiles the node and gives the binary's path.
///
/// Selecting the harness beside it makes cargo choose the same features of shared dependencies as
/// `cargo run --release`, so that what that compiled is used and nothing is compiled twice.
async fn compile(workspace: &Workspace, kind: Kind) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Not one that goes on after a harness that was killed.
    let mut command = tokio::process::Command::from(Machine::this().tied(&cargo));
    command
        .kill_on_drop(true)
        .env_remove("LC_ALL")
        .current_dir(workspace.root())
        .args(["build", "--release", "--package", "harness", "--package", "node"])
        .args(["--bin", "raft-node", "--message-format", "json-render-diagnostics"]);
    if !kind.features().is_empty() {
        command.args(["--features", &format!("node/{}", kind.features())]);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("running {} to compile the node", cargo.display()))?;
    ensure!(
        output.status.success(),
        "the node does not compile:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    executable(&String::from_utf8_lossy(&output.stdout))
        .context("cargo compiled the node but did not say where the binary is")
}

/// The node's binary in cargo's messages, one JSON object a line.
fn executable(messages: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        target: Option<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.target.as_ref().is_some_and(|t| t.name == "raft-node"))
        .find_map(|message| message.executable)
}

/// The root file system of an image, as a tar archive.
fn root(recipe: &Recipe, debian: &Debian, kind: Kind, binary: Option<&Path>) -> Result<Vec<u8>> {
    let names = match kind {
        Kind::Pod | Kind::System => &recipe.pod,
        Kind::Node | Kind::Mutant => &recipe.node,
    };
    let mut root = Root::new(UNUSED)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    root.fill(debian, &names, &recipe.applets)?;
    if kind == Kind::Pod {
        for (path, target) in LINKS {
            root.link(path, target)?;
        }
    }
    if let Some(binary) = binary {
        let content = fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
        root.directory("usr/local", 0o755, 0)?;
        root.directory("usr/local/bin", 0o755, 0)?;
        root.file("usr/local/bin/raft-node", 0o755, &content)?;
        root.directory("data", 0o755, USER)?;
    }
    Ok(root.archive.into_inner()?)
}

/// A root file system in the making.
struct Root {
    archive: Builder<Vec<u8>>,
    /// Paths that are in it.
    paths: BTreeSet<PathBuf>,
    /// Parts of packages that are left out.
    unused: &'static [&'static str],
}

impl Root {
    /// The directories and files that every program expects.
    fn new(unused: &'static [&'static str]) -> Result<Self> {
        let (archive, paths) = (Builder::new(Vec::new()), BTreeSet::new());
        let mut root = Self { archive, paths, unused };
        for directory in ["dev", "etc", "proc", "root", "run", "sys", "usr", "var"] {
            root.directory(directory, 0o755, 0)?;
        }
        root.directory("tmp", 0o1777, 0)?;
        for directory in MERGED {
            root.directory(&format!("usr/{directory}"), 0o755, 0)?;
            root.link(directory, &format!("usr/{directory}"))?;
        }
        let passwd =
            format!("root:x:0:0:root:/root:/bin/sh\nraft:x:{USER}:{USER}::/data:/bin/sh\n");
        root.file("etc/passwd", 0o644, passwd.as_bytes())?;
        root.file("etc/group", 0o644, format!("root:x:0:\nraft:x:{USER}:\n").as_bytes())?;
        Ok(root)
    }

    /// Adds packages with the libraries they need, and of busybox what they do not have.
    fn fill(&mut self, debian: &Debian, names: &[&str], applets: &[String]) -> Result<()> {
        let downloaded = debian.download(names, &[]).context("downloading Debian packages")?;
        for package in downloaded.packages()? {
            self.unpack(&package).with_context(|| format!("unpacking {}", package.display()))?;
        }
        for applet in applets {
            self.link(&format!("usr/bin/{applet}"), "busybox")?;
        }
        Ok(())
    }

    /// Adds a package's files.
    fn unpack(&mut self, package: &Path) -> Result<()> {
        let mut child = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(package)
            .stdout(Stdio::piped())
            .spawn()
            .context("running dpkg-deb")?;
        let mut output = child.stdout.take().context("dpkg-deb has no output")?;
        let copied = self.copy(&mut output);
        // To the end, or dpkg-deb would complain of a closed pipe.
        std::io::copy(&mut output, &mut std::io::sink())?;
        let status = child.wait()?;
        copied?;
        ensure!(status.success(), "dpkg-deb ended with {status}");
        Ok(())
    }

    fn copy(&mut self, package: &mut impl Read) -> Result<()> {
        let mut package = tar::Archive::new(package);
        for entry in package.entries()? {
            let mut entry = entry?;
            let path = merged(&entry.path()?);
            let text = format!("/{}/", path.display());
            let unused = self.unused.iter().any(|unused| text.contains(unused));
            if unused || path.as_os_str().is_empty() || !self.paths.insert(path.clone()) {
                continue;
            }
            let mut header = entry.header().clone();
            match header.entry_type() {
                EntryType::Symlink => {
                    let target = target(&entry)?;
                    self.archive.append_link(&mut header, path, target)?;
                }
                EntryType::Link => {
                    let target = merged(&target(&entry)?);
                    self.archive.append_link(&mut header, path, target)?;
                }
                _ => self.archive.append_data(&mut header, path, &mut entry)?,
            }
        }
        Ok(())
    }

    fn directory(&mut self, path: &str, mode: u32, owner: u32) -> Result<()> {
        if self.paths.insert(path.into()) {
            let mut header = header(EntryType::Directory, mode, owner, 0);
            self.archive.append_data(&mut header, path, std::io::empty())?;
        }
        Ok(())
    }

    fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        if self.paths.insert(path.into()) {
            let mut header = header(EntryType::Regular, mode, 0, content.len() as u64);
            self.archive.append_data(&mut header, path, content)?;
        }
        Ok(())
    }

    fn link(&mut self, path: &str, target: &str) -> Result<()> {
        if self.paths.insert(path.into()) {
            let mut header = header(EntryType::Symlink, 0o777, 0, 0);
            self.archive.append_link(&mut header, path, target)?;
        }
        Ok(())
    }
}

fn header(kind: EntryType, mode: u32, owner: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.into());
    header.set_gid(owner.into());
    header.set_size(size);
    header
}

fn target(entry: &tar::Entry<'_, impl Read>) -> Result<PathBuf> {
    let target = entry.link_name()?.ok_or_else(|| anyhow!("a link without a target"))?;
    Ok(target.into_owned())
}

/// A package's path inside the image: without `./`, and below `/usr` where it has moved there.
fn merged(path: &Path) -> PathBuf {
    let path: PathBuf =
        path.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
    if MERGED.iter().any(|directory| path.starts_with(directory)) {
        Path::new("usr").join(path)
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_places_lead_below_usr() {
        for (path, expected) in [
            ("./bin/busybox", "usr/bin/busybox"),
            ("./lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
            ("./lib", "usr/lib"),
            ("./usr/sbin/tc", "usr/sbin/tc"),
            ("./libexec/x", "libexec/x"),
            ("./", ""),
        ] {
            assert_eq!(merged(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn the_binary_is_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"node"},"executable":null}
not JSON
{"reason":"compiler-artifact","target":{"name":"raft-node"},"executable":"/t/release/raft-node"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages).unwrap(), Path::new("/t/release/raft-node"));
        assert_eq!(executable("{}"), None);
    }
}
