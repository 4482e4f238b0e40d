//! Trails: by which steps each configuration came to be, so that the search can hand out an order.
//!
//! Configurations share what they have in common: a trail is a list that grows at its end, each
//! step naming the one before. Steps that no configuration descends from are dropped now and then,
//! and those from which all descend are final: they leave as the beginning of the order.

/// The trail of a search that has not taken a step.
pub(super) const START: u32 = u32::MAX;

/// What a step did with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It took its place after all others.
    Placed,
    /// The same, and what was there before is overwritten.
    Overwrote,
    /// It took its place unseen, just before the last one that overwrote.
    Hidden,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    before: u32,
    how: How,
    position: usize,
}

/// The steps of all configurations.
#[derive(Debug)]
pub(super) struct Trails {
    steps: Vec<Step>,
    /// The order so far, as far as all configurations agree.
    agreed: Vec<usize>,
    /// Steps at which it is time to clear up.
    full: usize,
}

/// Steps for which there is room at once.
const STEPS: usize = 128;

/// Fewer steps are not worth clearing up.
const FULL_MIN: usize = 1024;

impl Trails {
    pub(super) fn new() -> Self {
        Self { steps: Vec::with_capacity(STEPS), agreed: Vec::new(), full: FULL_MIN }
    }

    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.agreed.clear();
        self.full = FULL_MIN;
    }

    /// Adds a step after `before` and returns the trail that it ends.
    pub(super) fn push(&mut self, before: u32, how: How, position: usize) -> u32 {
        self.steps.push(Step { before, how, position });
        self.steps.len() as u32 - 1
    }

    pub(super) fn bytes(&self) -> usize {
        self.steps.len() * size_of::<Step>()
    }

    pub(super) fn is_full(&self) -> bool {
        self.steps.len() >= self.full
    }

    /// Drops what none of the trails `ends` needs, and renames them.
    pub(super) fn clear_up<'a>(&mut self, ends: impl Iterator<Item = &'a mut u32>) {
        let ends: Vec<&mut u32> = ends.collect();
        let mut live = vec![false; self.steps.len()];
        let mut is_end = vec![false; self.steps.len()];
        let mut at_start = 0;
        for end in &ends {
            match is_end.get_mut(**end as usize) {
                Some(is_end) => *is_end = true,
                None => at_start += 1,
            }
            let mut at = **end;
            while at != START && !std::mem::replace(&mut live[at as usize], true) {
                at = self.steps[at as usize].before;
            }
        }
        // How many go on from each step, and the last of them.
        let mut next = vec![(0, START); self.steps.len()];
        let mut first = (at_start, START);
        for (at, step) in (0..).zip(&self.steps) {
            if live[at as usize] {
                let next = next.get_mut(step.before as usize).unwrap_or(&mut first);
                *next = (next.0 + 1, at);
            }
        }
        let mut common = Vec::new();
        while let (1, at) = first {
            if at == START {
                break;
            }
            common.push(at);
            first = if is_end[at as usize] { (0, START) } else { next[at as usize] };
        }
        // What is hidden later may need a place before the last one that overwrote.
        let overwrote = |at: &u32| self.steps[*at as usize].how == How::Overwrote;
        common.truncate(common.iter().rposition(overwrote).unwrap_or(common.len()));
        if let Some(&last) = common.last() {
            let order = self.in_order(last);
            self.agreed.extend(order);
            for at in common {
                live[at as usize] = false;
            }
        }
        let mut name = vec![START; self.steps.len()];
        let mut kept = 0;
        for at in 0..self.steps.len() {
            if live[at] {
                let mut step = self.steps[at];
                step.before = name.get(step.before as usize).copied().unwrap_or(START);
                name[at] = kept as u32;
                self.steps[kept] = step;
                kept += 1;
            }
        }
        self.steps.truncate(kept);
        for end in ends {
            *end = name.get(*end as usize).copied().unwrap_or(START);
        }
        self.full = FULL_MIN.max(2 * kept);
    }

    /// The whole order that ends with this trail.
    pub(super) fn order(&self, end: u32) -> Vec<usize> {
        let mut order = self.agreed.clone();
        order.extend(self.in_order(end));
        order
    }

    /// The operations of a trail, those hidden in their places.
    fn in_order(&self, end: u32) -> Vec<usize> {
        let mut backwards = Vec::new();
        let mut hidden = Vec::new();
        let mut at = end;
        while let Some(step) = self.steps.get(at as usize) {
            match step.how {
                How::Placed => backwards.push(step.position),
                How::Hidden => hidden.push(step.position),
                How::Overwrote => {
                    backwards.push(step.position);
                    backwards.append(&mut hidden);
                }
            }
            at = step.before;
        }
        backwards.append(&mut hidden);
        backwards.reverse();
        backwards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_stands_before_the_last_that_overwrote() {
        let mut trails = Trails::new();
        let mut end = START;
        for (how, position) in [
            (How::Overwrote, 0),
            (How::Placed, 1),
            (How::Overwrote, 2),
            (How::Placed, 3),
            (How::Hidden, 4),
        ] {
            end = trails.push(end, how, position);
        }
        assert_eq!(trails.order(end), [0, 1, 4, 2, 3]);
    }

    #[test]
    fn clearing_up_changes_no_order() {
        let mut trails = Trails::new();
        let mut common = START;
        for position in 0..50 {
            let how = if position % 7 == 0 { How::Overwrote } else { How::Placed };
            common = trails.push(common, how, position);
        }
        let mut ends = [trails.push(common, How::Hidden, 50), trails.push(common, How::Placed, 51)];
        let dropped = trails.push(ends[0], How::Placed, 52);
        ends[0] = trails.push(ends[0], How::Placed, 53);
        let orders = ends.map(|end| trails.order(end));
        trails.clear_up(ends.iter_mut());
        assert_eq!(ends.map(|end| trails.order(end)), orders);
        // Left are the overwrite of 49, which may have to make room, and what differs.
        assert!(trails.steps.len() == 4 && trails.agreed.len() == 49 && dropped == 52);
        let later = trails.push(ends[1], How::Hidden, 54);
        assert_eq!(trails.order(later)[48..], [48, 54, 49, 51]);
        trails.clear_up([].into_iter());
        assert!(trails.steps.is_empty());
    }
}
