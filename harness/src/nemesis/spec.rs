//! The text of `--faults`: `kill,pause,partition`, narrower `kill:leader,partition:deaf:leader`,
//! `disk:flip,clock:fast:leader`; or `none`.

use std::{fmt, str::FromStr};

use super::{
    Fault, Shape, Target,
    trouble::{ClockTrouble, DiskTrouble, NetworkTrouble, Variants},
};

/// What a schedule may choose from: an item for each part of the text, each with its faults. Items
/// take turns, so that none is starved; within an item a fault that is listed twice comes twice
/// as often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Menu {
    /// The items.
    pub items: Vec<Vec<Fault>>,
    text: String,
}

/// Targets of a fault of [`PLAIN`] that names none. The leader and single nodes weigh more: that is
/// where elections and catching up happen while the cluster still serves.
const TARGETS: [Target; 10] = [
    Target::Leader,
    Target::Leader,
    Target::Leader,
    Target::One,
    Target::One,
    Target::Minority,
    Target::Majority,
    Target::Followers,
    Target::Random,
    Target::All,
];

/// A fault, once its target is known.
type Aimed = fn(Target) -> Fault;

/// The kinds of faults that have a target and nothing more.
const PLAIN: [(&str, Aimed); 3] = [
    ("kill", |target| Fault::Kill { target }),
    ("restart", |target| Fault::Restart { target }),
    ("pause", |target| Fault::Pause { target }),
];

/// Targets of a fault of the network, of disks or of clocks that names none.
const TROUBLED: [Target; 6] =
    [Target::Leader, Target::Leader, Target::One, Target::Minority, Target::Majority, Target::All];

impl Menu {
    /// Leaves out what a cluster of so many nodes cannot suffer, unless it was asked for by name:
    /// `partition` on three nodes has no majorities-ring, `partition:majorities-ring` is an error.
    ///
    /// # Errors
    /// An item has no fault left; says why.
    pub fn for_nodes(&self, nodes: u64) -> Result<Self, String> {
        let mut items = Vec::new();
        for item in &self.items {
            let possible: Vec<Fault> =
                item.iter().copied().filter(|fault| fault.impossible(nodes).is_none()).collect();
            if possible.is_empty() {
                let why = item.iter().find_map(|fault| fault.impossible(nodes));
                return Err(why.unwrap_or_else(|| "a fault has no variant".to_owned()));
            }
            items.push(possible);
        }
        Ok(Self { items, text: self.text.clone() })
    }
}

impl fmt::Display for Menu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Menu {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let items = if trimmed == "none" {
            Vec::new()
        } else {
            trimmed.split(',').map(|part| item(part.trim())).collect::<Result<_, _>>()?
        };
        Ok(Self { items, text: trimmed.to_owned() })
    }
}

fn item(text: &str) -> Result<Vec<Fault>, String> {
    let mut parts = text.split(':');
    let kind = parts.next().unwrap_or_default();
    let (first, second) = (parts.next(), parts.next());
    if parts.next().is_some() {
        return Err(format!("`{text}` has too many parts; write kind:target or partition:shape"));
    }
    if let Some((_, fault)) = PLAIN.iter().find(|(name, _)| *name == kind) {
        if let Some(extra) = second {
            return Err(format!("`{text}`: a {kind} has a target and nothing more, not `{extra}`"));
        }
        let targets = first.map_or(Ok(TARGETS.to_vec()), |target| Ok(vec![target.parse()?]));
        return targets.map(|targets: Vec<Target>| targets.into_iter().map(fault).collect());
    }
    let faults = match (kind, first, second) {
        ("partition", None, _) => any_partition(),
        ("partition", Some(shape), target) => {
            let shape: Shape = shape.parse()?;
            let target = target.map_or(Ok(Target::One), str::parse)?;
            if target != Target::One && !shape.takes_target() {
                return Err(format!("`{text}`: the shape {shape} takes no target"));
            }
            vec![Fault::Partition { shape, target }]
        }
        (NetworkTrouble::KIND, how, target) => {
            troubles(how, target, |how, target| Fault::Network { how, target })?
        }
        (DiskTrouble::KIND, how, target) => {
            troubles(how, target, |how, target| Fault::Disk { how, target })?
        }
        (ClockTrouble::KIND, how, target) => {
            troubles(how, target, |how, target| Fault::Clock { how, target })?
        }
        ("none", ..) => return Err("`none` stands alone: it means no faults".to_owned()),
        _ => {
            return Err(format!(
                "unknown fault `{kind}`: choose from {}, each alone or narrower (kill:leader, \
                 partition:bridge, disk:full), or none",
                super::KINDS.join(", ")
            ));
        }
    };
    Ok(faults)
}

