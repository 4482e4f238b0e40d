//! What one node sends to another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What one node sends to another; `n1→n2` in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// The sender, from 1.
    pub from: u64,
    /// The receiver.
    pub to: u64,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}→n{}", self.from, self.to)
    }
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let node = |name: &str| name.strip_prefix('n')?.parse().ok();
        let ends = text.split_once('→').and_then(|(from, to)| Some((node(from)?, node(to)?)));
        let (from, to) = ends.ok_or_else(|| format!("{text} is no link such as n1→n2"))?;
        Ok(Self { from, to })
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_text_in_files() {
        let link = Link { from: 1, to: 12 };
        assert_eq!(serde_json::to_string(&link).unwrap(), "\"n1→n12\"");
        assert_eq!("n1→n12".parse(), Ok(link));
        for text in ["", "n1", "n1→", "1→2", "n1→n2→n3", "n1→nx"] {
            assert!(text.parse::<Link>().is_err(), "{text}");
        }
    }
}
