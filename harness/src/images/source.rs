//! What images are made of: the workspace's sources, and their hash.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::Kind;

/// Digits of the hash that end up in a tag: 48 bits, far from a collision among a few images.
const DIGITS: usize = 12;

/// The sources of this project on this machine.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the sources: where cargo runs the harness, where it was compiled, or around the
    /// current directory.
    ///
    /// # Errors
    ///
    /// They are in none of these places.
    pub fn find() -> Result<Self> {
        let manifest = |directory: &str| Path::new(directory).parent().map(Path::to_owned);
        let compiled = manifest(env!("CARGO_MANIFEST_DIR"));
        let running =
            std::env::var("CARGO_MANIFEST_DIR").ok().and_then(|directory| manifest(&directory));
        let current = std::env::current_dir().unwrap_or_default();
        running
            .into_iter()
            .chain(compiled.clone())
            .chain(current.ancestors().map(Path::to_owned))
            .find(|root| {
                root.join("node/Cargo.toml").is_file() && root.join("docker/recipe").is_file()
            })
            .map(|root| Self { root })
            .with_context(|| {
                format!(
                    "the sources of the node are needed to build its image, and are not in {} any \
                     more. Run the harness inside a clone of the repository",
                    compiled.unwrap_or_default().display()
                )
            })
    }

    /// The directory that holds `Cargo.toml`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What an image is made of, however it is built, relative to the root: files and whole
    /// directories.
    pub fn inputs(kind: Kind) -> &'static [&'static str] {
        match kind {
            // Made of nothing that is here, but in the same way.
            Kind::Pod | Kind::System => &[
                "docker/packages/src/debian.rs",
                "docker/pod.Dockerfile",
                "docker/recipe",
                "harness/src/images/recipe.rs",
            ],
            Kind::Node | Kind::Mutant => &[
                "Cargo.lock",
                "Cargo.toml",
                "checker/Cargo.toml",
                "docker/node.Dockerfile",
                "docker/packages/Cargo.toml",
                "docker/packages/src/debian.rs",
                "docker/recipe",
                "harness/Cargo.toml",
                "harness/src/images/recipe.rs",
                "node",
                "proto",
            ],
        }
    }

    /// All files of an image's inputs, relative to the root, ascending.
    ///
    /// # Errors
    ///
    /// A directory cannot be read.
    pub fn files(&self, kind: Kind) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for input in Self::inputs(kind) {
            self.walk(Path::new(input), &mut files)?;
        }
        files.sort();
        Ok(files)
    }

    fn walk(&self, path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
        let full = self.root.join(path);
        let kind = fs::metadata(&full).with_context(|| format!("reading {}", full.display()))?;
        if kind.is_file() {
            files.push(path.to_owned());
            return Ok(());
        }
        if !kind.is_dir() {
            bail!("{} is neither a file nor a directory", full.display());
        }
        for entry in fs::read_dir(&full).with_context(|| format!("listing {}", full.display()))? {
            let name = entry?.file_name();
            // What editors leave behind is no source.
            let hidden = name.to_string_lossy().starts_with('.');
            if !hidden {
                self.walk(&path.join(name), files)?;
            }
        }
        Ok(())
    }

    /// A short hash of an image's inputs: names and contents of files, and cargo features.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn hash(&self, kind: Kind) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(kind.features());
        for file in self.files(kind)? {
            let full = self.root.join(&file);
            let content = fs::read(&full).with_context(|| format!("reading {}", full.display()))?;
            let name = file.to_string_lossy();
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            hash.update((content.len() as u64).to_le_bytes());
            hash.update(&content);
        }
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(digits[..DIGITS].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy() -> (tempfile::TempDir, Workspace) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let original = Workspace::find().unwrap();
        for file in original.files(Kind::Node).unwrap() {
            let target = root.join(&file);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(original.root.join(&file), target).unwrap();
        }
        (directory, Workspace { root })
    }

    #[test]
    fn the_hash_follows_contents_and_names_alone() {
        let (_directory, workspace) = copy();
        let before = workspace.hash(Kind::Node).unwrap();
        assert_eq!(before, Workspace::find().unwrap().hash(Kind::Node).unwrap());

        let main = workspace.root.join("node/src/main.rs");
        let content = fs::read_to_string(&main).unwrap();
        fs::write(&main, format!("{content}\n")).unwrap();
        let changed = workspace.hash(Kind::Node).unwrap();
        assert_ne!(changed, before);

        fs::write(&main, content).unwrap();
        assert_eq!(workspace.hash(Kind::Node).unwrap(), before);
        assert_ne!(workspace.hash(Kind::Mutant).unwrap(), before, "it has other features");

        fs::rename(workspace.root.join("node/src/lib.rs"), workspace.root.join("node/src/l.rs"))
            .unwrap();
        assert_ne!(workspace.hash(Kind::Node).unwrap(), before);
    }
}
