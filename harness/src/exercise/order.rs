//! What the exercise orders, and what a cluster reports: plain data, the same for every kind of
//! cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use checker::{
    evidence::{Crash, FinalHash},
    fault,
    history::lines::Line,
};
use proto::peer::Session;

use crate::{
    client::Completion,
    nemesis::{Link, NetworkTrouble, NodeId, overlap::FaultId},
    workload::Operation,
};

pub use crate::system::Role;

/// Time since the world began; [`Observation::Begin`] comes at its beginning.
pub type Time = Duration;

/// Position of a client.
pub type ClientId = usize;

/// Names a deed, so that its outcome finds whoever ordered it.
pub type Ticket = u64;

/// Something that the cluster, its clients or its recorder must do.
#[derive(Clone, Debug)]
pub enum Order {
    /// Report [`Observation::Alarm`] at this time.
    Wake {
        /// When; never before the present.
        at: Time,
        /// What to report then.
        alarm: Alarm,
    },
    /// Connect a client to a node, in place of the connection it had. Report
    /// [`Observation::Connected`].
    Connect {
        /// Which client.
        client: ClientId,
        /// Goes into the report.
        token: u64,
        /// The node.
        node: NodeId,
    },
    /// Perform an operation on a client's connection. Report [`Observation::Completed`].
    Send {
        /// Which client.
        client: ClientId,
        /// Goes into the report.
        token: u64,
        /// What to perform.
        operation: Operation,
        /// By which the node knows an operation that is sent again.
        session: Option<Session>,
    },
    /// Close a client's connection; whatever it waits for is not wanted any more.
    Disconnect {
        /// Which client.
        client: ClientId,
    },
    /// Do something to the cluster. Report [`Observation::Done`], whatever becomes of it.
    Perform {
        /// Goes into the report.
        ticket: Ticket,
        /// What to do.
        deed: Deed,
    },
    /// Record something.
    Note(Note),
}

/// What is recorded. Times count from the beginning of [`Stage::Load`].
#[derive(Clone, Debug)]
pub enum Note {
    /// A client's event; the recorder numbers it.
    Operation {
        /// Which client, whatever its process number is now.
        client: ClientId,
        /// The event.
        event: Line,
    },
    /// A phase of a fault.
    Fault(Box<fault::Record>),
    /// The run enters a stage.
    Stage(Stage),
    /// What each node says of its store, once all have applied the same index.
    FinalHashes(Vec<FinalHash>),
    /// A node ended by a defect of its own.
    Crash(Crash),
    /// Something keeps the evidence from being complete.
    Incomplete(String),
}

/// The stages of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Until every node follows one leader.
    BringUp,
    /// The cluster is up: clients and faults begin. Time 0 of history and faults.
    Load,
    /// The plan's time is up; what is in force is healed.
    Healing,
    /// Every node must serve again.
    Recovery,
    /// Clients end their last operations.
    Draining,
    /// Every key is read.
    Reading,
    /// The stores must become equal.
    Comparing,
    /// The nodes are stopped.
    Stopping,
    /// The run is over.
    Over,
}

/// For what the exercise is woken.
#[derive(Clone, Copy, Debug)]
pub enum Alarm {
    /// A client's next step.
    Client {
        /// Which client.
        client: ClientId,
        /// Void unless the client still has this token.
        token: u64,
        /// The step.
        step: ClientStep,
    },
    /// A fault's next step.
    Fault(FaultId, FaultStep),
    /// Time to look whether the stage is over.
    Stage(Stage),
    /// Time to look at the nodes again.
    Look,
}

/// What a client is woken for.
#[derive(Clone, Copy, Debug)]
pub enum ClientStep {
    /// To choose its next operation.
    Choose,
    /// To begin the operation that it chose.
    Begin,
    /// It has waited long enough.
    TimedOut,
}

/// What a fault is woken for.
#[derive(Clone, Copy, Debug)]
pub enum FaultStep {
    /// The schedule requests it.
    Request,
    /// Look again for a leader to aim at.
    SeekLeader,
    /// Look again whether it took effect, or whether its effect is over.
    Look,
    /// The schedule requests its end.
    End,
}

