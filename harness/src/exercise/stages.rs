//! The stages of a run: the cluster comes up; load and faults; every fault is healed; every node
//! must serve again; the clients stop; every key is read; the stores are compared; the nodes stop.

use std::{collections::BTreeSet, mem, time::Duration};

use checker::evidence::FinalHash;

use super::{
    Alarm, Deed, Desk, Exercise, Exit, Failure, Finding, Note, Owner, Process, Round, Seen, Stage,
    Status, Ticket, Time, View,
    limits::{GRACE, patience, rest, waits},
};
use crate::nemesis::NodeId;

/// A cluster must be complete within this time, or within [`patience`] if that is longer.
const BRING_UP: Duration = Duration::from_secs(30);
/// Clients go on while faults are healed, to see how the cluster comes back, but no longer.
const LOAD_TAIL: Duration = Duration::from_secs(5);
/// All faults that are in force when the load ends must be healed within this time.
const HEALING: Duration = Duration::from_secs(30);
/// Between two looks at the nodes.
const POLL: Duration = Duration::from_millis(20);
/// A node that comes up or is compared must answer within this time, or is asked again.
const ANSWER: Duration = Duration::from_secs(1);

/// Where a run stands.
#[derive(Debug)]
pub(super) struct Stages {
    pub(super) stage: Stage,
    since: Time,
    /// What the stage ordered, in steps that follow each other, and what was found.
    step: u32,
    round: Round,
    /// The stage has reached what it is for, or never will.
    done: bool,
    ended_early: bool,
}

