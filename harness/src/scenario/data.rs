//! What a scenario is: steps as plain data, each an action and what must be seen after it.

use std::{collections::BTreeMap, fmt, path::Path};

use anyhow::{Context, Result, bail, ensure};
use checker::version::Version;
use serde::{Deserialize, Serialize};

use crate::{exercise::Role, nemesis::NodeId, plan::NODES_MAX};

/// The scenarios that the harness brings along: one `.json` file each, beside this one.
const BUILTIN: [&str; 1] = [include_str!("leader-election.json")];

/// A scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The format of the file.
    pub version: Version<1>,
    /// How it is called for, in kebab case.
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// Size of the cluster, 1 to 9. No node runs before a step starts it.
    pub nodes: u64,
    /// One after the other; the first that fails ends the scenario.
    pub steps: Vec<Step>,
}

/// One step: an action, then an expectation that must come true and stay true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What happens and what must follow, in words.
    pub name: String,
    /// What is done.
    #[serde(rename = "do")]
    pub action: Action,
    /// What must be seen.
    pub expect: Expect,
    /// It must be seen within so many election timeouts…
    #[serde(default = "within")]
    pub within_timeouts: u32,
    /// …and then stay so for so many.
    #[serde(default = "hold")]
    pub hold_timeouts: u32,
}

fn within() -> u32 {
    30
}

fn hold() -> u32 {
    8
}

/// What is done to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Starts a node that is down, with the data it has.
    Start(Target),
    /// Kills a node with SIGKILL.
    Crash(Target),
}

/// Whom an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// `leader`: the leader that the step before ended with.
    Leader,
    /// `n1`, `n2`, …
    Node(NodeId),
}

/// What must be seen in the nodes' own accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Who leads.
    pub leader: Leader,
    /// Roles that nodes must have, all the time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<Target, Role>,
}

/// Who must lead. A leader is one that says so itself and that a majority of the running nodes,
/// itself among them, names in the same term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leader {
    /// Nobody, at no moment since the action; and no node names one any more.
    None,
    /// Anybody.
    Some,
    /// Who led before, in the same term, without a break; and every running node names it.
    Same,
    /// Another than before, in a later term.
    New,
}

impl PartialOrd for Target {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Target {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.to_string().cmp(&other.to_string())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("leader"),
            Self::Node(id) => write!(f, "n{id}"),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "leader" {
            return Ok(Self::Leader);
        }
        match text.strip_prefix('n').and_then(|id| id.parse().ok()) {
            Some(id) if id > 0 => Ok(Self::Node(id)),
            _ => Err(format!("`{text}` is no target; write `leader`, or `n1`, `n2`, …")),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(target) => write!(f, "start {target}"),
            Self::Crash(target) => write!(f, "crash {target}"),
        }
    }
}

impl Scenario {
    /// The scenarios that come with the harness.
    ///
    /// # Errors
    /// One of them is broken, which a test rules out.
    pub fn builtin() -> Result<Vec<Self>> {
        BUILTIN.iter().map(|text| Self::parse(text)).collect()
    }

    /// Finds a scenario by its name, or reads the file of that path.
    ///
    /// # Errors
    /// There is neither; or the file is no scenario, and the sentence says where and why.
    pub fn load(name_or_path: &str) -> Result<Self> {
        let builtin = Self::builtin()?;
        if let Some(scenario) = builtin.iter().find(|scenario| scenario.name == name_or_path) {
            return Ok(scenario.clone());
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            let names: Vec<_> = builtin.iter().map(|scenario| scenario.name.as_str()).collect();
            bail!(
                "there is no scenario `{name_or_path}` and no file of that name; the scenarios are: {}",
                names.join(", ")
            );
        }
        let of = || format!("scenario {}", path.display());
        Self::parse(&std::fs::read_to_string(path).with_context(of)?).with_context(of)
    }

    fn parse(text: &str) -> Result<Self> {
        let scenario: Self = serde_json::from_str(text)?;
        scenario.validate()?;
        Ok(scenario)
    }