/// Something to do to the cluster, or to ask of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Start a node that is down; nothing if it runs. Done when its process exists.
    Start(NodeId),
    /// End a node in order (SIGTERM). Done when its process is gone.
    Stop(NodeId),
    /// End a node with SIGKILL, paused or not. Done when its process is gone.
    Kill(NodeId),
    /// Freeze a node's process.
    Pause(NodeId),
    /// Thaw it; nothing if it is not frozen.
    Resume(NodeId),
    /// Look at a node's process from outside: [`Finding::Process`].
    Examine(NodeId),
    /// Ask a node for its status: [`Finding::Status`].
    Ask {
        /// The node.
        node: NodeId,
        /// How long to wait for the answer.
        patience: Duration,
    },
    /// Ask a node for the hash of its store: [`Finding::Hash`].
    Hash(NodeId),
    /// Drop everything on these links: [`Finding::Rules`].
    Cut {
        /// The fault that does.
        fault: FaultId,
        /// The links.
        links: BTreeSet<Link>,
    },
    /// End a fault's cut; nothing if none is in force.
    Uncut(FaultId),
    /// What a fault's cut has dropped: [`Finding::Dropped`].
    Counters(FaultId),
    /// Whether a ping from one node's network to another's is answered: [`Finding::Reached`].
    Ping(Link),
    /// Trouble links.
    Trouble {
        /// The fault that does.
        fault: FaultId,
        /// How.
        how: NetworkTrouble,
        /// How badly.
        strength: Strength,
        /// The links.
        links: BTreeSet<Link>,
    },
    /// The messages that a fault's trouble struck: [`Finding::Struck`].
    Struck(FaultId),
    /// Break the connections on these links, and those of the clients of these nodes, as soon as
    /// something is in flight on them: [`Finding::Broken`]. Done when something was lost.
    Break {
        /// The fault that does.
        fault: FaultId,
        /// The links.
        links: BTreeSet<Link>,
        /// The nodes.
        nodes: BTreeSet<NodeId>,
    },
    /// End a fault's trouble, or its wait for something to break.
    Calm(FaultId),
    /// Make a node's syncs take longer.
    SlowDisk {
        /// The fault that does.
        fault: FaultId,
        /// Whose disk.
        node: NodeId,
        /// By how much at most.
        most: Duration,
    },
    /// Make a node's next sync fail, or its next segment find no space.
    FailDisk {
        /// The fault that does.
        fault: FaultId,
        /// Whose disk.
        node: NodeId,
        /// Whether there is no space; else the sync fails.
        full: bool,
    },
    /// Stop nodes and flip a bit in what each had synced. Nodes without such a record are started
    /// again: [`Finding::Damage`] has the others.
    FlipBits {
        /// The fault that does.
        fault: FaultId,
        /// Whose disks.
        nodes: BTreeSet<NodeId>,
        /// Chooses the bits.
        pick: u64,
    },
    /// Start a node whose disk this fault damaged; it must refuse: [`Finding::Refusal`].
    StartDamaged {
        /// The fault.
        fault: FaultId,
        /// The node.
        node: NodeId,
    },
    /// What nodes' disks show for a fault: [`Finding::Damage`].
    Damage(FaultId),
    /// Undo what a fault did to a node's disk.
    MendDisk {
        /// The fault.
        fault: FaultId,
        /// Whose disk.
        node: NodeId,
    },
    /// Change a node's clock, and remember for [`Deed::ReadClocks`] what it showed.
    SetClock {
        /// The fault that does.
        fault: FaultId,
        /// Whose clock.
        node: NodeId,
        /// How.
        change: ClockChange,
        /// Remember what it shows after the change, else what it showed before.
        after: bool,
    },
    /// How far the clocks went since the fault changed them: [`Finding::Clocks`].
    ReadClocks(FaultId),
}

/// How bad a network trouble is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strength {
    /// Share of messages that are struck, 0 to 1. A slow network strikes all.
    pub share: f64,
    /// Longest time by which a message comes later.
    pub most: Duration,
}

/// A change of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockChange {
    /// It runs at this rate, in percent of its own.
    Rate(u64),
    /// It jumps forward.
    Forward(Duration),
    /// It jumps back.
    Back(Duration),
}