impl Stages {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::BringUp,
            since: Time::ZERO,
            step: 0,
            round: Round::default(),
            done: false,
            ended_early: false,
        }
    }

    /// The world begins: every node is started.
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>) {
        self.enter(Stage::BringUp, desk);
        self.order(0, desk.nodes.iter().map(|&node| Deed::Start(node)).collect(), desk);
    }

    /// The run ends before its time.
    pub(super) fn end_early(&mut self, why: &str, desk: &mut Desk<'_>) {
        if mem::replace(&mut self.ended_early, true) {
            return;
        }
        let after = Duration::from_millis(desk.since_start() / 1_000_000);
        let after = humantime::format_duration(after);
        desk.incomplete(format!("the run was ended after {after}: {why}"));
    }

    fn enter(&mut self, stage: Stage, desk: &mut Desk<'_>) {
        (self.stage, self.since, self.done) = (stage, desk.now, false);
        desk.note(Note::Stage(stage));
    }

    /// The stage is not where it should be. Gives up if it has taken too long, else begins its
    /// first step again after a while.
    fn again_within(&mut self, limit: Duration, desk: &mut Desk<'_>) -> bool {
        let patient = desk.now.saturating_sub(self.since) <= limit;
        if patient {
            desk.wake(desk.now + POLL, Alarm::Stage(self.stage));
        }
        patient
    }

    pub(super) fn alarm(&mut self, stage: Stage, desk: &mut Desk<'_>) {
        if stage == self.stage && matches!(stage, Stage::BringUp | Stage::Comparing) {
            self.round.seen.clear();
            self.ask_all(1, desk);
        }
    }

    fn ask_all(&mut self, step: u32, desk: &mut Desk<'_>) {
        let ask = |&node: &NodeId| Deed::Ask { node, patience: ANSWER };
        self.order(step, desk.nodes.iter().map(ask).collect(), desk);
    }

    fn order(&mut self, step: u32, deeds: Vec<Deed>, desk: &mut Desk<'_>) {
        self.step = step;
        self.round.order(Owner::Stages, deeds, desk);
        if self.round.pending.is_empty() {
            self.go_on(desk);
        }
    }

    /// A deed of the stage is done.
    pub(super) fn done(
        &mut self,
        ticket: Ticket,
        outcome: Result<Finding, Failure>,
        desk: &mut Desk<'_>,
    ) {
        self.round.done(ticket, outcome, desk.now);
        if self.round.pending.is_empty() {
            self.go_on(desk);
        }
    }

    /// All that the step ordered is done.
    fn go_on(&mut self, desk: &mut Desk<'_>) {
        match self.stage {
            Stage::BringUp => self.bring_up(desk),
            Stage::Comparing => self.compare(desk),
            Stage::Stopping => self.stop(desk),
            _ => {}
        }
    }

    /// Starts all nodes; then asks each until it answers, is connected to all others, and follows
    /// the same leader as they. One that does not answer may have exited.
    fn bring_up(&mut self, desk: &mut Desk<'_>) {
        let lacks = match self.step {
            0 => failed(&self.round.seen).map(Err),
            1 => lacks(&self.round.seen).map(Ok),
            _ => self.round.seen.iter().find_map(|seen| Some(Err(exited(seen, desk)?))),
        };
        match (self.step, lacks) {
            (0, None) => {
                self.round.seen.clear();
                self.ask_all(1, desk);
            }
            (1, None) => self.done = true,
            (1, Some(Ok(lacks))) => {
                let limit = BRING_UP.max(patience(desk.plan));
                if desk.now.saturating_sub(self.since) > limit {
                    return self.never_up(
                        format!(
                            "the cluster was not complete {limit:?} after its start: {lacks}. See \
                             the nodes' logs in the run directory"
                        ),
                        desk,
                    );
                }
                let silent = self.round.seen.iter().filter(|seen| seen.outcome.is_err());
                let silent = silent.filter_map(|seen| match seen.deed {
                    Deed::Ask { node, .. } => Some(Deed::Examine(node)),
                    _ => None,
                });
                self.order(2, silent.collect(), desk);
            }
            (_, Some(Err(why))) => self.never_up(why, desk),
            _ => desk.wake(desk.now + POLL, Alarm::Stage(Stage::BringUp)),
        }
    }

    fn never_up(&mut self, why: String, desk: &mut Desk<'_>) {
        desk.incomplete(why);
        self.begin_stopping(desk);
    }

    /// Asks all nodes, takes the hashes of their stores, and asks again: hashes count only if
    /// nothing was applied while they were taken.
    fn compare(&mut self, desk: &mut Desk<'_>) {
        let seen = &self.round.seen;
        let why = match (self.step, applied(seen)) {
            (1, Ok(())) => {
                return self.order(2, desk.nodes.iter().map(|&n| Deed::Hash(n)).collect(), desk);
            }
            (2, _) => return self.ask_all(3, desk),
            (3, Ok(())) => match hashes(seen) {
                Ok(hashes) => {
                    desk.note(Note::FinalHashes(hashes));
                    self.done = true;
                    return;
                }
                Err(why) => why,
            },
            (_, Err(why)) => why,
            (_, Ok(())) => return,
        };
        if !self.again_within(waits(desk.plan), desk) {
            desk.incomplete(format!("the stores were not compared: {why}"));
            self.done = true;
        }
    }

    fn begin_stopping(&mut self, desk: &mut Desk<'_>) {
        self.enter(Stage::Stopping, desk);
        self.round = Round::default();
        self.order(0, desk.nodes.iter().map(|&node| Deed::Examine(node)).collect(), desk);
    }

    /// Looks whether nodes ended by themselves; then stops the others, and looks how they ended: a
    /// node may find a defect in itself while it stops.
    fn stop(&mut self, desk: &mut Desk<'_>) {
        let seen = mem::take(&mut self.round.seen);
        let mut deeds = Vec::new();
        for Seen { deed, outcome, .. } in &seen {
            match (deed, outcome) {
                (Deed::Examine(node), Ok(Finding::Process(process))) => {
                    if process.running {
                        deeds.push(Deed::Stop(*node));
                    }
                    if let Some(exit) = &process.exit {
                        self.ended(*node, exit, desk);
                    }
                }
                (Deed::Stop(node), _) => deeds.push(Deed::Examine(*node)),
                _ => {}
            }
            if let Err(why) = outcome {
                desk.incomplete(why.to_string());
                // A trace that still grows must not be taken for a whole one.
                if let (0, Deed::Examine(node)) = (self.step, deed) {
                    deeds.push(Deed::Stop(*node));
                }
            }
        }
        match self.step {
            0 | 1 if !deeds.is_empty() => self.order(self.step + 1, deeds, desk),
            _ => self.done = true,
        }
    }

    /// Says how a node ended, unless it was said already or is as it should be.
    fn ended(&self, node: NodeId, exit: &Exit, desk: &mut Desk<'_>) {
        let in_order = |code| desk.plan.system.is_stopped(code);
        let orderly = self.step > 0 && exit.code.is_some_and(in_order);
        if orderly || exit.on_record || desk.ended.contains(&node) {
            return;
        }
        let how = desk.exited(node, exit);
        if !exit.defect && !exit.refused {
            desk.incomplete(how);
        }
    }
}

