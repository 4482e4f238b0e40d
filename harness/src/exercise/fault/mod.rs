//! The life of each fault: requested, installed, seen to take effect, heal requested, seen healed.
//!
//! A fault is a [`Kind`]: what it orders, what proves that it took effect, what proves that its
//! effect is over. This file leads every kind through the same life, and writes its account:
//!
//! ```text
//! Scheduled → Seeking → Queued → Install → Look ─→ InForce → (Account) → Heal → Check → Over
//!             a leader  a turn              │ ↑       ↑
//!                                           Waiting ──┘ for something to meet it
//! ```
//!
//! - Faults are installed and proved one at a time, so that what is observed can be told apart. A
//!   fault that waits for something to meet it lets others go ahead.
//! - Once in force, and while they are healed, faults overlap freely, by the rules of
//!   [`crate::nemesis::overlap`].
//! - A fault that could not be installed or proved is undone and `Failed`; one that had nothing to
//!   act on, or met nothing until its end, is `Skipped`.
//!
//! To add a kind: a file here, and a line in [`machine`].

mod alive;
mod clock;
mod disk;
mod ended;
mod kill;
mod kind;
mod network;
mod partition;
mod pause;
mod restart;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use checker::{
    fault::{Detail, Phase, Record},
    version::Version,
};

use self::kind::{Aim, Kind, Miss, Proof, Sight, Step};
use super::{
    Alarm, Deed, Desk, Failure, FaultStep, Finding, Note, Owner, Round, Ticket, Time, View,
};
use crate::nemesis::{
    Fault, Injection, Link, NodeId,
    overlap::{FaultId, Holds},
};

/// A fault that aims at the leader waits so long for one to be known.
const LEADER_PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks for a leader.
const SEEK: Duration = Duration::from_millis(20);
/// Between two looks whether a fault took effect, or is over.
const POLL: Duration = Duration::from_millis(10);

/// The machine of a fault.
fn machine(fault: Fault, aim: &Aim<'_>) -> Box<dyn Kind> {
    match fault {
        Fault::Kill { .. } => Box::new(kill::new(aim)),
        Fault::Restart { .. } => Box::new(restart::new(aim)),
        Fault::Pause { .. } => Box::new(pause::Pause::new(aim)),
        Fault::Partition { .. } => Box::new(partition::Partition::new(aim)),
        Fault::Network { how, .. } => network::new(how, aim),
        Fault::Disk { how, .. } => Box::new(disk::Disk::new(how, aim)),
        Fault::Clock { how, .. } => Box::new(clock::Clock::new(how, aim)),
    }
}

/// All faults of a run.
#[derive(Debug)]
pub(super) struct Faults {
    lives: Vec<Life>,
    holds: Holds,
    /// Which fault has its turn to be installed, and which wait for it.
    turn: Option<FaultId>,
    queue: VecDeque<FaultId>,
    /// The schedule is over: nothing new is requested, and what is in force ends.
    ending: bool,
}

#[derive(Debug)]
struct Life {
    injection: Injection,
    state: State,
    leader: Option<NodeId>,
    nodes: BTreeSet<NodeId>,
    /// The links that it cuts.
    links: BTreeSet<Link>,
    kind: Option<Box<dyn Kind>>,
    /// The deeds of the present step.
    round: Round,
    rounds: usize,
    /// When the present state began, or the step that is tried again and again.
    since: Time,
    /// The schedule has asked for its end.
    ended: bool,
}

#[derive(Debug)]
enum State {
    Scheduled,
    /// Waits for a leader to aim at.
    Seeking,
    /// Waits for its turn to be installed.
    Queued,
    Doing(Step),
    /// Looks again soon.
    LooksAgain(Step),
    /// In place; nothing has met it.
    Waiting,
    InForce,
    /// What was done is taken back; then it is over, for this reason.
    Undoing(Phase, String),
    Over,
}