/// What a deed found.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// It was done, and there is nothing more to say.
    Nothing,
    /// A node was killed; the disk sectors that were not synced, if the cluster knows.
    Killed {
        /// Sectors of which the disk kept any part.
        unsynced: Option<usize>,
    },
    /// A node's process.
    Process(Process),
    /// A node's status.
    Status(Status),
    /// Revision and hash of a node's store.
    Hash {
        /// The revision.
        revision: i64,
        /// The hash.
        hash: u32,
    },
    /// The rules of a cut.
    Rules {
        /// As a person would type them.
        rules: Vec<String>,
        /// For how long the cut was partial, if that is measured.
        skew: Option<Duration>,
    },
    /// What a cut dropped, a counter a link.
    Dropped(Vec<fault::Counter>),
    /// Whether a ping was answered.
    Reached(bool),
    /// Messages that a trouble struck, by link; links without any are left out.
    Struck(BTreeMap<Link, u64>),
    /// What broke.
    Broken {
        /// Messages lost in flight, by link.
        lost: BTreeMap<Link, u64>,
        /// Clients that waited for something, by node.
        clients: BTreeMap<NodeId, u64>,
    },
    /// What disks show for a fault, by node.
    Damage {
        /// By node; nodes without any are left out.
        damage: BTreeMap<NodeId, fault::Damage>,
        /// A disk is at work with a sync that the fault slows.
        busy: bool,
    },
    /// The sentence with which a node refused to start.
    Refusal(String),
    /// How far clocks went, by node.
    Clocks(BTreeMap<NodeId, fault::ClockReading>),
}

/// A node's process, as its machine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// It exists; true also while it is paused.
    pub running: bool,
    /// It is frozen.
    pub paused: bool,
    /// Number of its last start that was observed; 0 if none was.
    pub boot: u64,
    /// How it ended. `None` while it runs.
    pub exit: Option<Exit>,
}

/// How a node's process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; 137 after SIGKILL.
    pub code: Option<i64>,
    /// The kernel killed it for lack of memory.
    pub out_of_memory: bool,
    /// The code is the one that its system keeps for defects of its own.
    pub defect: bool,
    /// The code is the one that its system keeps for a disk that holds what it cannot have written.
    pub refused: bool,
    /// What it last printed.
    pub said: String,
    /// The cluster has recorded this end already.
    pub on_record: bool,
}

/// Exit code of a process that SIGKILL ended.
pub const SIGKILLED: i64 = 128 + 9;

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("exited")?;
        if let Some(code) = self.code {
            write!(f, " with code {code}")?;
        }
        if self.out_of_memory {
            f.write_str(" (the kernel killed it for lack of memory)")?;
        }
        match self.said.trim_end() {
            "" => f.write_str("; it said nothing"),
            said if said.contains('\n') => write!(f, "; it last said:\n{said}"),
            said => write!(f, "; it last said: {said}"),
        }
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Number of its present start.
    pub boot: u64,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// The leader that it follows in that term, or itself.
    pub leader: Option<NodeId>,
    /// The last entry that it applied.
    pub applied_index: u64,
    /// Peers to which it has no open stream.
    pub unconnected: Vec<NodeId>,
}

/// Why a deed has no finding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No answer came within the patience.
    #[error("{0}")]
    Hangs(String),
    /// The node could not be reached, or answered with an error.
    #[error("{0}")]
    Refused(String),
    /// It could not be done.
    #[error("{0}")]
    Impossible(String),
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Observation {
    /// The world began; its nodes exist and none runs.
    Begin,
    /// A time came for which the exercise asked.
    Alarm(Alarm),
    /// A client's connection stands, or why not: then nothing was sent.
    Connected {
        /// Which client.
        client: ClientId,
        /// As ordered.
        token: u64,
        /// Why not.
        result: Result<(), String>,
    },
    /// A client's operation ended.
    Completed {
        /// Which client.
        client: ClientId,
        /// As ordered.
        token: u64,
        /// How.
        completion: Completion,
    },
    /// A client's connection broke while it waited for nothing.
    Disconnected {
        /// Which client.
        client: ClientId,
    },
    /// A deed was done, or not.
    Done {
        /// As ordered.
        ticket: Ticket,
        /// What was found.
        outcome: Result<Finding, Failure>,
    },
    /// A fault that waits for something to meet it has met something.
    Met(FaultId),
    /// The run is to end before its time, for this reason.
    EndEarly(String),
}

/// What leads a cluster: takes observations in and gives orders. Pure.
pub trait Machine {
    /// Takes one observation, and appends what follows from it to `orders`. The first must be
    /// [`Observation::Begin`].
    fn handle(&mut self, now: Time, what: Observation, view: &dyn View, orders: &mut Vec<Order>);

    /// Whether it orders nothing any more.
    fn is_over(&self) -> bool;
}

/// What a machine may ask of a cluster at any moment.
pub trait View {
    /// The node that leads in the latest term, as far as is known.
    fn leader(&self) -> Option<NodeId>;
}