impl Exercise<'_> {
    /// Goes on to the next stage whenever the present one is over.
    pub(super) fn advance(&mut self, view: &dyn View) {
        let Self { desk, stages, clients, faults } = self;
        let early = stages.ended_early;
        loop {
            match stages.stage {
                Stage::BringUp if early => stages.begin_stopping(desk),
                Stage::BringUp if stages.done => {
                    desk.start = desk.now;
                    stages.enter(Stage::Load, desk);
                    desk.wake(desk.now + desk.plan.time, Alarm::Stage(Stage::Load));
                    clients.begin_load(desk);
                    faults.begin(desk);
                }
                Stage::Load if early || desk.now >= desk.start + desk.plan.time => {
                    if early {
                        clients.end_load();
                    }
                    stages.enter(Stage::Healing, desk);
                    for at in [LOAD_TAIL, HEALING] {
                        desk.wake(desk.now + at, Alarm::Stage(Stage::Healing));
                    }
                    faults.end(desk, view);
                }
                Stage::Healing if !faults.are_over() && desk.now >= stages.since + HEALING => {
                    clients.end_load();
                    faults.give_up(HEALING, desk);
                }
                Stage::Healing
                    if !faults.are_over()
                        && desk.now >= stages.since + LOAD_TAIL
                        && !clients.load_ended() =>
                {
                    clients.end_load();
                }
                Stage::Healing if faults.are_over() && early => {
                    clients.end_load();
                    stages.enter(Stage::Draining, desk);
                }
                Stage::Healing if faults.are_over() => {
                    stages.enter(Stage::Recovery, desk);
                    clients.begin_probes(rest(desk.plan), waits(desk.plan) + GRACE, desk);
                }
                Stage::Recovery => {
                    let Some(silent) = clients.silent() else {
                        if !early {
                            return;
                        }
                        clients.end_load();
                        stages.enter(Stage::Draining, desk);
                        continue;
                    };
                    if !silent.is_empty() {
                        let (names, within) = (silent.join(", "), waits(desk.plan) + GRACE);
                        desk.incomplete(format!(
                            "{names} did not serve within {within:?} after the last heal"
                        ));
                    }
                    clients.end_load();
                    stages.enter(Stage::Draining, desk);
                }
                Stage::Draining if clients.is_load_over() && early => stages.begin_stopping(desk),
                Stage::Draining if clients.is_load_over() => {
                    stages.enter(Stage::Reading, desk);
                    clients.begin_reads(patience(desk.plan), desk);
                }
                Stage::Reading if early => stages.begin_stopping(desk),
                Stage::Reading => {
                    let Some(unread) = clients.unread() else { return };
                    if !unread.is_empty() {
                        desk.incomplete(format!(
                            "no final read of {} succeeded",
                            unread.join(", ")
                        ));
                    }
                    stages.enter(Stage::Comparing, desk);
                    stages.alarm(Stage::Comparing, desk);
                }
                Stage::Comparing if stages.done || early => stages.begin_stopping(desk),
                Stage::Stopping if stages.done => stages.enter(Stage::Over, desk),
                _ => return,
            }
        }
    }
}

