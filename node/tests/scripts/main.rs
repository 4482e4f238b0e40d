//! Runs the scripts in `core/`: an event of the consensus core a line in, what follows a line out.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p node --test scripts` writes the expected output; read it.
//!
//! Events:
//! - `cluster 3 [window=N] [bytes=N]`: new nodes, n1 to n3, with empty disks;
//! - `disk n1 term=6 [vote=n2] log=1,1,4`: n1 starts again with this on its disk;
//! - `timeout n1`: n1's timer runs out: an election timeout, or on a leader a heartbeat interval;
//! - `propose n1 x`, `read n1`: a client's command, a client's read;
//! - `deliver [n1 …]`: each message in flight (to these nodes) arrives, those it causes do not;
//! - `settle`: messages arrive until none is in flight;
//! - `lose [n1 …]`, `double [n1 …]`: messages in flight (to these nodes) are lost, are doubled;
//! - `keep [n1 …]`, `late`: messages in flight are put aside; what was put aside is in flight again;
//! - `cut n1 n2`: from now on no message passes between these nodes and the others; `heal`;
//! - `slow n1`: n1's writes wait for `sync n1 [N]`, which completes all or the first N of them;
//! - `crash n1`, `start n1`: n1 loses what is not durable; n1 starts from its disk;
//! - `forge from=n1 to=n2 term=3 …`: a message that nobody sent (see `forge.rs`);
//! - `logs`: every node's term, role, commit index and log.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod forge;
mod world;

#[test]
fn core() {
    let mut paths: Vec<_> = std::fs::read_dir("tests/scripts/core")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 12, "the scripts are missing: {paths:?}");
    for path in paths {
        println!("{}", path.display());
        goldenscript::run(&mut world::World::default(), path).unwrap();
    }
}
