//! Components: strongly connected components of more than one node (Tarjan, 1972, without
//! recursion).

use super::{
    graph::{Graph, Mask},
    history::NONE,
};
use crate::budget::{Budget, Spent};

/// Nodes between two looks at the clock.
const BETWEEN: u32 = 1 << 16;

/// The components of the `left` nodes along edges of the mask, and of each of these nodes the
/// number of its component, or [`NONE`].
pub(super) struct Components {
    pub(super) components: Vec<Vec<u32>>,
    pub(super) of: Vec<u32>,
}

impl Components {
    pub(super) fn find(
        graph: &Graph,
        left: &[bool],
        mask: Mask,
        budget: &Budget,
    ) -> Result<Self, Spent> {
        let nodes = graph.nodes();
        let mut found = Self { components: Vec::new(), of: vec![NONE; nodes as usize] };
        // The number of each node in order of discovery; the lowest that it leads back to; and the
        // nodes whose component is not known yet.
        let mut discovered = vec![NONE; nodes as usize];
        let mut lowest = vec![NONE; nodes as usize];
        let mut open = Vec::new();
        let mut is_open = vec![false; nodes as usize];
        let mut path: Vec<(u32, u32)> = Vec::new();
        let mut count = 0;
        for root in (0..nodes).filter(|&node| left[node as usize]) {
            if discovered[root as usize] != NONE {
                continue;
            }
            path.push((root, 0));
            while let Some((node, edge)) = path.last_mut() {
                let at = *node as usize;
                if *edge == 0 {
                    (discovered[at], lowest[at]) = (count, count);
                    count += 1;
                    open.push(*node);
                    is_open[at] = true;
                    if count % BETWEEN == 0 {
                        budget.time()?;
                    }
                }
                match graph.edge(*node, *edge) {
                    Some((kind, to)) => {
                        *edge += 1;
                        if kind & mask == 0 || !left[to as usize] {
                        } else if discovered[to as usize] == NONE {
                            path.push((to, 0));
                        } else if is_open[to as usize] {
                            lowest[at] = lowest[at].min(discovered[to as usize]);
                        }
                    }
                    None => {
                        let node = *node;
                        path.pop();
                        if let Some(&(before, _)) = path.last() {
                            lowest[before as usize] = lowest[at].min(lowest[before as usize]);
                        }
                        if lowest[at] == discovered[at] {
                            found.close(node, &mut open, &mut is_open);
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    /// All that was opened since `node` is a component with it.
    fn close(&mut self, node: u32, open: &mut Vec<u32>, is_open: &mut [bool]) {
        let start = open.iter().rposition(|&other| other == node).unwrap_or_default();
        let component = open.split_off(start);
        for &node in &component {
            is_open[node as usize] = false;
        }
        if component.len() > 1 {
            for &node in &component {
                self.of[node as usize] = self.components.len() as u32;
            }
            self.components.push(component);
        }
    }
}