impl Faults {
    /// Nothing is requested yet.
    pub(super) fn new(schedule: &[Injection]) -> Self {
        let life = |injection: &Injection| Life {
            injection: injection.clone(),
            state: State::Scheduled,
            leader: None,
            nodes: BTreeSet::new(),
            links: BTreeSet::new(),
            kind: None,
            round: Round::default(),
            rounds: 0,
            since: Time::ZERO,
            ended: false,
        };
        Self {
            lives: schedule.iter().map(life).collect(),
            holds: Holds::default(),
            turn: None,
            queue: VecDeque::new(),
            ending: false,
        }
    }

    /// The load begins, and with it the schedule.
    pub(super) fn begin(&self, desk: &mut Desk<'_>) {
        for (id, life) in self.lives.iter().enumerate() {
            let alarm = Alarm::Fault(id, FaultStep::Request);
            desk.wake(desk.start + life.injection.at, alarm);
        }
    }

    /// Nothing new begins, and what is in force ends.
    pub(super) fn end(&mut self, desk: &mut Desk<'_>, view: &dyn View) {
        self.ending = true;
        for id in 0..self.lives.len() {
            if matches!(self.lives[id].state, State::Scheduled) {
                self.lives[id].state = State::Over;
            } else {
                self.request_end(id, desk);
            }
        }
        self.next_turns(desk, view);
    }

    /// Heals have taken too long: what is not over is left as it is.
    pub(super) fn give_up(&mut self, after: Duration, desk: &mut Desk<'_>) {
        self.queue.clear();
        for id in 0..self.lives.len() {
            if !matches!(self.lives[id].state, State::Over) {
                let why = format!("not over {after:?} after the end of the load, and given up");
                self.over(id, Phase::Failed, why, desk);
            }
        }
    }

    /// Whether every fault is over.
    pub(super) fn are_over(&self) -> bool {
        self.lives.iter().all(|life| matches!(life.state, State::Over))
    }

    /// The faults between their request and their end, as `--faults` takes them.
    pub(super) fn active(&self) -> Vec<String> {
        let active = self.lives.iter().filter(|life| life.kind.is_some());
        active.map(|life| life.injection.fault.to_string()).collect()
    }

    /// A fault is woken.
    pub(super) fn alarm(
        &mut self,
        id: FaultId,
        step: FaultStep,
        desk: &mut Desk<'_>,
        view: &dyn View,
    ) {
        let life = &mut self.lives[id];
        match (step, &life.state) {
            (FaultStep::Request, State::Scheduled) => {
                life.state = State::Seeking;
                life.since = desk.now;
                life.leader = view.leader();
                self.record(id, Phase::Requested, Proof::default(), desk);
                self.seek_leader(id, desk, view);
            }
            (FaultStep::SeekLeader, State::Seeking) => self.seek_leader(id, desk, view),
            (FaultStep::Look, State::LooksAgain(step)) => {
                let step = *step;
                self.begin_step(id, step, desk);
            }
            (FaultStep::End, _) => self.request_end(id, desk),
            _ => {}
        }
        self.next_turns(desk, view);
    }

    /// Something met a fault that waited for it.
    pub(super) fn met(&mut self, id: FaultId, desk: &mut Desk<'_>, view: &dyn View) {
        if matches!(self.lives[id].state, State::Waiting) {
            self.begin_step(id, Step::Look, desk);
            self.next_turns(desk, view);
        }
    }

    /// A deed of a fault is done.
    pub(super) fn done(
        &mut self,
        id: FaultId,
        ticket: Ticket,
        outcome: Result<Finding, Failure>,
        desk: &mut Desk<'_>,
        view: &dyn View,
    ) {
        self.lives[id].round.done(ticket, outcome, desk.now);
        self.go_on(id, desk);
        self.next_turns(desk, view);
    }

    fn seek_leader(&mut self, id: FaultId, desk: &mut Desk<'_>, view: &dyn View) {
        if !self.lacks_leader(id, desk, view) {
            self.lives[id].state = State::Queued;
            self.queue.push_back(id);
        }
    }

