//! What a node is: which program runs in its container, how clients talk to it, how its state is
//! seen.
//!
//! A system is a [description](Description), a file of TOML; those in `built_in/` come with the
//! harness. To add one of these: its file, and a line in [`BUILT_IN`].

mod description;
mod observe;
pub mod template;

use std::{
    fmt, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, LazyLock},
};

use anyhow::{Context, anyhow, ensure};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use description::{Client, Description, Ends, Image, Program, Protocol, Status};
pub use observe::{Node, Observation, Role};

use self::template::Facts;

/// The systems that come with the harness: name and description.
const BUILT_IN: [(&str, &str); 2] = [
    (RAFT_NODE, include_str!("built_in/raft-node.toml")),
    ("etcd", include_str!("built_in/etcd.toml")),
];

const RAFT_NODE: &str = "raft-node";

/// A system under test. Clones share its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System(Arc<Description>);

impl Default for System {
    fn default() -> Self {
        Self::raft_node()
    }
}

impl System {
    /// This project's own node.
    ///
    /// # Panics
    /// Never: a test reads every built-in description.
    pub fn raft_node() -> Self {
        static ONE: LazyLock<System> = LazyLock::new(|| {
            System::named(RAFT_NODE).expect("the description of this project's node is valid")
        });
        ONE.clone()
    }

    /// The system of a name that comes with the harness, or that a file describes.
    ///
    /// # Errors
    /// There is no such name or file, or the file is no description; says where and why.
    pub fn named(text: &str) -> anyhow::Result<Self> {
        if let Some((name, built_in)) = BUILT_IN.iter().find(|(name, _)| *name == text) {
            return Self::read(built_in, Path::new(name), None);
        }
        let path = Path::new(text);
        let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        let content = fs::read_to_string(path).with_context(|| {
            format!(
                "there is no system {text:?}: it is {}, or the file that describes one",
                known.join(", ")
            )
        })?;
        let folder = path.canonicalize().ok();
        Self::read(&content, path, folder.as_deref().and_then(Path::parent))
    }

    /// Reads a description. `folder`: what its paths are relative to.
    fn read(text: &str, path: &Path, folder: Option<&Path>) -> anyhow::Result<Self> {
        let of = || path.display().to_string();
        let mut description: Description = toml::from_str(text).with_context(of)?;
        description.validate().with_context(of)?;
        if let (Some(dockerfile), Some(folder)) = (&mut description.image.dockerfile, folder) {
            *dockerfile = folder.join(&*dockerfile);
        }
        let is_built_in = BUILT_IN.iter().any(|(name, _)| *name == description.name);
        ensure!(
            folder.is_none() || !is_built_in,
            "{}: the name {:?} is that of a system which comes with the harness: choose another",
            path.display(),
            description.name
        );
        for template in description.node.templates() {
            template::sample(description.node.port, &template::ADDRESSES)
                .fill(template)
                .with_context(|| {
                    let line = template.lines().next().unwrap_or_default();
                    let line = text.lines().position(|it| !line.is_empty() && it.contains(line));
                    match line {
                        Some(line) => format!("{}:{}", path.display(), line + 1),
                        None => of(),
                    }
                })?;
        }
        Ok(Self(Arc::new(description)))
    }

    /// What its file says.
    pub fn description(&self) -> &Description {
        &self.0
    }

    /// Whether it is this project's node, which simulation and mutants need.
    pub fn is_raft_node(&self) -> bool {
        self.0.image.project
    }

    /// Whether its nodes write a trace. Then a run without traces proves less than it should.
    pub fn traced(&self) -> bool {
        self.0.node.trace.is_some()
    }

    /// Whether a node that ended with this code found a defect in itself.
    pub fn is_defect(&self, code: i64) -> bool {
        self.0.ends.defect.contains(&code)
    }

    /// Whether a node that ended with this code refuses what its disk holds.
    pub fn is_refusal(&self, code: i64) -> bool {
        self.0.ends.refused.contains(&code)
    }

    /// Whether a node that was asked to stop may end with this code.
    pub fn is_stopped(&self, code: i64) -> bool {
        self.0.ends.stopped.contains(&code)
    }

    /// See [`Client::sessions`].
    pub fn knows_sessions(&self) -> bool {
        self.0.client.sessions
    }

    /// See [`Client::tells_outcome`].
    pub fn tells_outcome(&self) -> bool {
        self.0.client.tells_outcome
    }

    /// Checks that the texts for all nodes of a cluster of this size can be made.
    ///
    /// # Errors
    /// One cannot; says which and why.
    pub fn check(&self, nodes: u64) -> anyhow::Result<()> {
        let addresses: Vec<Ipv4Addr> =
            (1..=nodes).map(|node| Ipv4Addr::from_bits(0x0a00_0000 + node as u32)).collect();
        for node in 1..=nodes {
            let facts = Facts { node, ..template::sample(self.0.node.port, &addresses) };
            for text in self.0.node.templates() {
                facts.fill(text).with_context(|| format!("{self}, for n{node}: {text:?}"))?;
            }
        }
        Ok(())
    }