    /// Rejects what cannot be run.
    fn validate(&self) -> Result<()> {
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !self.name.is_empty() && self.name.len() <= 40 && self.name.chars().all(kebab),
            "the name `{}` is not of 1 to 40 lower-case letters, digits and dashes",
            self.name
        );
        ensure!(
            (1..=NODES_MAX).contains(&self.nodes),
            "a cluster has 1 to {NODES_MAX} nodes, not {}",
            self.nodes
        );
        ensure!(!self.steps.is_empty(), "a scenario needs at least one step");
        for (i, step) in self.steps.iter().enumerate() {
            let number = i + 1;
            let (Action::Start(target) | Action::Crash(target)) = step.action;
            for target in step.expect.roles.keys().chain([&target]) {
                if let Target::Node(id) = target {
                    ensure!(
                        *id <= self.nodes,
                        "step {number} names n{id} in a cluster of {}",
                        self.nodes
                    );
                }
            }
            ensure!(
                step.action != Action::Start(Target::Leader),
                "step {number} starts the leader, which runs already"
            );
            ensure!(
                step.within_timeouts > 0 && step.hold_timeouts > 0,
                "step {number}: within_timeouts and hold_timeouts are at least 1"
            );
            let leaderless = i == 0 || self.steps[i - 1].expect.leader == Leader::None;
            ensure!(
                !leaderless
                    || (step.action != Action::Crash(Target::Leader)
                        && !step.expect.roles.contains_key(&Target::Leader)
                        && !matches!(step.expect.leader, Leader::Same | Leader::New)),
                "step {number} speaks of the leader before it, and there is none"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_scenario_is_sound() {
        let names: Vec<_> = Scenario::builtin().unwrap().into_iter().map(|s| s.name).collect();
        assert_eq!(names, ["leader-election"]);
        assert_eq!(Scenario::load("leader-election").unwrap().steps.len(), 8);
    }

    #[test]
    fn a_scenario_survives_its_file() {
        let scenario = Scenario::load("leader-election").unwrap();
        let text = serde_json::to_string(&scenario).unwrap();
        assert_eq!(Scenario::parse(&text).unwrap(), scenario);
    }

    #[test]
    fn mistakes_are_refused_with_a_reason() {
        let file = |nodes: u64, steps: &str| {
            let text = format!(
                r#"{{"version": 1, "name": "x", "about": "", "nodes": {nodes}, "steps": [{steps}]}}"#
            );
            format!("{:#}", Scenario::parse(&text).unwrap_err())
        };
        let step = |action: &str, expect: &str| {
            format!(r#"{{"name": "s", "do": {action}, "expect": {expect}}}"#)
        };
        for (error, expected) in [
            (file(3, ""), "at least one step"),
            (file(12, &step(r#"{"start": "n1"}"#, r#"{"leader": "none"}"#)), "1 to 9 nodes"),
            (file(3, &step(r#"{"start": "n4"}"#, r#"{"leader": "none"}"#)), "names n4"),
            (file(3, &step(r#"{"start": "leader"}"#, r#"{"leader": "none"}"#)), "runs already"),
            (file(3, &step(r#"{"crash": "leader"}"#, r#"{"leader": "none"}"#)), "there is none"),
            (file(3, &step(r#"{"start": "n1"}"#, r#"{"leader": "same"}"#)), "there is none"),
            (file(3, &step(r#"{"start": "node1"}"#, r#"{"leader": "none"}"#)), "no target"),
            (file(3, &step(r#"{"start": "n1"}"#, r#"{"leader": "maybe"}"#)), "unknown variant"),
            (file(3, &step(r#"{"shoot": "n1"}"#, r#"{"leader": "none"}"#)), "unknown variant"),
        ] {
            assert!(error.contains(expected), "{error}");
        }
        let error = Scenario::load("no-such-thing").unwrap_err().to_string();
        assert!(error.contains("the scenarios are: leader-election"), "{error}");
    }
}
