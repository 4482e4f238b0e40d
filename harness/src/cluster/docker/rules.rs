//! Cuts as iptables rules.
//!
//! A link `a → b` is cut at `b`: packets from `a`'s address are dropped in `b`'s chain `RAFT-IN`.
//! Always at the receiver, never in the sender's output, for two reasons. A packet dropped on
//! output makes the sender's system call fail (EPERM), which no broken cable does: the sender would
//! learn of the fault. And one place per link makes it clear what a counter counts: packets that
//! were sent, travelled, and were thrown away. A two-way cut is two links, hence rules at both
//! ends; a mute node is cut at each of its peers, a deaf one at itself.
//!
//! Each link of each cut is two rules that bear the cut's id as a comment: one without a target, at
//! the head of the chain, that only counts, and one at its end that drops. So all cuts that hold a
//! packet count it, whichever drops it, and overlapping cuts come, prove themselves and go
//! independently. Only peers' addresses are matched: clients, who come through the gateway, still
//! reach a node that is cut off.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use crate::nemesis::{Link, NodeId};

/// How many packets a cut has held up on one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The receiving node, where the rule stands.
    pub node: NodeId,
    /// The counting rule, as iptables prints it.
    pub rule: String,
    /// Packets since the cut was installed.
    pub packets: u64,
    /// Bytes of these packets, IP headers included.
    pub bytes: u64,
}

/// Prepares a pod, whatever was done to it before: the chain, and the jump to it. `nft` or
/// `legacy` is printed, whichever works on this kernel.
pub(super) const PREPARE: &str = r#"flavour=
for f in nft legacy; do
  if iptables-$f -w -S INPUT >/dev/null 2>&1; then flavour=$f; break; fi
done
if [ -z "$flavour" ]; then
  iptables-nft -w -S INPUT; iptables-legacy -w -S INPUT
  sh -c 'exit 1'
else
  iptables-$flavour-restore --noflush <<'END' && echo "$flavour"
*filter
:RAFT-IN - [0:0]
-A INPUT -j RAFT-IN
COMMIT
END
fi"#;

/// Which command speaks to the kernel's packet filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    /// `iptables-nft`, over nf_tables.
    Nft,
    /// `iptables-legacy`, over ip_tables.
    Legacy,
}

impl Flavour {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "nft" => Some(Self::Nft),
            "legacy" => Some(Self::Legacy),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        }
    }

    fn restore(self, lines: &[String]) -> String {
        let name = self.name();
        let lines = lines.join("\n");
        format!("iptables-{name}-restore --noflush <<'END'\n*filter\n{lines}\nCOMMIT\nEND")
    }

    /// Script that installs a cut at one node: all rules or none.
    pub(super) fn install(self, cut: u64, sources: &[Ipv4Addr]) -> String {
        let lines: Vec<String> = sources
            .iter()
            .flat_map(|&source| {
                let matching = matching(cut, source);
                [format!("-I RAFT-IN 1 {matching}"), format!("-A RAFT-IN {matching} -j DROP")]
            })
            .collect();
        self.restore(&lines)
    }

    /// Script that removes it: all rules or none.
    pub(super) fn remove(self, cut: u64, sources: &[Ipv4Addr]) -> String {
        let lines: Vec<String> = sources
            .iter()
            .flat_map(|&source| {
                let matching = matching(cut, source);
                [format!("-D RAFT-IN {matching} -j DROP"), format!("-D RAFT-IN {matching}")]
            })
            .collect();
        self.restore(&lines)
    }

    /// Script that prints the table with counters.
    pub(super) fn save(self) -> String {
        format!("iptables-{}-save -c -t filter", self.name())
    }
}

fn matching(cut: u64, source: Ipv4Addr) -> String {
    format!("-s {source}/32 -m comment --comment cut-{cut}")
}

/// The dropping rule, as a person would type it.
pub(super) fn in_words(node: NodeId, cut: u64, source: Ipv4Addr) -> String {
    format!("n{node}: iptables -A RAFT-IN {} -j DROP", matching(cut, source))
}

/// A cut's links by the node at which they are dropped.
pub(super) fn by_receiver(links: &[Link]) -> BTreeMap<NodeId, BTreeSet<NodeId>> {
    let mut receivers: BTreeMap<NodeId, BTreeSet<NodeId>> = BTreeMap::new();
    for link in links {
        receivers.entry(link.to).or_default().insert(link.from);
    }
    receivers
}

/// A cut's counters in what [`Flavour::save`] printed.
pub(super) fn counters(node: NodeId, cut: u64, table: &str) -> Vec<Counter> {
    let comment = format!("cut-{cut}");
    table
        .lines()
        .filter_map(|line| {
            let (counts, rule) = line.strip_prefix('[')?.split_once("] ")?;
            let mut words = rule.split_whitespace().map(|word| word.trim_matches('"'));
            if !rule.starts_with("-A RAFT-IN ")
                || rule.contains(" -j ")
                || !words.any(|word| word == comment)
            {
                return None;
            }
            let (packets, bytes) = counts.split_once(':')?;
            Some(Counter {
                node,
                rule: rule.trim_end().to_owned(),
                packets: packets.parse().ok()?,
                bytes: bytes.parse().ok()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
*filter
:INPUT ACCEPT [120:9000]
:RAFT-IN - [0:0]
[130:9840] -A INPUT -j RAFT-IN
[10:840] -A RAFT-IN -s 198.18.3.12/32 -m comment --comment cut-71
[7:588] -A RAFT-IN -s 198.18.3.11/32 -m comment --comment \"cut-7\"
[7:588] -A RAFT-IN -s 198.18.3.11/32 -m comment --comment cut-7 -j DROP
COMMIT
";

    #[test]
    fn counters_are_those_of_the_cut_and_no_other() {
        let found = counters(2, 7, TABLE);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].node, found[0].packets, found[0].bytes), (2, 7, 588));
        assert_eq!(counters(2, 71, TABLE)[0].packets, 10);
        assert!(counters(2, 1, TABLE).is_empty());
    }

    #[test]
    fn a_cut_counts_first_and_drops_last() {
        let script = Flavour::Nft.install(3, &[Ipv4Addr::new(198, 18, 0, 11)]);
        let count = script.find("-I RAFT-IN 1 -s 198.18.0.11/32 -m comment --comment cut-3\n");
        let drop = script.find("-A RAFT-IN -s 198.18.0.11/32 -m comment --comment cut-3 -j DROP");
        assert!(count.unwrap() < drop.unwrap(), "{script}");
    }

    #[test]
    fn links_are_dropped_at_their_receiver() {
        let links = [Link { from: 1, to: 2 }, Link { from: 3, to: 2 }, Link { from: 2, to: 1 }];
        let receivers = by_receiver(&links);
        assert_eq!(receivers[&2], BTreeSet::from([1, 3]));
        assert_eq!(receivers[&1], BTreeSet::from([2]));
    }
}
