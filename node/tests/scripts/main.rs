//! Runs the scripts in `core/` and `replica/`: an event a line in, what follows from it a line out.
//!
//! # To add one
//! Write a `.txt` that opens with what it shows and where that comes from, in blocks of events that
//! end in `---`; `UPDATE_GOLDENFILES=1 cargo test -p node --test scripts` fills in what follows
//! from each. Read every line: it must be what Raft prescribes, not what the node happens to do.
//! After a change of the node the same command shows, as a diff, what now goes differently.
//! An event in parentheses happens silently.
//!
//! # Events of the network, in both folders
//! - `deliver`: each message in flight arrives, those it causes do not yet; `settle`: messages
//!   arrive until none is in flight;
//! - `lose`, `double`, `reverse`: messages in flight are lost, are doubled, change their order;
//! - `keep`, `late`: messages in flight are put aside; what was put aside is in flight again;
//! - all but `settle` and `late` may name receivers, a sender and how many: `lose n1 n2 from=n3
//!   count=1`;
//! - `cut n1 n2`: from now on no message passes between these nodes and the others; `heal`;
//! - `forge from=n1 to=n2 term=3 …`: a message that nobody sent (see `forge.rs`).
//!
//! # Events of a node, in both folders
//! - `timeout n1`: n1's timer runs out: an election timeout, or on a leader a heartbeat interval;
//! - `slow n1`: n1's writes wait for `sync n1 [N]`, which completes all or the first N of them;
//!   `quick n1`: they complete at once again;
//! - `crash n1`, `start n1`: n1 loses what is not durable; n1 starts from its disk. With
//!   `written=N` the first N of its writes had reached the disk, though nobody knew yet;
//! - `logs`: every node's term, role, commit index and log.
//!
//! # Events in `core/`
//! - `cluster 3 [window=N] [bytes=N]`: new nodes, n1 to n3, with empty disks. All are voters, or
//!   those that are no `learners=n3`; with `incoming="n2,n3" outgoing="n1,n2"` membership changes;
//! - `disk n1 term=6 [vote=n2] log=1,1,4 [compacted=N]`: n1 starts again with this on its disk, the
//!   first N entries compacted into a snapshot;
//! - `propose n1 x [bytes=N]`, `read n1`: a client's command (of so many bytes), a client's read;
//! - `wait 50`: 50 ms pass, in which timers run out (the election timeouts of n1, n2, … are 110,
//!   120, … ms; a heartbeat interval is 10 ms) and messages arrive at once; `timers`: what is left
//!   of each; `draw n1 150`: what n1's next election timeout will be.
//!
//! # Events in `replica/`
//! - `cluster 3 [requests=N] [request-bytes=N] [uncommitted-bytes=N] [subscription-changes=N]`: new
//!   nodes with these limits;
//! - `subscribe n1`: a new subscriber hears of all that n1 applies from now on; `unsubscribe n1 2`:
//!   subscriber 2 of n1 does so no more;
//! - `put n1 a=1`, `get n1 a [serializable]`, `delete n1 a`, `swap n1 a 1 2` (if it is 1, make it
//!   2): a client asks n1. Each request has a client of its own. A write may have `session=s/1`:
//!   command 1 of session s;
//! - `wait n1 50`: on n1's own clock 50 ms pass, in which its timers run out (the shortest election
//!   timeout is 100 ms, a heartbeat interval 20 ms, a request waits 200 ms for a leader and 500 ms
//!   in all); messages wait. Here `timeout n1` is whatever n1 waits for next, its clients' too;
//! - `settle [clients]`, and so with any event: of what follows, only what clients say and hear;
//! - `crash n1 torn=N`: of the first write on its way that is not durable, N bytes reached the
//!   disk.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod forge;
mod network;
mod replica;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use goldenscript::Runner;

/// Plays all scripts of a folder, at least `least`, and names those that went otherwise.
fn play<R: Runner + Default>(folder: &str, least: usize) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(format!("tests/scripts/{folder}"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= least, "scripts are missing: {paths:?}");
    paths.retain(|path| {
        println!("{}", path.display());
        let run = || goldenscript::run(&mut R::default(), path).unwrap();
        catch_unwind(AssertUnwindSafe(run)).is_err()
    });
    assert!(paths.is_empty(), "these scripts went otherwise: {paths:#?}");
}

#[test]
fn core() {
    play::<world::World>("core", 67);
}

#[test]
fn replica() {
    play::<replica::World>("replica", 32);
}
