//! Decides from recorded evidence whether a run kept its promises. Pure: evidence in, verdict out.
//!
//! The evidence is at least a *history*: who asked what and when, who was told what and when. One
//! client writes 7 and is told that it is done. After that another reads, and is told that there is
//! nothing:
//!
//! ```
//! use std::path::Path;
//!
//! use checker::{budget::Limits, history::read, judge, verdict::Outcome};
//!
//! let history = r#"
//! {"index":0,"time":10,"process":0,"type":"invoke","f":"write","key":"k","value":7,"node":"n1"}
//! {"index":1,"time":20,"process":0,"type":"ok","f":"write","key":"k","value":7,"node":"n1"}
//! {"index":2,"time":30,"process":1,"type":"invoke","f":"read","key":"k","value":null,"node":"n2"}
//! {"index":3,"time":40,"process":1,"type":"ok","f":"read","key":"k","value":null,"node":"n2"}
//! "#;
//! let check = |history: &str| {
//!     // What it is written in, and which model has a `read` and a `write`, is found out.
//!     let history = read::read(history.as_bytes(), Path::new("example"), None, false)?;
//!     Ok::<_, Box<dyn std::error::Error>>(judge::history(history, None, &Limits::default())?)
//! };
//!
//! let stale = check(history.trim_start())?;
//! assert_eq!(stale.found.model.name, "register");
//! assert_eq!(stale.verdict.outcome, Outcome::Violated);
//! let violation = &stale.verdict.properties[0].violations[0];
//! assert_eq!(violation.rule, "linearizability");
//! assert!(violation.summary.starts_with("n2 answered nil for key k"));
//! assert_eq!(violation.operations, [0, 1, 2, 3]);
//!
//! // Had nobody been told that the write was done, it could still be on its way.
//! let unanswered = history.replacen(r#""ok""#, r#""info""#, 1);
//! assert_eq!(check(unanswered.trim_start())?.verdict.outcome, Outcome::Ok);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An outcome is `ok`, `violated` or `unknown`, and each must be earned. Where a history is not
//! linearizable, the violation names operations that have no order even without the rest; where it
//! is, an order was found and replayed. All else is unknown, with the reason: a search that ran out
//! of time or memory, evidence that is missing, a history in which nothing happened.
//!
//! What a verdict cannot know is what the evidence does not say. A history proves something about
//! what its clients saw, not about what a system does when nobody looks.
//!
//! # Layout
//!
//! - [`history`]: operations that clients saw, and their codecs;
//! - [`fault`]: what was done to the cluster, and the proof that it took effect;
//! - [`evidence`]: a whole run directory;
//! - [`model`]: what a single server would answer;
//! - [`verdict`], [`budget`]: the vocabulary that all deciders share;
//! - the deciders, each of which knows models and vocabulary, and no other decider:
//!   [`linear`]: whether the history could be one of the model's;
//!   [`txn`]: whether transactions could have happened one at a time;
//!   [`consistency`]: promises weaker than linearizability: sessions, sequential consistency;
//!   [`watch`]: whether streams of changes show each change once, in order and without a gap;
//!   [`raft`]: the Raft safety properties, from the nodes' traces;
//! - [`property`]: what else a run must show, a small file each;
//! - [`surface`]: what of etcd's `KV` a history tested;
//! - [`judge`]: the one door: picks the model and the deciders, for a bare history and for a run;
//! - [`explanation`]: why, as a page.

#![forbid(unsafe_code)]

pub mod budget;
pub mod consistency;
pub mod evidence;
pub mod explanation;
pub mod fault;
pub mod history;
pub mod jsonl;
pub mod judge;
pub mod linear;
pub mod model;
pub mod property;
pub mod raft;
pub mod surface;
mod text;
pub mod txn;
pub mod verdict;
pub mod version;
pub mod watch;