    /// Whether the fault waits for a leader to aim at; then it is woken to look again.
    fn lacks_leader(&mut self, id: FaultId, desk: &mut Desk<'_>, view: &dyn View) -> bool {
        let life = &mut self.lives[id];
        let patient = desk.now < life.since + LEADER_PATIENCE && !self.ending;
        let lacks = life.injection.fault.needs_leader() && patient && view.leader().is_none();
        if lacks {
            life.state = State::Seeking;
            desk.wake(desk.now + SEEK, Alarm::Fault(id, FaultStep::SeekLeader));
        }
        lacks
    }

    /// Gives the turn to whoever waits for it, as long as it is free.
    fn next_turns(&mut self, desk: &mut Desk<'_>, view: &dyn View) {
        while self.turn.is_none() {
            let Some(id) = self.queue.pop_front() else { return };
            // The leader may be gone since it was found.
            if !self.lacks_leader(id, desk, view) {
                self.turn = Some(id);
                self.install(id, desk, view);
            }
        }
    }

    fn end_turn(&mut self, id: FaultId) {
        if self.turn == Some(id) {
            self.turn = None;
        }
    }

    /// Finds out what the fault is aimed at, and begins.
    fn install(&mut self, id: FaultId, desk: &mut Desk<'_>, view: &dyn View) {
        let leader = view.leader();
        let life = &mut self.lives[id];
        let Injection { fault, pick, .. } = life.injection;
        life.leader = leader;
        let cut = match fault.resolve(&desk.nodes, leader, pick) {
            Ok(cut) => cut,
            Err(why) => return self.over(id, Phase::Skipped, why.to_string(), desk),
        };
        life.nodes.clone_from(&cut.nodes);
        life.links.clone_from(&cut.links);
        let aim = Aim {
            fault: id,
            cut,
            all: &desk.nodes,
            pick,
            election_timeout: desk.plan.timings.election_timeout,
            hang: desk.settings.hang,
        };
        let mut kind = machine(fault, &aim);
        if let Err(why) = kind.claim(&mut self.holds) {
            return self.over(id, Phase::Skipped, why, desk);
        }
        life.nodes = kind.nodes();
        life.kind = Some(kind);
        self.begin_step(id, Step::Install, desk);
    }

    fn begin_step(&mut self, id: FaultId, step: Step, desk: &mut Desk<'_>) {
        let life = &mut self.lives[id];
        if matches!(step, Step::Install | Step::Heal) {
            life.since = desk.now;
        }
        if step == Step::Heal {
            let done = life.kind.as_mut().map(|kind| kind.account(&life.round.seen));
            self.record(id, Phase::HealRequested, done.unwrap_or_default(), desk);
        }
        let life = &mut self.lives[id];
        if !matches!(life.state, State::Undoing(..)) {
            life.state = State::Doing(step);
        }
        life.round = Round::default();
        life.rounds = 0;
        self.go_on(id, desk);
    }

    /// Orders the next round of the present step, or ends the step.
    fn go_on(&mut self, id: FaultId, desk: &mut Desk<'_>) {
        loop {
            let life = &mut self.lives[id];
            let step = match life.state {
                State::Doing(step) => step,
                State::Undoing(..) => Step::Undo,
                _ => return,
            };
            if !life.round.pending.is_empty() {
                return;
            }
            let Some(kind) = &mut life.kind else { return };
            let acts = matches!(step, Step::Install | Step::Heal);
            let failed = life.round.seen.iter().find_map(|seen| seen.outcome.as_ref().err());
            let deeds = match failed {
                Some(why) if acts => Err(Miss::Failed(why.to_string())),
                _ => kind.deeds(step, life.rounds, &life.round.seen, &self.holds),
            };
            match deeds {
                Ok(deeds) if deeds.is_empty() => return self.end_step(id, step, desk),
                Ok(deeds) => {
                    life.rounds += 1;
                    life.round.order(Owner::Fault(id), deeds, desk);
                }
                Err(miss) => return self.miss(id, step, miss, desk),
            }
        }
    }

