//! `state-machine-safety`

use proto::trace::{Event, Hash};

use super::{Kind, Rule, entry};
use crate::{
    raft::{
        state::Line,
        step::{Report, Step},
    },
    text::counted,
};

/// If a node applied an entry at an index, no node ever applies another one there (paper, figure 3
/// and section 5.4.3), and equal entries make equal states. Nodes apply in order, without a gap,
/// nothing that they did not commit.
#[derive(Default)]
pub(super) struct StateMachineSafety {
    /// What was applied at each index, from 1.
    applied: Vec<Applied>,
    lines: u64,
}

#[derive(Clone, Copy)]
struct Applied {
    prefix: Hash,
    /// Who first said in what state it was, and where; absent inside a batch.
    state: Option<State>,
}

#[derive(Clone, Copy)]
struct State {
    digest: Hash,
    node: u32,
    line: Line,
}

impl Rule for StateMachineSafety {
    fn name(&self) -> &'static str {
        "state-machine-safety"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Applied]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        let &Event::Applied { last, state } = step.event() else { return };
        self.lines += 1;
        let (me, node) = (step.id(), step.node);
        let (applied, line) = node.applied;
        if last.index <= applied {
            report.violation(
                format!("n{me} applied {} after it had applied index {applied}", entry(last)),
                &[],
                &[line],
            );
        }
        let (commit, line) = node.commit;
        if last.index > commit {
            report.violation(
                format!("n{me} applied {}, but had committed up to index {commit}", entry(last)),
                &[],
                &[line],
            );
        }
        if !node.log.contains(last) {
            report.violation(
                format!("n{me} applied {}, which is not in its log", entry(last)),
                &[],
                &[],
            );
            return;
        }
        let known = self.applied.len() as u64;
        if last.index > known {
            let new = usize::try_from(last.index - known).unwrap_or(usize::MAX);
            let new = node.log.hashes_after(known).iter().take(new);
            self.applied.extend(new.map(|prefix| Applied { prefix: *prefix, state: None }));
        }
        let Some(at) = last.index.checked_sub(1).and_then(|at| usize::try_from(at).ok()) else {
            return;
        };
        let Some(slot) = self.applied.get_mut(at) else { return };
        if slot.prefix != last.hash {
            // Whoever reported this index or the next one after it applied this entry as well.
            let prefix = slot.prefix;
            let witness = self.applied.iter().skip(at).find_map(|slot| slot.state);
            let (other, lines): (Vec<_>, Vec<_>) =
                witness.iter().map(|state| (u64::from(state.node), state.line)).unzip();
            let other_name = other.first().map_or("another node".to_owned(), |o| format!("n{o}"));
            report.violation(
                format!(
                    "n{me} applied {} with prefix hash {}, where {other_name} applied another \
                     prefix, {}",
                    entry(last),
                    last.hash,
                    prefix
                ),
                &other,
                &lines,
            );
            return;
        }
        let mine =
            State { digest: state, node: u32::try_from(me).unwrap_or(u32::MAX), line: step.line };
        let first = *slot.state.get_or_insert(mine);
        if first.digest != state {
            report.violation(
                format!(
                    "after {} the state of n{me} is {state}, that of n{} was {}",
                    entry(last),
                    first.node,
                    first.digest
                ),
                &[u64::from(first.node)],
                &[first.line],
            );
        }
    }

    fn examined(&self) -> String {
        let entries = counted(self.applied.len() as u64, "entry");
        format!("{entries} applied, {} compared", counted(self.lines, "state"))
    }
}
