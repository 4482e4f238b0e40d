//! Whether the nodes serve whenever Raft promises that they do.
//!
//! - `recovery`: the cluster serves again after the last heal;
//! - `silence`: a node that is asked answers;
//! - `lag`: a node applies what the others applied;
//! - `misses`: nodes leave no requests unanswered;
//! - `elections`: they have a cause.
//!
//! All but the first are judged for each node by itself, in each span of its calm
//! ([`calm`](super::calm)): a cluster that serves elsewhere does not excuse a node that stands
//! still. How long that may last is `run.expect.service`. The last two are judged only as far as
//! the world of the run allows: `run.expect.misses`, `run.expect.stable`.

mod elections;
mod lag;
mod misses;
mod recovery;
mod silence;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::{
    elections::{Election, Reigns},
    lag::{Lag, Progress},
    misses::Misses,
    recovery::nanoseconds,
    silence::{Asked, Silence},
};
use super::{calm, violated};
use crate::{
    evidence::Evidence,
    history::{Request, clock::seconds},
    text::count,
    verdict::{Outcome, Property, Violation},
};

/// Name of the property.
pub const NAME: &str = "liveness";

/// A node that refuses is asked again within this part of the time in which it must answer.
const ASKED_AGAIN: u64 = 8;

/// Judges the cluster after the last heal, and each node in each span of its calm.
pub fn check(evidence: &Evidence, operations: &[impl Request]) -> Property {
    let service = Service::of(evidence, operations);
    let mut property = recovery::check(evidence, operations);
    let found = service.violations();
    if found.is_empty() {
        if property.outcome == Outcome::Ok {
            property.detail += &service.detail();
        }
        return property;
    }
    let nodes = found.iter().flat_map(|violation| &violation.nodes).collect::<Vec<_>>();
    let detail = match nodes.as_slice() {
        [node] => format!("{node} stood still although nothing kept it from serving"),
        _ => "nodes stood still although nothing kept them from serving".to_owned(),
    };
    property.violations.extend(found);
    violated(NAME, detail, property.violations)
}

/// The longest time that each node did not serve while it was calm.
#[derive(Debug, Default)]
struct Service<'a> {
    /// The longest that is allowed.
    bound: u64,
    /// The share of requests that a node may leave unanswered.
    misses: Option<f64>,
    nodes: Vec<OfNode<'a>>,
}