fn troubles<T: Variants>(
    how: Option<&str>,
    target: Option<&str>,
    fault: impl Fn(T, Target) -> Fault,
) -> Result<Vec<Fault>, String> {
    let all = || T::ALL.iter().map(|(how, _)| *how).collect();
    let hows: Vec<T> = how.map_or_else(|| Ok(all()), |how| T::parse(how).map(|how| vec![how]))?;
    let targets = match target {
        Some(target) => vec![target.parse()?],
        None => TROUBLED.to_vec(),
    };
    let fault = &fault;
    Ok(hows
        .into_iter()
        .flat_map(|how| targets.iter().map(move |target| fault(how, *target)))
        .collect())
}

fn any_partition() -> Vec<Fault> {
    let mut faults: Vec<Fault> =
        Shape::all().map(|shape| Fault::Partition { shape, target: Target::One }).collect();
    for shape in [Shape::Deaf, Shape::Mute] {
        faults.push(Fault::Partition { shape, target: Target::Leader });
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu(text: &str) -> Menu {
        text.parse().unwrap()
    }

    #[test]
    fn a_kind_alone_means_all_its_variants() {
        let menu = menu("kill,pause,partition");
        assert_eq!(menu.items.len(), 3);
        for shape in Shape::all() {
            assert!(menu.items[2].contains(&Fault::Partition { shape, target: Target::One }));
        }
        assert!(menu.items[0].contains(&Fault::Kill { target: Target::Leader }));
    }

    #[test]
    fn a_narrower_item_means_one_fault() {
        assert_eq!(menu("kill:leader").items, [[Fault::Kill { target: Target::Leader }]]);
        assert_eq!(
            menu("partition:deaf:leader").items,
            [[Fault::Partition { shape: Shape::Deaf, target: Target::Leader }]]
        );
        assert!(menu("none").items.is_empty());
    }

    #[test]
    fn troubles_narrow_from_a_kind_to_one_fault() {
        let troubles: Vec<usize> = menu("network,disk,clock").items.iter().map(Vec::len).collect();
        assert_eq!(troubles, [5 * TROUBLED.len(), 4 * TROUBLED.len(), 3 * TROUBLED.len()]);
        assert_eq!(menu("disk:flip").items[0].len(), TROUBLED.len());
        let fault = Fault::Disk { how: DiskTrouble::FailSync, target: Target::Leader };
        assert_eq!(menu("disk:fail-sync:leader").items, [[fault]]);
        let text = serde_json::to_string(&fault).unwrap();
        assert_eq!(text, r#"{"fault":"disk","how":"fail-sync","target":"leader"}"#);
        assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
        assert!(menu("network").for_nodes(1).unwrap_err().contains("at least 2 nodes"));
        assert!(menu("disk,clock").for_nodes(1).is_ok());
    }

    #[test]
    fn a_fault_reads_back_from_how_it_is_shown() {
        for item in menu(&super::super::KINDS.join(",")).items {
            for fault in item {
                assert_eq!(menu(&fault.to_string()).items, [[fault]]);
            }
        }
    }

    #[test]
    fn what_is_unknown_or_senseless_is_refused_with_a_sentence() {
        for (text, says) in [
            ("explode", "unknown fault `explode`"),
            ("", "unknown fault ``"),
            ("kill,", "unknown fault ``"),
            ("kill:nobody", "unknown target `nobody`"),
            ("kill:leader:one", "not `one`"),
            ("partition:star", "unknown shape `star`"),
            ("network:down", "unknown network fault `down`: choose one of slow, lossy"),
            ("disk:flip:nobody", "unknown target `nobody`"),
            ("clock:jump:one:two", "too many parts"),
            ("partition:bridge:leader", "takes no target"),
            ("kill,none", "stands alone"),
            ("a:b:c:d", "too many parts"),
        ] {
            let error = text.parse::<Menu>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn small_clusters_lose_what_they_cannot_suffer() {
        let three = menu("partition").for_nodes(3).unwrap();
        let ring = Fault::Partition { shape: Shape::MajoritiesRing, target: Target::One };
        assert!(!three.items[0].contains(&ring));
        assert!(menu("partition:majorities-ring").for_nodes(3).unwrap_err().contains("at least 4"));
        assert!(menu("partition").for_nodes(1).unwrap_err().contains("at least 2"));
        assert!(menu("kill:n4").for_nodes(3).unwrap_err().contains("names node n4"));
        assert!(menu("kill").for_nodes(1).is_ok());
    }
}
