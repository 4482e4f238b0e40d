//! How a story says what clients, faults, processes and the network do. What nodes say and do has
//! its words where it is defined.

use std::time::Duration;

use checker::{
    fault::{self, Link, Phase},
    history::{
        self, Function, Kind, Value,
        generic::{self, Datum},
        lines::Line,
    },
};

use crate::{
    cluster::sim::{Ending, Loss},
    exercise::Stage,
};

/// What a client does or learns.
pub(super) fn client(event: &Line) -> String {
    match event {
        Line::Register(event) => register(event),
        Line::Generic(event) => request(event),
    }
}

/// What a client asks etcd's `KV` for or learns: `asks n3 to put {key k1, value v7}`.
fn request(event: &generic::Event) -> String {
    let generic::Event { kind, f, value, error, node, .. } = event;
    let why = error.as_deref().unwrap_or("no reason is known");
    match kind {
        Kind::Invoke => {
            let node = node.as_deref().unwrap_or("no node");
            format!("asks {node} for {f} {}", readable(value))
        }
        Kind::Ok => format!("is answered its {f}: {}", readable(value)),
        Kind::Fail => format!("is refused its {f}: {why}"),
        Kind::Info => format!("may or may not have its {f}: {why}"),
    }
}

/// A request in a few words: `put a/1`.
pub(super) fn short(event: &generic::Event) -> String {
    let key = match &event.value {
        Datum::Map(fields) => fields.iter().find(|(name, _)| name.text() == Some("key")),
        _ => None,
    };
    match key {
        Some((_, key)) => format!("{} {}", event.f, readable(key)),
        None => event.f.to_string(),
    }
}

/// Data without control characters.
fn readable(datum: &Datum) -> String {
    datum
        .to_string()
        .chars()
        .flat_map(|c| match c {
            ' '..='~' => vec![c],
            c => c.escape_default().collect(),
        })
        .collect()
}

/// What a client does to a register or learns: `writes k1=7 through n3`, `has written k1=7`.
fn register(event: &history::Event) -> String {
    let key = &event.key;
    let (does, done, to_do) = match (event.f, event.value) {
        (Function::Read, _) => ("reads", "read", "read"),
        (Function::Write, _) => ("writes", "written", "write"),
        (Function::Cas, _) => ("sets", "set", "set"),
        (Function::Delete, _) => ("deletes", "deleted", "delete"),
    };
    let what = match (event.f, event.value) {
        (Function::Read, _) | (_, Value::Nil) => key.clone(),
        (_, Value::Int(value)) => format!("{key}={value}"),
        (_, Value::Pair(Some(old), new)) => format!("{key} from {old} to {new}"),
        (_, Value::Pair(None, new)) => format!("{key} from nothing to {new}"),
        // The invocation says what was to be set.
        (_, Value::Found(_)) => key.clone(),
    };
    let why = event.error.as_deref().unwrap_or("no reason is known");
    match (event.kind, event.f) {
        (Kind::Invoke, _) => {
            let node = event.node.as_deref().unwrap_or("no node");
            format!("{does} {what} through {node}")
        }
        (Kind::Ok, Function::Read) => match event.value {
            Value::Nil => format!("has read that there is no {key}"),
            value => format!("has read {key}={value}"),
        },
        (Kind::Ok, _) => format!("has {done} {what}"),
        (Kind::Fail, Function::Cas) if why == "mismatch" => match event.value {
            Value::Found(None) => format!("did not set {key}: there is none"),
            Value::Found(Some(found)) => format!("did not set {what}: it was {found}"),
            _ => format!("did not set {what}: it had another value"),
        },
        (Kind::Fail, _) => format!("did not {to_do} {what}: {why}"),
        (Kind::Info, _) => format!("may or may not have {done} {what}: {why}"),
    }
}