/// Of one node. Each with the span of calm that it was in.
#[derive(Debug, Default)]
struct OfNode<'a> {
    name: String,
    /// Spans of calm that are long enough to judge.
    spans: usize,
    silence: Option<(Silence, Range<u64>)>,
    /// Answers of other nodes meanwhile.
    others: usize,
    lag: Option<(Lag<'a>, Range<u64>)>,
    /// Requests after it had the time to serve.
    misses: Misses,
    elections: Vec<(Election<'a>, Range<u64>)>,
}

impl<'a> Service<'a> {
    fn of(evidence: &'a Evidence, operations: &[impl Request]) -> Self {
        let run = &evidence.run;
        let bound = nanoseconds(run.expect.service);
        let calm = calm::spans(&evidence.faults, run.nodes, run.duration.max(run.stopped));
        let asked = silence::asked(&evidence.history, operations, run.nodes);
        let progress = Progress::of(&evidence.traces, run.nodes, run.started);
        let prompt = run.expect.prompt.map(nanoseconds);
        let reign = |node| Reigns::of(progress.trace(node), run.started);
        let reigns: Vec<Reigns> = (0..run.nodes).map(reign).collect();
        let all = calm.clone();
        let settles = run.expect.settles.map(nanoseconds);
        let led: Vec<Range<u64>> = reigns
            .iter()
            .zip(&all)
            .filter(|_| settles.is_some())
            .flat_map(|(reigns, calm)| reigns.during(calm))
            .collect();
        let of_node = |(node, spans): (usize, Vec<Range<u64>>)| {
            let mut it = OfNode { name: format!("n{}", node + 1), ..OfNode::default() };
            let started = !run.never_started.contains(&(node as u64 + 1));
            let traced = progress.knows(node) && !run.lost.contains(&(node as u64 + 1));
            if started {
                let served = misses::served(&spans, bound, &led, settles.unwrap_or(0));
                served.iter().for_each(|time| it.misses.add(asked[node].misses(time, prompt)));
            }
            for span in spans.into_iter().filter(|span| started && span.end - span.start > bound) {
                it.spans += 1;
                let silence = asked[node].longest_silence(&span, bound / ASKED_AGAIN);
                let longest = it.silence.as_ref().map_or(0, |(silence, _)| silence.length());
                if silence.length() > longest {
                    it.others = others(&asked, node, &silence.span);
                    it.silence = Some((silence, span.clone()));
                }
                if let (Some(stable), true) = (run.expect.stable, traced) {
                    let stable = nanoseconds(stable);
                    let begun =
                        elections::without_cause(progress.trace(node), run.started, &span, stable);
                    it.elections.extend(begun.map(|election| (election, span.clone())));
                }
                if let (Some(wait), true) = (run.expect.election, traced) {
                    let others = reigns.iter().zip(&all).enumerate();
                    let others: Vec<(&Reigns, &[Range<u64>])> = others
                        .filter(|(other, _)| *other != node)
                        .map(|(_, (reigns, calm))| (reigns, calm.as_slice()))
                        .collect();
                    let trace = progress.trace(node);
                    let wait = nanoseconds(wait);
                    let begun = elections::under_a_leader(trace, run.started, &span, wait, &others);
                    it.elections.extend(begun.into_iter().map(|begun| (begun, span.clone())));
                    // One may be without a cause for both reasons.
                    it.elections.sort_by_key(|(election, _)| election.time);
                    it.elections.dedup_by_key(|(election, _)| election.time);
                }
                let lag = traced.then(|| progress.longest_lag(node, &span)).flatten();
                let longest = it.lag.as_ref().map_or(0, |(lag, _)| lag.length);
                if let Some(lag) = lag.filter(|lag| lag.length > longest) {
                    it.lag = Some((lag, span));
                }
            }
            it
        };
        let nodes = calm.into_iter().enumerate().map(of_node).collect();
        Self { bound, misses: run.expect.misses, nodes }
    }

    fn violations(&self) -> Vec<Violation> {
        let of_node = |node: &OfNode<'_>| {
            [
                node.silent(self.bound),
                node.behind(self.bound),
                self.misses.and_then(|share| node.passes_over(share)),
                node.unstable(),
            ]
        };
        let mut found: Vec<Violation> = self.nodes.iter().flat_map(of_node).flatten().collect();
        if found.is_empty() {
            found.extend(self.misses.and_then(|share| self.pass_over(share)));
        }
        found
    }

    /// Whether all nodes together left more requests unanswered than this share explains, though
    /// none did by itself.
    fn pass_over(&self, share: f64) -> Option<Violation> {
        let mut all = Misses::default();
        self.nodes.iter().for_each(|node| all.add(node.misses.clone()));
        let Misses { asked, passed_over } = all;
        if !misses::too_many(asked, passed_over.len(), share) {
            return None;
        }
        let at_fault = self.nodes.iter().filter(|node| !node.misses.passed_over.is_empty());
        let nodes: Vec<String> = at_fault.map(|node| node.name.clone()).collect();
        let summary = format!(
            "{} left {} of {} unanswered, each while it was linked to a majority and no fault was \
             in force on any of them; at most {:.1} % may be lost",
            nodes.join(", "),
            passed_over.len(),
            count(asked, "request"),
            share * 100.0
        );
        let operations = passed_over.into_iter().take(10).collect();
        Some(Violation { nodes, operations, ..violation("", summary) })
    }

    /// For a verdict that is fine.
    fn detail(&self) -> String {
        let spans: usize = self.nodes.iter().map(|node| node.spans).sum();
        if spans == 0 {
            return String::new();
        }
        let silence = self.nodes.iter().filter_map(|it| Some(it.silence.as_ref()?.0.length()));
        let lag = self.nodes.iter().filter_map(|it| Some(it.lag.as_ref()?.0.length)).max();
        // Without traces nobody knows.
        let behind = lag
            .map_or_else(String::new, |lag| format!(" or behind for longer than {}", seconds(lag)));
        format!(
            "; in calm of more than {}, no node was silent for longer than {}{behind}",
            seconds(self.bound),
            seconds(silence.max().unwrap_or(0)),
        )
    }
}