/// What keeps a cluster from being complete.
fn lacks(seen: &[Seen]) -> Option<String> {
    let mut missing = Vec::new();
    let mut leaders = BTreeSet::new();
    for Seen { deed, outcome, .. } in seen {
        let Deed::Ask { node, .. } = deed else { continue };
        match outcome {
            Ok(Finding::Status(Status { unconnected, .. })) if !unconnected.is_empty() => {
                let far: Vec<_> = unconnected.iter().map(|peer| format!("n{peer}")).collect();
                missing.push(format!("n{node} is not connected to {}", far.join(", ")));
            }
            Ok(Finding::Status(Status { leader: None, .. })) => {
                missing.push(format!("n{node} knows no leader"));
            }
            Ok(Finding::Status(Status { leader, .. })) => {
                leaders.insert(leader);
            }
            Ok(_) => {}
            Err(why) => missing.push(format!("n{node} does not answer: {why}")),
        }
    }
    if missing.is_empty() && leaders.len() > 1 {
        missing.push("the nodes do not agree on a leader".to_owned());
    }
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// Why a deed failed, if one did.
fn failed(seen: &[Seen]) -> Option<String> {
    seen.iter().find_map(|seen| Some(seen.outcome.as_ref().err()?.to_string()))
}

/// How a node ended by itself, if it did.
fn exited(seen: &Seen, desk: &mut Desk<'_>) -> Option<String> {
    match (&seen.deed, &seen.outcome) {
        (Deed::Examine(node), Ok(Finding::Process(Process { exit: Some(exit), .. }))) => {
            Some(desk.exited(*node, exit))
        }
        _ => None,
    }
}

/// # Errors
/// The nodes have not all applied the same index, whenever they were asked.
fn applied(seen: &[Seen]) -> Result<(), String> {
    let mut all = Vec::new();
    for Seen { deed, outcome, .. } in seen {
        let Deed::Ask { node, .. } = deed else { continue };
        match outcome {
            Ok(Finding::Status(status)) => all.push((*node, status.applied_index)),
            Ok(_) => {}
            Err(why) => return Err(format!("n{node} does not answer: {why}")),
        }
    }
    let most = all.iter().map(|(_, applied)| *applied).max().unwrap_or(0);
    match all.iter().find(|(_, applied)| *applied != most) {
        Some((node, applied)) => {
            Err(format!("n{node} has applied index {applied}, and others index {most}"))
        }
        None => Ok(()),
    }
}

/// What each node says of its store. All have applied the same index, before and after.
///
/// # Errors
/// A node gave no hash.
fn hashes(seen: &[Seen]) -> Result<Vec<FinalHash>, String> {
    let applied = seen.iter().find_map(|seen| match &seen.outcome {
        Ok(Finding::Status(status)) => Some(status.applied_index),
        _ => None,
    });
    let applied = applied.unwrap_or(0);
    let mut hashes = Vec::new();
    for Seen { deed, outcome, .. } in seen {
        let Deed::Hash(node) = deed else { continue };
        match outcome {
            Ok(Finding::Hash { revision, hash }) => {
                let (revision, hash) = (*revision, *hash);
                hashes.push(FinalHash { node: format!("n{node}"), applied, revision, hash });
            }
            Ok(_) => {}
            Err(why) => return Err(format!("n{node} gave no hash of its store: {why}")),
        }
    }
    hashes.sort();
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::Role;

    #[test]
    fn what_a_cluster_lacks_is_said() {
        let ask = |node, outcome| Seen {
            deed: Deed::Ask { node, patience: ANSWER },
            outcome,
            at: Time::ZERO,
        };
        let status = |leader, unconnected: &[NodeId]| {
            let unconnected = unconnected.to_vec();
            Ok(Finding::Status(Status {
                boot: 1,
                role: Role::Follower,
                term: 1,
                leader,
                applied_index: 0,
                unconnected,
            }))
        };
        let well = || ask(2, status(Some(2), &[]));
        assert_eq!(lacks(&[ask(1, status(Some(2), &[])), well()]), None);
        for (first, says) in [
            (status(None, &[]), "n1 knows no leader"),
            (status(Some(2), &[3]), "n1 is not connected to n3"),
            (status(Some(1), &[]), "the nodes do not agree on a leader"),
            (Err(Failure::Hangs("slow".to_owned())), "n1 does not answer: slow"),
        ] {
            assert_eq!(lacks(&[ask(1, first), well()]).unwrap(), says);
        }
    }

    #[test]
    fn indexes_count_at_every_time_of_asking() {
        let ask = |node, applied_index| Seen {
            deed: Deed::Ask { node, patience: ANSWER },
            outcome: Ok(Finding::Status(Status {
                boot: 1,
                role: Role::Follower,
                term: 1,
                leader: None,
                applied_index,
                unconnected: Vec::new(),
            })),
            at: Time::ZERO,
        };
        assert_eq!(applied(&[ask(1, 7), ask(2, 7), ask(1, 7), ask(2, 7)]), Ok(()));
        let moved = applied(&[ask(1, 7), ask(2, 7), ask(1, 8), ask(2, 8)]).unwrap_err();
        assert_eq!(moved, "n1 has applied index 7, and others index 8");
    }
}
