//! Requests that a node left unanswered while it answered others.

use std::ops::Range;

use super::silence::{Asked, Asking};

/// What became of the requests of one node in a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Misses {
    /// Requests that began and ended in the span.
    pub(super) asked: usize,
    /// Indices of those that were not answered in time, or were refused, or were not answered
    /// although the node answered, meanwhile, a request that began later.
    pub(super) passed_over: Vec<u64>,
}

impl Misses {
    /// Adds those of another span.
    pub(super) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.passed_over.extend(other.passed_over);
    }
}

/// The times in which a node must serve: once a span of its calm has lasted for `bound`, and once a
/// leader that is calm as well has led for `settles` in it, until that is over. Ascending, apart.
pub(super) fn served(
    calm: &[Range<u64>],
    bound: u64,
    led: &[Range<u64>],
    settles: u64,
) -> Vec<Range<u64>> {
    let late = calm.iter().map(|span| span.start + bound..span.end);
    let under = calm.iter().flat_map(|span| {
        led.iter().map(|led| led.start.max(span.start) + settles..led.end.min(span.end))
    });
    let mut times: Vec<Range<u64>> = late.chain(under).filter(|it| it.start < it.end).collect();
    times.sort_by_key(|it| it.start);
    let mut apart: Vec<Range<u64>> = Vec::new();
    for time in times {
        match apart.last_mut() {
            Some(last) if time.start <= last.end => last.end = last.end.max(time.end),
            _ => apart.push(time),
        }
    }
    apart
}

/// One in a thousand million times a node that is well is taken for one that is not.
const LOG_ODDS: f64 = 20.7;

/// Whether chance, which loses this share of requests, explains so many that were passed over
/// hardly ever: by Chernoff's bound, `P(X ≥ k) ≤ exp(−n·D(k/n ‖ p))`.
pub(super) fn too_many(asked: usize, passed_over: usize, share: f64) -> bool {
    if passed_over == 0 || asked == 0 {
        return false;
    }
    let (n, k) = (asked as f64, passed_over as f64);
    let (seen, share) = (k / n, share.clamp(1e-6, 1.0));
    if seen <= share {
        return false;
    }
    let rest = if seen < 1.0 { (1.0 - seen) * ((1.0 - seen) / (1.0 - share)).ln() } else { 0.0 };
    n * (seen * (seen / share).ln() + rest) > LOG_ODDS
}

impl Asked {
    /// The requests within a span. One that is passed over was open when a later one was answered.
    /// Where everything must be answered within a time, `prompt`, one that was not is passed over
    /// too: it was open for so long, or was refused, and not for a limit of the node.
    pub(super) fn misses(&self, span: &Range<u64>, prompt: Option<u64>) -> Misses {
        let within =
            |request: &Range<u64>| span.contains(&request.start) && span.contains(&request.end);
        let mut misses = Misses::default();
        let first = self.requests.partition_point(|it| it.span.start < span.start);
        let after = self.requests.partition_point(|it| it.span.start < span.end);
        for (at, request) in self.requests[..after].iter().enumerate().skip(first) {
            if !within(&request.span) {
                continue;
            }
            misses.asked += 1;
            let meanwhile = |later: &&Asking| later.span.start < request.span.end;
            let mut later = self.requests[at + 1..].iter().take_while(meanwhile);
            let length = request.span.end - request.span.start;
            let owed = prompt.is_some_and(|prompt| length >= prompt || request.refused);
            if !request.answered
                && (owed || later.any(|it| it.answered && it.span.end < request.span.end))
            {
                misses.passed_over.push(request.index);
            }
        }
        misses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_must_serve_late_in_its_calm_and_soon_under_a_leader() {
        let calm = [0..100, 200..400];
        assert_eq!(served(&calm, 50, &[], 10), [50..100, 250..400]);
        assert_eq!(
            served(&calm, 50, &[0..30, 190..230, 240..500], 10),
            [10..30, 50..100, 210..230, 250..400]
        );
        assert_eq!(served(&calm, 150, &[0..90, 350..u64::MAX], 10), [10..90, 350..400]);
    }

    #[test]
    fn what_chance_explains_is_no_fault() {
        // A node that drops every tenth request, where one in 500 is lost.
        assert!(too_many(100, 10, 0.002));
        assert!(!too_many(30, 3, 0.002), "too few to tell");
        assert!(!too_many(1000, 9, 0.005));
        assert!(!too_many(1000, 5, 0.005));
        assert!(!too_many(0, 0, 0.0));
        assert!(too_many(20, 20, 0.1));
    }
}
