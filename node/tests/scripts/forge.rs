//! Messages that a script makes up: `forge from=n1 to=n2 term=3 KIND=…`, where `KIND` is
//! - `vote=INDEX@TERM`, a request for a vote by a log that ends there; `granted=yes` or `no`;
//! - `append=INDEX@TERM [entries=INDEX@TERM,…] [commit=INDEX] [round=N]`;
//! - `matched=INDEX [round=N]`, `conflict=INDEX@TERM [round=N]`;
//! - `ask=ID`, `answer=ID [index=INDEX]`, a question for a read index and its answer, or refusal;
//! - `propose=n2/BOOT/NUMBER`, `refuse=n2/BOOT/NUMBER`, a command that n2 forwards, without sense
//!   in it, and its refusal.

use std::error::Error;

use bytes::Bytes;
use goldenscript::ArgumentConsumer;
use node::{
    raft::{Body as Raft, Conflict, Entry, EntryKind, Hash},
    replica::{Body, Message},
};
use proto::peer::CommandId;

use crate::network::node;

/// Parses the arguments of `forge`.
pub(crate) fn message(mut args: ArgumentConsumer<'_>) -> Result<Message, Box<dyn Error>> {
    let from = node(args.take_key("from").ok_or("who sends it?")?)?;
    let to = node(args.take_key("to").ok_or("to whom?")?)?;
    let term = args.take_key("term").ok_or("in which term?")?.parse()?;
    let mut number = |key: &str| args.take_key(key).map_or(Ok(0), str::parse::<u64>);
    let (commit, round) = (number("commit")?, number("round")?);
    let index = args.take_key("index").map(str::parse).transpose()?;
    let entries = args.take_key("entries").unwrap_or_default();
    let entries = entries
        .split(',')
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let (index, term) = position(entry)?;
            let payload = Bytes::from_static(b"f");
            Ok(Entry { index, term, kind: EntryKind::Normal, payload, hash: Hash(0) })
        })
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let (kind, value) = args.next_key().ok_or("what kind of message?")?;
    let body = match kind {
        "vote" => {
            let (last_index, last_term) = position(value)?;
            Raft::RequestVote { last_index, last_term }.into()
        }
        "granted" => Raft::VoteReply { granted: value == "yes" }.into(),
        "append" => {
            let (prev_index, prev_term) = position(value)?;
            Raft::Append { prev_index, prev_term, entries, commit, round }.into()
        }
        "matched" => Raft::AppendReply { result: Ok(value.parse()?), round }.into(),
        "conflict" => {
            let (index, term) = position(value)?;
            Raft::AppendReply { result: Err(Conflict { term, index }), round }.into()
        }
        "ask" => Raft::ReadIndex { id: value.parse()? }.into(),
        "answer" => Raft::ReadIndexReply { id: value.parse()?, index }.into(),
        "propose" => Body::Propose { command: Bytes::from_static(b"f"), id: command(value)? },
        "refuse" => Body::ProposeRefused { id: command(value)? },
        kind => return Err(format!("no message is called {kind}").into()),
    };
    args.reject_next()?;
    Ok(Message { from, to, term, clock: 0, body })
}

fn command(text: &str) -> Result<CommandId, Box<dyn Error>> {
    let parts: Vec<_> = text.split('/').collect();
    let [of, boot, number] = parts[..] else { return Err("a command is like n2/1/7".into()) };
    Ok(CommandId { node: node(of)?, boot: boot.parse()?, number: number.parse()? })
}

fn position(text: &str) -> Result<(u64, u64), Box<dyn Error>> {
    let (index, term) = text.split_once('@').ok_or("a position is like 3@1, index and term")?;
    Ok((index.parse()?, term.parse()?))
}
