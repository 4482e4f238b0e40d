//! `legal-transitions`
//!
//! The other rules are the promises that Raft makes. This one is the machine that keeps them: what
//! a server may do next, from the state that it is in (paper, figures 2 and 4). A node that leaves
//! the specification is caught at the step where it did, before any harm comes of it.
//!
//! | step | allowed | paper | if not, see also |
//! |---|---|---|---|
//! | `started` | as a follower; no entry of a later term than the node's | 5.1, fig. 2 | `survives-restart`: nothing durable is lost, nothing comes from nowhere |
//! | `term` | to a later term: one more to stand, or a term in which somebody stands | 5.1, 5.2 | `term-monotonic`: later |
//! | `voted` | for itself on entering a term, to stand in it; for others as a follower | 5.2 | `one-vote-per-term`: who stands or leads has voted; `election-restriction`: for a candidate |
//! | `role` candidate | on entering a term, with its vote for itself; knows no leader | 5.2, fig. 4 | |
//! | `role` leader | from candidate, in the same term; its leader is itself | 5.2, fig. 4 | `election-quorum`, `election-safety`: not again |
//! | `role` follower | in a new term; a candidate that hears of a leader; a leader that steps down (check-quorum: dissertation 6.2); not of itself | 5.2, fig. 4 | `election-safety`: of the elected one |
//! | `appended` | as a follower of a leader: at the end, what its leader has, up to its own term | 5.3 | `leader-append-only`: as a leader; `log-matching`: first by the leader of its term |
//! | `truncated` | as a follower of a leader: from the first entry on that conflicts with the leader's | 5.3 | `leader-append-only`; `commit-monotonic`, `acknowledged-kept` |
//! | `durable` | a term and vote that it had, not before the last that was durable | 5.1, fig. 2 | `log-matching`: an entry of its log |
//! | `granted` | the vote that it gave | 5.2 | `one-vote-per-term`, `durable-before-acknowledged` |
//! | `acknowledged` | to the leader that it follows, what that leader has; late, in a term in which it followed | 5.3 | `election-safety`, `durable-before-acknowledged` |
//! | `committed` | as a leader, by counting; as a follower of a leader, by its word | 5.3, 5.4.2 | `commit-quorum`, `commit-monotonic` |
//! | `applied` | in order, up to the commit index | fig. 2 | `state-machine-safety` |
//! | `answered` | after it was applied, once | 5.3, 8 | `durable-before-acknowledged` |
//! | `read_confirmed` | as a leader with a committed entry of its term (the no-op), by a majority | 8, diss. 6.4 | `read-quorum` |
//! | `stopped` | always; nothing follows | | `trace-integrity` |
//!
//! What another rule would report of the same step is left to it, so that one fault is told once.
//!
//! Not judged: a second vote for the same candidate, and a leader's grant of a vote long given,
//! change nothing. A reply of an earlier term may leave late. A follower may lose sight of its
//! leader within a term. Once a leader is no longer seen to lead, what it had is not known.

mod disk;
mod log;
mod roles;

use proto::trace::Event;

use super::{Kind, Rule};
use crate::{
    raft::{
        state::Node,
        step::{Report, Step},
    },
    text::counted,
};

/// Each step is one that the specification allows from the state before it: see the module.
#[derive(Default)]
pub(super) struct LegalTransitions {
    steps: u64,
}

impl Rule for LegalTransitions {
    fn name(&self) -> &'static str {
        "legal-transitions"
    }

    fn kinds(&self) -> &'static [Kind] {
        &[
            Kind::Acknowledged,
            Kind::Appended,
            Kind::Committed,
            Kind::Durable,
            Kind::Role,
            Kind::Started,
            Kind::Truncated,
            Kind::Voted,
        ]
    }

    fn observe(&mut self, step: &Step<'_>, report: &mut Report<'_>) {
        self.steps += 1;
        match *step.event() {
            Event::Started { term, last, .. } => disk::started(step, term, last, report),
            Event::Durable { term, vote, .. } => disk::durable(step, term, vote, report),
            Event::Voted { term, candidate } => roles::voted(step, term, candidate, report),
            Event::Role { term, role, leader, .. } if term == step.node.term => {
                roles::role(step, role, leader, report);
            }
            Event::Appended { prev, ref entries } => log::appended(step, prev, entries, report),
            Event::Truncated { last } => log::truncated(step, last, report),
            Event::Acknowledged { term, leader, last } => {
                if term == step.node.term {
                    log::acknowledged(step, leader, last, report);
                } else {
                    log::acknowledged_late(step, term, last, report);
                }
            }
            Event::Committed { term, last, matched: None } if term == step.node.term => {
                log::committed(step, last, report);
            }
            _ => {}
        }
    }

    fn examined(&self) -> String {
        counted(self.steps, "step")
    }
}

/// The node's leader, while it is seen to lead the node's term: all that it ever sent in it is in
/// its log.
fn leading<'a>(step: &Step<'a>, leader: u64) -> Option<&'a Node> {
    let whole = !step.cluster.lost.contains(&leader);
    let leads =
        |node: &&Node| node.role == proto::trace::Role::Leader && node.term == step.node.term;
    step.cluster.get(leader).filter(leads).filter(|_| whole)
}
