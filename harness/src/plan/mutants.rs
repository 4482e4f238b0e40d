//! Which nodes have which known bug.

use std::{fmt, str::FromStr};

use anyhow::{bail, ensure};
use node::mutants::{Chosen, Mutants};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::Plan;
use crate::nemesis::NodeId;

/// A known bug and the nodes that have it, written `commits-old-terms` or
/// `commits-old-terms:n2,n3`. Only builds with the cargo feature `mutants` have a value of this
/// type; see [`node::mutants`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedMutant {
    /// The bug.
    pub mutant: Chosen,
    /// The nodes that have it, ascending; none: all.
    pub nodes: Option<Vec<NodeId>>,
}

impl PlacedMutant {
    /// A bug that all nodes have.
    pub fn everywhere(mutant: Chosen) -> Self {
        Self { mutant, nodes: None }
    }

    fn is_on(&self, node: NodeId) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(&node))
    }
}

impl fmt::Display for PlacedMutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mutant)?;
        for (place, node) in self.nodes.iter().flatten().enumerate() {
            write!(f, "{}n{node}", if place == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for PlacedMutant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, nodes) = match text.split_once(':') {
            Some((name, nodes)) => (name, Some(nodes)),
            None => (text, None),
        };
        let mutant = name.parse()?;
        let node = |text: &str| {
            let number = text.strip_prefix('n').and_then(|number| number.parse::<NodeId>().ok());
            number.filter(|number| *number > 0).ok_or_else(|| {
                format!("`{text}` is no node: write the nodes of a mutant as {name}:n2,n3")
            })
        };
        let nodes = nodes.map(|nodes| nodes.split(',').map(node).collect::<Result<Vec<_>, _>>());
        let mut nodes = nodes.transpose()?;
        if let Some(nodes) = &mut nodes {
            nodes.sort_unstable();
            nodes.dedup();
        }
        Ok(Self { mutant, nodes })
    }
}

impl Serialize for PlacedMutant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PlacedMutant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Plan {
    /// What a node is.
    pub fn mutants_of(&self, node: NodeId) -> Mutants {
        self.on(node).map(|placed| placed.mutant).collect()
    }

    /// The names of a node's mutants, for the flag of a node that can have some.
    pub(crate) fn mutant_names_of(&self, node: NodeId) -> Vec<String> {
        self.on(node).map(|placed| placed.mutant.to_string()).collect()
    }

    fn on(&self, node: NodeId) -> impl Iterator<Item = &PlacedMutant> {
        self.mutants.iter().filter(move |placed| placed.is_on(node))
    }

    pub(super) fn validate_mutants(&self) -> anyhow::Result<()> {
        for placed in &self.mutants {
            let nodes = placed.nodes.as_deref();
            ensure!(nodes != Some(&[]), "mutant `{placed}` is on no node");
            if let Some(missing) = nodes.into_iter().flatten().find(|node| **node > self.nodes) {
                bail!(
                    "mutant `{placed}` is on n{missing}, and the cluster has {} nodes",
                    self.nodes
                );
            }
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "mutants"))]
mod tests {
    use node::mutants::Mutant;

    use super::*;

    #[test]
    fn a_mutant_is_read_back_with_its_nodes() {
        for (text, nodes, canonical) in [
            ("forgets-vote", None, "forgets-vote"),
            ("forgets-vote:n2", Some(vec![2]), "forgets-vote:n2"),
            ("forgets-vote:n3,n1,n3", Some(vec![1, 3]), "forgets-vote:n1,n3"),
        ] {
            let placed: PlacedMutant = text.parse().unwrap();
            assert_eq!(placed, PlacedMutant { mutant: Mutant::ForgetsVote, nodes });
            assert_eq!(placed.to_string(), canonical);
        }
        let refused = |text: &str| text.parse::<PlacedMutant>().unwrap_err();
        assert!(refused("no-such").contains("there is no mutant `no-such`"));
        for text in ["forgets-vote:", "forgets-vote:2", "forgets-vote:n0", "forgets-vote:n1,"] {
            assert!(refused(text).contains("is no node: write the nodes of a mutant as"), "{text}");
        }
    }
}
