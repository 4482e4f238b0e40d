//! What each session demands of the order of a key's versions.

use rustc_hash::FxHashMap;

use super::{
    super::operation::Action,
    versions::{Seen, Versions, moment},
};

/// What a session is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guarantee {
    /// A read sees nothing older than one before.
    MonotonicReads,
    /// A read sees nothing older than what the session wrote before.
    ReadYourWrites,
    /// The session's writes take effect in its order.
    MonotonicWrites,
    /// A write takes effect after what the session had read.
    WritesFollowReads,
}

/// `from` is before `to`, since these two operations of one session were in this order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) guarantee: Guarantee,
    pub(super) earlier: usize,
    pub(super) later: usize,
    /// Whether it holds even where time does not order writes.
    pub(super) timeless: bool,
}

/// What one key's sessions demand.
#[derive(Default)]
pub(super) struct Demands {
    pub(super) edges: Vec<Edge>,
    /// A read that no version explains, after an operation of its session that leaves none.
    pub(super) gone: Vec<(Guarantee, usize, usize)>,
    /// Reads of what nobody had written by then.
    pub(super) unwritten: Vec<usize>,
    /// Reads.
    pub(super) reads: usize,
}

/// Where a session is: the versions it last saw and made, by which operations.
#[derive(Default)]
struct Session {
    saw: Option<(u32, usize)>,
    wrote: Option<(u32, usize)>,
}

/// Walks through all sessions.
pub(super) fn demands(versions: &Versions<'_>) -> Demands {
    use Guarantee::{MonotonicReads, MonotonicWrites, ReadYourWrites, WritesFollowReads};
    let mut demands = Demands::default();
    let mut sessions: FxHashMap<u64, Session> = FxHashMap::default();
    for (at, operation) in versions.operations.iter().enumerate() {
        let session = sessions.entry(operation.source.process).or_default();
        if let Some(made) = versions.made[at] {
            let timeless = true;
            for (before, guarantee) in
                [(session.wrote, MonotonicWrites), (session.saw, WritesFollowReads)]
            {
                if let Some((from, earlier)) = before.filter(|&(from, _)| from != made) {
                    let to = made;
                    demands.edges.push(Edge { from, to, guarantee, earlier, later: at, timeless });
                }
            }
            session.wrote = Some((made, at));
            continue;
        }
        let (Action::Read(value), Some(ret)) = (operation.action, operation.ret) else { continue };
        let ret = moment(ret);
        demands.reads += 1;
        let plain = versions.seen(at, value, ret, None);
        if plain == Seen::None {
            demands.unwritten.push(at);
            continue;
        }
        let mut saw = plain;
        for (before, guarantee) in [(session.wrote, ReadYourWrites), (session.saw, MonotonicReads)]
        {
            let Some((from, earlier)) = before else { continue };
            // Where there is just one version to choose, the order says whether it may be that.
            let seen = match plain {
                Seen::One(_) => plain,
                _ => versions.seen(at, value, ret, Some(from)),
            };
            match seen {
                Seen::One(to) if to != from => {
                    let timeless = plain == Seen::One(to);
                    demands.edges.push(Edge { from, to, guarantee, earlier, later: at, timeless });
                }
                Seen::One(_) | Seen::Several => {}
                Seen::None => demands.gone.push((guarantee, at, earlier)),
            }
            if guarantee == MonotonicReads {
                saw = seen;
            }
        }
        if let Seen::One(version) = saw {
            session.saw = Some((version, at));
        }
    }
    demands
}
