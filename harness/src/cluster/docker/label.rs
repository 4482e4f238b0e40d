//! Labels: what is ours, and whether the harness that made it still lives.
//!
//! Everything we create carries the run's id under [`RUN`] and its maker under [`OWNER`]. A
//! process id alone would not do, as ids are used again: the maker is named by process id, start
//! time, boot of the machine, and the namespace in which the process id counts.

use std::{collections::HashMap, fs};

/// Label whose value is the run's id. Nothing without it is ever touched.
pub const RUN: &str = "raft-lab";

/// Label whose value is the [`Owner`].
pub const OWNER: &str = "raft-lab.owner";

/// Label of a node's container whose value is the run directory: see `rescue`.
pub(super) const DIRECTORY: &str = "raft-lab.directory";

/// Label of a node's container whose value is the node, `n1`.
pub(super) const NODE: &str = "raft-lab.node";

/// Label of a node's container whose value is where in it the node writes its trace, if it writes
/// one.
pub(super) const TRACE: &str = "raft-lab.trace";

/// A harness process. Its text form is `<process id>.<start time>.<pid namespace>.<boot id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    process: u32,
    /// Clock ticks between the machine's boot and the start of the process.
    started: u64,
    /// Inode of the pid namespace.
    namespace: u64,
    boot: String,
}

impl Owner {
    /// This process. Where there is no `/proc`, fields are zero or empty.
    pub(crate) fn current() -> Self {
        let process = std::process::id();
        Self {
            process,
            started: start_time(process).unwrap_or_default(),
            namespace: namespace().unwrap_or_default(),
            boot: boot().unwrap_or_default(),
        }
    }

    /// Whether the process has certainly ended. In doubt (another machine's daemon client, a
    /// process in a container of its own) it counts as alive.
    pub(crate) fn is_dead(&self) -> bool {
        let (Some(boot), Some(namespace)) = (boot(), namespace()) else { return false };
        if self.boot.is_empty() {
            return false;
        }
        if self.boot != boot {
            // The daemon and its clients share a machine, as nodes are reached on 127.0.0.1: this
            // owner lived before the machine was started again.
            return true;
        }
        self.namespace == namespace && start_time(self.process) != Some(self.started)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '.');
        Some(Self {
            process: parts.next()?.parse().ok()?,
            started: parts.next()?.parse().ok()?,
            namespace: parts.next()?.parse().ok()?,
            boot: parts.next()?.into(),
        })
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}.{}", self.process, self.started, self.namespace, self.boot)
    }
}

/// Whether the maker that these labels name has certainly ended.
pub(crate) fn owner_is_dead(labels: &HashMap<String, String>) -> bool {
    labels.get(OWNER).and_then(|text| Owner::parse(text)).is_some_and(|owner| owner.is_dead())
}

/// The labels of everything that belongs to a run of this process.
pub(crate) fn labels(run: &str) -> HashMap<String, String> {
    HashMap::from([(RUN.into(), run.into()), (OWNER.into(), Owner::current().to_string())])
}

/// Filter for the daemon's lists: everything of ours, or of one run.
pub(crate) fn filter(run: Option<&str>) -> HashMap<String, Vec<String>> {
    let label = run.map_or_else(|| RUN.to_owned(), |run| format!("{RUN}={run}"));
    HashMap::from([("label".to_owned(), vec![label])])
}

fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

fn namespace() -> Option<u64> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

/// Field 22 of `/proc/<pid>/stat`. The second field, the program's name in parentheses, may hold
/// blanks and parentheses itself, so fields are counted from its end.
fn start_time(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // A zombie has ended; only its parent has not looked yet.
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive() {
        let owner = Owner::current();
        assert_eq!(Owner::parse(&owner.to_string()).unwrap(), owner);
        assert!(!owner.is_dead());
        assert!(!owner_is_dead(&labels("x")));
    }

    #[test]
    fn a_process_id_that_was_used_again_is_dead() {
        let owner = Owner { started: 1, ..Owner::current() };
        assert!(owner.is_dead());
    }

    #[test]
    fn an_ended_process_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = child.id();
        let owner = Owner { process, started: start_time(process).unwrap(), ..Owner::current() };
        assert!(!owner.is_dead());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(owner.is_dead());
    }

    #[test]
    fn an_owner_before_the_last_boot_is_dead_and_one_in_another_namespace_is_not() {
        assert!(Owner { boot: "another".into(), ..Owner::current() }.is_dead());
        assert!(!Owner { namespace: 1, started: 1, ..Owner::current() }.is_dead());
        assert!(!owner_is_dead(&HashMap::from([(RUN.into(), "x".into())])));
    }
}