    /// A node's command, its environment as `NAME=value`, and the files that it needs.
    ///
    /// # Errors
    /// None for a description that was read; its templates are known to be well.
    pub fn program(&self, facts: &Facts<'_>) -> anyhow::Result<Filled> {
        let Program { command, environment, files, .. } = &self.0.node;
        let fill = |template: &String| facts.fill(template);
        let variable = |(name, value): (&String, &String)| Ok(format!("{name}={}", fill(value)?));
        let file = |(path, text): (&String, &String)| Ok((PathBuf::from(path), fill(text)?));
        Ok(Filled {
            command: command.iter().map(fill).collect::<anyhow::Result<_>>()?,
            environment: environment.iter().map(variable).collect::<anyhow::Result<_>>()?,
            files: files.iter().map(file).collect::<anyhow::Result<_>>()?,
        })
    }
}

/// What a node's container is made of, for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// Files by their absolute paths.
    pub files: Vec<(PathBuf, String)>,
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

impl FromStr for System {
    type Err = anyhow::Error;

    /// The whole reason in one line: a command line shows no other.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        Self::named(text).map_err(|error| anyhow!("{error:#}"))
    }
}

/// In a plan: the name of what comes with the harness, else the whole description.
impl Serialize for System {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_built_in = BUILT_IN.iter().any(|(name, _)| *name == self.0.name)
            && Self::named(&self.0.name).is_ok_and(|it| it == *self);
        if is_built_in { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for System {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Name(String),
            Whole(serde_json::Value),
        }
        match Written::deserialize(deserializer)? {
            Written::Name(name) if BUILT_IN.iter().any(|(known, _)| *known == name) => {
                Self::named(&name).map_err(de::Error::custom)
            }
            // A plan is whole by itself: no file beside it.
            Written::Name(name) => Err(de::Error::custom(anyhow!("there is no system {name:?}"))),
            Written::Whole(value) => {
                let whole: Description =
                    serde_json::from_value(value).map_err(de::Error::custom)?;
                whole.validate().map_err(de::Error::custom)?;
                Ok(Self(Arc::new(whole)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_with_the_harness_is_valid_and_named_as_it_says() {
        for (name, _) in BUILT_IN {
            let system = System::named(name).unwrap();
            assert_eq!(system.to_string(), name);
            let written = serde_json::to_string(&system).unwrap();
            assert_eq!(written, format!("{name:?}"));
            assert_eq!(serde_json::from_str::<System>(&written).unwrap(), system);
        }
        assert!(System::raft_node().is_raft_node() && System::raft_node().traced());
        assert!(!System::named("etcd").unwrap().traced());
    }

    #[test]
    fn a_description_of_one_s_own_goes_into_the_plan_as_a_whole() {
        let text = include_str!("built_in/etcd.toml")
            .replace("\"etcd\"\n\n[image]", "\"mine\"\n\n[image]");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        fs::write(&path, &text).unwrap();
        let mine = System::named(path.to_str().unwrap()).unwrap();
        assert_eq!(mine.to_string(), "mine");
        let written = serde_json::to_string(&mine).unwrap();
        assert!(written.starts_with('{'), "{written}");
        assert_eq!(serde_json::from_str::<System>(&written).unwrap(), mine);
    }

    #[test]
    fn a_bad_description_is_refused_with_the_place() {
        let good = include_str!("built_in/etcd.toml");
        let refused = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            let text = good.replacen(from, to, 1);
            format!("{:#}", System::read(&text, Path::new("mine.toml"), None).unwrap_err())
        };
        let error = refused("port = 2379", "port = 2379\ncolour = \"red\"");
        assert!(error.contains("mine.toml") && error.contains("line 11"), "{error}");
        assert!(error.contains("unknown field `colour`"), "{error}");
        let error = refused("{{ node }}", "{{ nodename }}");
        let line = 1 + good.lines().position(|line| line.contains("--name=")).unwrap();
        assert_eq!(error, format!("mine.toml:{line}: `nodename` names nothing"));
        let error = refused("protocol = \"etcd\"", "protocol = \"smtp\"");
        assert!(error.contains("unknown variant `smtp`"), "{error}");
        let bare = good.replace("registry =", "# ").replace("debian =", "# ");
        let error = System::read(&bare, Path::new("mine.toml"), None).unwrap_err();
        assert!(format!("{error:#}").contains("where the program comes from"), "{error:#}");
    }

    #[test]
    fn an_unknown_name_is_refused_with_what_there_is() {
        let error = format!("{:#}", System::named("zookeeper").unwrap_err());
        assert!(error.contains("raft-node, etcd, or the file"), "{error}");
    }
}
