//! The life of a node's process, from its start to its end. What it does meanwhile: `round`.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

use checker::evidence::Ending;
use node::{
    replica::{Config, Input, Outputs, Replica, Time},
    storage::{self, Options, Wal},
};
use proto::trace;
use rand::RngExt;

use super::{
    disk::SimulatedDisk,
    observe::{self, Loss, SimEvent},
    process::{CLUSTER, Fatal, Process, Running, Timer, by_node, identity},
    pulse::Work,
    queue::{Event, NodeInput},
    world::World,
};
use crate::{
    exercise::SIGKILLED,
    nemesis::NodeId,
    plan::{Honesty, Storage},
};

impl World<'_> {
    /// Starts a process with what its disk holds; nothing if it runs.
    ///
    /// # Errors
    /// It refuses, which is on record.
    pub(super) fn start(&mut self, id: NodeId) -> Result<(), String> {
        self.try_start(id).map_err(|fatal| {
            let why = format!("n{id} did not start: {fatal}");
            match fatal {
                // That is on record.
                Fatal::Panic(_) => {}
                Fatal::Log(_) => self.blame(id, why.clone()),
            }
            why
        })
    }

    /// Starts a process, which may refuse to with what its disk holds. The disk is then as before.
    pub(super) fn try_start(&mut self, id: NodeId) -> Result<(), Fatal> {
        let true_now = self.now;
        let pulse = Arc::clone(&self.pulse);
        let seed = self.rng.random();
        let mutants = self.plan.mutants_of(id);
        let (voters, timings) = (self.plan.node_ids(), &self.plan.timings);
        let limits = self.plan.world.limits.into();
        let segment_bytes = self.plan.world.disk.segment_bytes;
        let segments = Options { first_segment_bytes: segment_bytes / 4, segment_bytes };
        let process = self.process(id);
        // To open a log takes the disk; this one stays where the process does not start.
        let Some(disk) = process.disk.clone() else { return Ok(()) };
        process.incarnation += 1;
        let now = process.time.read(true_now);
        let config = Config {
            id,
            cluster_id: CLUSTER,
            voters,
            clock: process.clock,
            election_timeout: timings.election_timeout,
            heartbeat_interval: timings.heartbeat_interval,
            seed,
            limits,
            mutants,
        };
        // A replica may find its state impossible as soon as it begins.
        let begun = by_node((&*pulse, id, true_now), Work::Start, || {
            let (wal, recovered) = Wal::open_with(disk, identity(id), segments)?;
            let (boot, cut) = (recovered.boot, recovered.cut);
            let mut replica = Replica::new(config, recovered, now);
            let mut outputs = Outputs::default();
            replica.handle(now, Input::Timer, &mut outputs);
            Ok((wal, replica, outputs, boot, cut))
        });
        let (wal, replica, outputs, boot, cut) = match begun {
            Ok(begun) => begun,
            Err(fatal) => {
                if let Fatal::Panic(_) = fatal {
                    let how = fatal.to_string();
                    let ending = observe::Ending::Itself(&how);
                    self.watch.see(true_now, SimEvent::Ended { node: id, ending, unsynced: 0 });
                    self.record.crash(id, Ending::Defect, how);
                }
                return Err(fatal);
            }
        };
        let process = self.process(id);
        process.disk = None;
        process.running = Some(Box::new(Running {
            replica,
            wal,
            boot,
            lines: 0,
            inbox: VecDeque::new(),
            outputs,
            busy_until: true_now,
            awaited: false,
            timer: None,
            queued: Vec::new(),
            syncing: None,
            requests: BTreeMap::new(),
            last_request: 0,
            latest: now,
        }));
        self.watch.see(true_now, SimEvent::Started { node: id, boot, cut });
        self.round(id);
        Ok(())
    }

    /// The process ends at once, and the machine with it: of what was not synced, the disk keeps
    /// any part. Returns how many sectors were at stake.
    pub(super) fn crash(&mut self, id: NodeId) -> Option<usize> {
        let up = self.process(id).is_up();
        let unsynced = self.end(id, observe::Ending::Killed, true);
        up.then_some(unsynced)
    }

    /// Ends a process, and where its machine loses power, what its disk was not told to keep.
    pub(super) fn end(
        &mut self,
        id: NodeId,
        ending: observe::Ending<'_>,
        power_fails: bool,
    ) -> usize {
        let now = self.now;
        let honesty = self.plan.world.disk.honesty;
        let forgets = self.plan.storage == Storage::Memory;
        let process = &mut self.processes[id as usize - 1];
        let held = mem::take(&mut process.held);
        process.paused = false;
        let Some(running) = process.running.take() else { return 0 };
        let mut disk = running.wal.into_disk();
        let unsynced = disk.unsynced_sectors();
        self.watch.see(now, SimEvent::Ended { node: id, ending, unsynced });
        for input in running.inbox.iter().chain(&held) {
            if let NodeInput::Message(id, message) = input {
                self.watch.see(now, SimEvent::Lost { id: *id, message, why: Loss::Down });
            }
        }
        if forgets {
            disk = SimulatedDisk::new(honesty);
        } else if power_fails {
            disk.crash(&mut self.rng);
        }
        process.disk = Some(disk);
        process.exit = Some(match ending {
            observe::Ending::Killed => SIGKILLED,
            observe::Ending::Itself(_) => 1,
            observe::Ending::Stopped => 0,
        });
        self.reset_clients(id);
        unsynced
    }

    pub(super) fn pause(&mut self, id: NodeId) {
        let now = self.now;
        let process = self.process(id);
        (process.paused, process.disturbed) = (true, now);
        self.watch.see(self.now, SimEvent::Paused { node: id });
    }

    /// What waited is dealt with now.
    pub(super) fn resume(&mut self, id: NodeId) {
        let now = self.now;
        let process = self.process(id);
        (process.paused, process.disturbed) = (false, now);
        let held = mem::take(&mut process.held);
        self.watch.see(now, SimEvent::Resumed { node: id });
        let process = self.process(id);
        if let Some(running) = &mut process.running {
            running.inbox.extend(held);
            self.round(id);
        }
    }

    /// A timer that was scheduled goes off; the replica may have moved its deadline meanwhile.
    pub(super) fn timer(&mut self, id: NodeId) {
        let now = self.now;
        let Process { paused, time, running: Some(running), .. } = self.process(id) else { return };
        if running.timer.is_none_or(|timer| timer.at != now) {
            return;
        }
        running.timer = None;
        if *paused {
            return;
        }
        if running.replica.deadline() > time.read(now) {
            return self.arm_timer(id);
        }
        self.budget.woken(id, now);
        self.watch.see(now, SimEvent::Timer { node: id });
        self.round(id);
    }

    /// Sees to it that a timer goes off no later than the replica's deadline.
    pub(super) fn arm_timer(&mut self, id: NodeId) {
        let now = self.now;
        let Process { time, running: Some(running), .. } = self.process(id) else { return };
        let reading = running.replica.deadline();
        if running.timer.is_some_and(|timer| timer.reading <= reading) || reading == Time::MAX {
            return;
        }
        let at = time.when(reading).max(now + Duration::from_nanos(1));
        running.timer = Some(Timer { at, reading });
        self.queue.push(at, Event::Timer(id));
    }

    /// A node's clock goes otherwise than before, so its timer goes off at another time.
    pub(super) fn rearm_timer(&mut self, id: NodeId) {
        self.process(id).disturbed = self.now;
        if let Some(running) = &mut self.process(id).running {
            running.timer = None;
            self.arm_timer(id);
        }
    }

    /// A process ends that nobody kills.
    pub(super) fn died(&mut self, id: NodeId, of: &Fatal) {
        match of {
            Fatal::Log(why) => self.stopped(id, why),
            Fatal::Panic(_) => {
                let how = of.to_string();
                self.end(id, observe::Ending::Itself(&how), true);
                self.record.crash(id, Ending::Defect, how);
            }
        }
    }

    /// A process stopped as its log cannot go on. Where a fault of its disk is the cause, that is
    /// on record there; else nobody has done it.
    fn stopped(&mut self, id: NodeId, why: &storage::Error) {
        let by = match (self.process(id).pending_disk_fault, why) {
            (Some((fault, false)), storage::Error::Io { .. })
            | (Some((fault, true)), storage::Error::DiskFull { .. }) => Some(fault),
            _ => None,
        };
        match by {
            Some(fault) => {
                let boot = self.process(id).boot();
                // The machine may go on, and keep in memory what the disk did not take.
                let power_fails = self.rng.random_bool(0.5);
                let how = format!("stopped: {why}");
                self.end(id, observe::Ending::Itself(&how), power_fails);
                self.stopped_by(fault, id, boot, why.to_string());
            }
            None => {
                let how = format!("stopped: {why}");
                self.end(id, observe::Ending::Itself(&how), true);
                self.blame(id, how);
            }
        }
    }

    /// A node refuses what its disk holds, or stopped over its disk. No fault had touched the disk,
    /// so the node itself is to blame, unless disks lie.
    fn blame(&mut self, id: NodeId, how: String) {
        match self.plan.world.disk.honesty {
            Honesty::Honest => self.record.crash(id, Ending::Disk, how),
            Honesty::LiesAboutSync => self.record.incomplete(how),
        }
    }

    /// Ends a process in order: what is queued is written, and the trace says so.
    pub(super) fn stop(&mut self, id: NodeId) {
        let (pulse, now) = (Arc::clone(&self.pulse), self.now);
        let Some(running) = &mut self.process(id).running else { return };
        let finished = by_node((&*pulse, id, now), Work::Log, || {
            for (_, records) in running.queued.drain(..) {
                running.wal.append(&records)?;
            }
            running.wal.sync()
        });
        if let Err(fatal) = finished {
            return self.died(id, &fatal);
        }
        let Some(running) = &self.process(id).running else { return };
        let (line, clock) = ((running.boot, running.lines), running.replica.clock() + 1);
        self.trace(id, line, clock, trace::Event::Stopped {});
        self.end(id, observe::Ending::Stopped, true);
    }
}