    fn end_step(&mut self, id: FaultId, step: Step, desk: &mut Desk<'_>) {
        let life = &mut self.lives[id];
        let Some(kind) = &mut life.kind else { return };
        match step {
            Step::Install => {
                let applied = Detail::Applied(kind.installed());
                let how = Proof { detail: Some(applied), ..Proof::default() };
                life.nodes = kind.nodes();
                let waits = kind.met_nothing().is_some();
                self.record(id, Phase::Applied, how, desk);
                if waits {
                    let end = self.lives[id].end(desk.start);
                    desk.wake(end, Alarm::Fault(id, FaultStep::End));
                    self.end_turn(id);
                }
                self.look_first(id, Step::Look, desk);
            }
            Step::Look => match kind.bites(&life.round.seen) {
                Sight::Proof(proof) => {
                    let waited = kind.met_nothing().is_some();
                    self.record(id, Phase::Confirmed, proof, desk);
                    self.end_turn(id);
                    let life = &mut self.lives[id];
                    life.state = State::InForce;
                    if life.ended || self.ending {
                        self.request_end(id, desk);
                    } else if !waited {
                        let end = life.end(desk.start);
                        desk.wake(end, Alarm::Fault(id, FaultStep::End));
                    }
                }
                Sight::Begun => self.look_again(id, Step::Look, desk),
                Sight::NotYet => match kind.met_nothing() {
                    Some(why) if life.ended || self.ending => {
                        self.miss(id, Step::Look, Miss::Skipped(why), desk);
                    }
                    Some(_) => life.state = State::Waiting,
                    None => self.look_again(id, Step::Look, desk),
                },
                Sight::Never(miss) => self.miss(id, Step::Look, miss, desk),
            },
            Step::Account => self.begin_step(id, Step::Heal, desk),
            Step::Heal => self.look_first(id, Step::Check, desk),
            Step::Check => match kind.healed(&life.round.seen, life.since, &self.holds) {
                Sight::Proof(proof) => {
                    self.record(id, Phase::Healed, proof, desk);
                    self.end_life(id);
                }
                Sight::NotYet | Sight::Begun => {
                    let within = kind.heals_within();
                    if desk.now.saturating_sub(life.since) > within {
                        let left = kind::missing(&life.round.seen);
                        let why =
                            format!("the effect was not seen to be over within {within:?}: {left}");
                        return self.miss(id, Step::Check, Miss::Failed(why), desk);
                    }
                    self.look_again(id, Step::Check, desk);
                }
                Sight::Never(miss) => self.miss(id, Step::Check, miss, desk),
            },
            Step::Undo => {
                let failed = life.round.seen.iter().find_map(|seen| seen.outcome.as_ref().err());
                let undone = failed.map(|why| format!("; and it could not be undone: {why}"));
                let State::Undoing(phase, why) = std::mem::replace(&mut life.state, State::Over)
                else {
                    return;
                };
                self.over(id, phase, why + &undone.unwrap_or_default(), desk);
            }
        }
    }

    /// The first look of a step.
    fn look_first(&mut self, id: FaultId, step: Step, desk: &mut Desk<'_>) {
        let after = self.lives[id].kind.as_ref().map_or(Duration::ZERO, |kind| kind.shows_after());
        if after.is_zero() {
            return self.begin_step(id, step, desk);
        }
        self.lives[id].state = State::LooksAgain(step);
        desk.wake(desk.now + after, Alarm::Fault(id, FaultStep::Look));
    }

    fn look_again(&mut self, id: FaultId, step: Step, desk: &mut Desk<'_>) {
        self.lives[id].state = State::LooksAgain(step);
        desk.wake(desk.now + POLL, Alarm::Fault(id, FaultStep::Look));
    }

    /// The schedule, or the end of the load, asks for a fault's end.
    fn request_end(&mut self, id: FaultId, desk: &mut Desk<'_>) {
        let life = &mut self.lives[id];
        life.ended = true;
        match life.state {
            State::InForce => self.begin_step(id, Step::Account, desk),
            // A last look, at what may have happened since the one before.
            State::Waiting => self.begin_step(id, Step::Look, desk),
            // The rest is soon over, and then ends.
            _ => {}
        }
    }