/// A phase of a fault: `fault 3, kill of leader: in force on n2`.
pub(super) fn fault(record: &fault::Record) -> String {
    let fault::Record { fault, kind, what, nodes, links, .. } = record;
    let on = match nodes.as_slice() {
        [] => String::new(),
        nodes => format!(" on {}", nodes.join(" ")),
    };
    let phase = match record.phase {
        Phase::Requested => "is due".to_owned(),
        Phase::Applied => format!("is in force{on}{}", cut(links)),
        Phase::Confirmed => "was seen to bite".to_owned(),
        Phase::HealRequested => "is to end".to_owned(),
        Phase::Healed => "is healed".to_owned(),
        Phase::Failed => format!("failed: {}", record.reason()),
        Phase::Skipped => format!("is skipped: {}", record.reason()),
    };
    format!("fault {fault} ({kind} {what}) {phase}")
}

/// The links that a partition cuts: `: no message n1↔n2 n3→n1`.
fn cut(links: &[Link]) -> String {
    let links: Vec<String> = links
        .iter()
        .filter_map(|&Link { from, to }| match links.contains(&Link { from: to, to: from }) {
            true => (from < to).then(|| format!("n{from}↔n{to}")),
            false => Some(format!("n{from}→n{to}")),
        })
        .collect();
    if links.is_empty() { String::new() } else { format!(": no message {}", links.join(" ")) }
}

/// Who a client is, in a run of so many clients and nodes: those beyond the load's ask each node
/// for service, and read at the end.
pub(super) fn who(client: u64, clients: u64, nodes: u64) -> String {
    match client.checked_sub(clients) {
        None => format!("client {client}"),
        Some(probe) if probe < nodes => format!("probe n{}", probe + 1),
        Some(_) => "reader".to_owned(),
    }
}

/// Why a message is lost.
pub(super) fn loss(why: Loss) -> &'static str {
    match why {
        Loss::Chance => "lost on its way",
        Loss::Cut => "lost, the link is cut",
        Loss::Down => "lost, the receiver is down",
        Loss::Reset => "lost, the receiver was started anew",
    }
}

/// How a process ended; nothing where its own trace says so.
pub(super) fn ending(ending: Ending<'_>, unsynced: usize) -> Option<String> {
    let lost = match unsynced {
        0 => "all that it wrote was on disk".to_owned(),
        1 => "1 sector was not synced".to_owned(),
        n => format!("{n} sectors were not synced"),
    };
    match ending {
        Ending::Killed => Some(format!("is killed; {lost}")),
        Ending::Itself(how) => Some(format!("ends by itself ({how}); {lost}")),
        Ending::Stopped => None,
    }
}

/// The run's stages.
pub(super) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::BringUp => "the nodes start",
        Stage::Load => "the cluster is up: load and faults begin",
        Stage::Healing => "the time is up: what is still in force ends",
        Stage::Recovery => "every fault is over: every node must serve",
        Stage::Draining => "every node was asked: the load ends",
        Stage::Reading => "the load is over: every key is read",
        Stage::Comparing => "the stores are compared",
        Stage::Stopping => "the nodes are stopped",
        Stage::Over => "the run is over",
    }
}

/// Nanoseconds since the start of the load: `4.120 s`.
pub(super) fn moment(nanoseconds: i128) -> String {
    // Not -0.000.
    let nanoseconds = if nanoseconds.abs() < 500_000 { 0 } else { nanoseconds };
    format!("{:.3} s", nanoseconds as f64 / 1e9)
}

/// `350 µs`, `23 ms`, `1.2 s`.
pub(super) fn length(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros @ 1_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// `1 heartbeat or answer that changed nothing`.
pub(super) fn idle(number: usize) -> String {
    match number {
        1 => "1 heartbeat or answer that changed nothing".to_owned(),
        n => format!(
            "{} heartbeats and answers that changed nothing",
            crate::report::text::count(n as u64)
        ),
    }
}

/// `1 heartbeat`, `1,234 heartbeats`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", crate::report::text::count(number as u64))
}