/// How often other nodes answered in a time.
fn others(asked: &[Asked], node: usize, time: &Range<u64>) -> usize {
    let others = asked.iter().enumerate().filter(|(other, _)| *other != node);
    others.map(|(_, asked)| asked.answers_in(time).len()).sum()
}

impl OfNode<'_> {
    fn silent(&self, bound: u64) -> Option<Violation> {
        let (silence, calm) = self.silence.as_ref().filter(|(it, _)| it.length() > bound)?;
        let Self { name, others, .. } = self;
        let Silence { span, requests } = silence;
        let summary = format!(
            "{name} answered nothing from {} to {}, although it was asked {}; others answered {} \
             meanwhile, and {}",
            seconds(span.start),
            seconds(span.end),
            count(requests.len(), "time"),
            count(*others, "time"),
            undisturbed(calm, bound)
        );
        let operations = requests.iter().take(10).copied().collect();
        Some(Violation { operations, ..violation(name, summary) })
    }

    /// Whether the node left more requests unanswered than this share explains.
    fn passes_over(&self, share: f64) -> Option<Violation> {
        let Self { name, misses: Misses { asked, passed_over }, .. } = self;
        if !misses::too_many(*asked, passed_over.len(), share) {
            return None;
        }
        let summary = format!(
            "{name} left {} of {} unanswered while it was linked to a majority and no fault was in \
             force on any of them; at most {:.1} % may be lost",
            passed_over.len(),
            count(*asked, "request"),
            share * 100.0
        );
        let operations = passed_over.iter().take(10).copied().collect();
        Some(Violation { operations, ..violation(name, summary) })
    }

    /// The first election without a cause.
    fn unstable(&self) -> Option<Violation> {
        let (election, calm) = self.elections.first()?;
        let more = match self.elections.len() - 1 {
            0 => String::new(),
            more => format!(" ({more} more of it followed)"),
        };
        let summary = format!(
            "{} began an election at {}{more}, and nothing called for one: from {} to {} it was \
             linked to a majority, no fault was in force on any of them, and the network and the \
             clocks were too good for the leader to be missed",
            self.name,
            seconds(election.time),
            seconds(calm.start),
            seconds(calm.end)
        );
        let trace = vec![election.line.clone()];
        Some(Violation { trace, ..violation(&self.name, summary) })
    }

    fn behind(&self, bound: u64) -> Option<Violation> {
        let (lag, calm) = self.lag.as_ref().filter(|(it, _)| it.length > bound)?;
        let (name, index) = (&self.name, lag.others.index());
        let until = lag.until.map_or_else(
            || "to the end of that time".to_owned(),
            |until| format!("until {}", seconds(until)),
        );
        let mine = lag.mine.map_or(0, |mine| mine.index());
        let summary = format!(
            "{name} stood at applied index {mine} for {}, {until}, although n{} had applied index \
             {index}; {}",
            seconds(lag.length),
            lag.others.line().node,
            undisturbed(calm, bound)
        );
        let trace = lag.mine.iter().chain([&lag.others]).map(|it| it.line().clone()).collect();
        Some(Violation { trace, ..violation(name, summary) })
    }
}

fn undisturbed(calm: &Range<u64>, bound: u64) -> String {
    format!(
        "from {} to {} it was linked to a majority and no fault was in force on any of them (the \
         bound is {})",
        seconds(calm.start),
        seconds(calm.end),
        seconds(bound)
    )
}

fn violation(node: &str, summary: String) -> Violation {
    Violation {
        rule: NAME.into(),
        summary,
        nodes: vec![node.to_owned()],
        operations: Vec::new(),
        trace: Vec::new(),
        refutation: None,
    }
}