    /// A step cannot go on: what was done is undone.
    fn miss(&mut self, id: FaultId, step: Step, miss: Miss, desk: &mut Desk<'_>) {
        let (phase, why) = match miss {
            Miss::Skipped(why) => (Phase::Skipped, why),
            Miss::Failed(why) => (Phase::Failed, why),
            Miss::Exited(node, exit, context) => {
                (Phase::Failed, format!("{context}: {}", desk.exited(node, &exit)))
            }
        };
        if step == Step::Check {
            // It is healed, as far as can be.
            return self.over(id, phase, why, desk);
        }
        self.lives[id].state = State::Undoing(phase, why);
        self.begin_step(id, Step::Undo, desk);
    }

    /// The fault did nothing, or nobody can tell what it did.
    fn over(&mut self, id: FaultId, phase: Phase, why: String, desk: &mut Desk<'_>) {
        let why = Proof { detail: Some(Detail::Reason(why)), ..Proof::default() };
        self.record(id, phase, why, desk);
        self.end_life(id);
    }

    fn end_life(&mut self, id: FaultId) {
        self.holds.release(id);
        self.end_turn(id);
        self.lives[id].state = State::Over;
        self.lives[id].kind = None;
    }

    fn record(&self, id: FaultId, phase: Phase, proof: Proof, desk: &mut Desk<'_>) {
        let Life { injection, leader, nodes, links, kind, .. } = &self.lives[id];
        let hit = match (phase, kind) {
            (Phase::Confirmed | Phase::HealRequested | Phase::Healed, Some(kind)) => kind.nodes(),
            _ => nodes.clone(),
        };
        let record = Record {
            fault: id,
            time: desk.since_start(),
            version: Version,
            phase,
            kind: injection.fault.class(),
            what: injection.fault.what(),
            nodes: hit.iter().map(|node| format!("n{node}")).collect(),
            links: links.iter().copied().collect(),
            leader: leader.map(|leader| format!("n{leader}")),
            severs_leader: injection.fault.severs_leader(*leader, &hit, desk.plan.nodes),
            observed: proof.observed(),
            detail: proof.detail,
        };
        desk.note(Note::Fault(Box::new(record)));
    }
}

impl Life {
    /// When the schedule asks for its end.
    fn end(&self, start: Time) -> Time {
        start + self.injection.at + self.injection.lasts
    }
}

/// What a deed of a fault would find if it were not carried out; none: it only looks.
pub(super) fn inert(deed: &Deed) -> Option<Finding> {
    match deed {
        Deed::Kill(_) => Some(Finding::Killed { unsynced: None }),
        Deed::Cut { .. } => Some(Finding::Rules { rules: Vec::new(), skew: None }),
        Deed::Break { .. } => {
            Some(Finding::Broken { lost: BTreeMap::new(), clients: BTreeMap::new() })
        }
        Deed::FlipBits { .. } => Some(Finding::Damage { damage: BTreeMap::new(), busy: false }),
        Deed::Stop(_)
        | Deed::Pause(_)
        | Deed::Trouble { .. }
        | Deed::SlowDisk { .. }
        | Deed::FailDisk { .. }
        | Deed::SetClock { .. } => Some(Finding::Nothing),
        // To look does nothing, and what ends a fault has nothing to end.
        Deed::Start(_)
        | Deed::Resume(_)
        | Deed::Examine(_)
        | Deed::Ask { .. }
        | Deed::Hash(_)
        | Deed::Uncut(_)
        | Deed::Counters(_)
        | Deed::Ping(_)
        | Deed::Struck(_)
        | Deed::Calm(_)
        | Deed::StartDamaged { .. }
        | Deed::Damage(_)
        | Deed::MendDisk { .. }
        | Deed::ReadClocks(_) => None,
    }
}
