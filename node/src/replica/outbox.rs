//! Messages on their way out. Those of several inputs that leave together are joined if one
//! says as much as two.

use super::{Body, Message};
use crate::raft;

/// Adds a message after those that have not left yet: an append that continues the one before
/// joins it, up to `append_bytes`; an acknowledgement replaces the one before.
pub(super) fn push(outbox: &mut Vec<Message>, message: Message, append_bytes: usize) {
    match outbox.iter_mut().rfind(|before| before.to == message.to) {
        Some(before) if joinable(before, &message, append_bytes) => join(before, message),
        _ => outbox.push(message),
    }
}

/// Whether one message can say what two would.
fn joinable(before: &Message, message: &Message, append_bytes: usize) -> bool {
    if before.term != message.term {
        return false;
    }
    let (Body::Raft(before), Body::Raft(body)) = (&before.body, &message.body) else {
        return false;
    };
    match (before, body) {
        (
            raft::Body::Append { prev_index: start, prev_term: start_term, entries: first, .. },
            raft::Body::Append { prev_index, prev_term, entries, .. },
        ) => {
            let (end, end_term) =
                first.last().map_or((*start, *start_term), |entry| (entry.index, entry.term));
            let bytes: usize = first.iter().chain(entries).map(|entry| entry.payload.len()).sum();
            (end, end_term) == (*prev_index, *prev_term)
                && (entries.is_empty() || bytes <= append_bytes)
        }
        (
            raft::Body::AppendReply { result: Ok(_), .. },
            raft::Body::AppendReply { result: Ok(_), .. },
        ) => true,
        _ => false,
    }
}

/// Makes `before` say what `message` says too.
fn join(before: &mut Message, message: Message) {
    before.clock = message.clock;
    match (&mut before.body, message.body) {
        (
            Body::Raft(raft::Body::Append { entries: all, commit: latest, round: last, .. }),
            Body::Raft(raft::Body::Append { entries, commit, round, .. }),
        ) => {
            all.extend(entries);
            (*latest, *last) = (commit.max(*latest), round.max(*last));
        }
        (
            Body::Raft(raft::Body::AppendReply { result: Ok(most), round: last }),
            Body::Raft(raft::Body::AppendReply { result: Ok(matched), round }),
        ) => (*most, *last) = (matched.max(*most), round.max(*last)),
        (_, body) => panic!("{body:?} cannot be joined"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::{Conflict, Entry, EntryKind, Hash};

    fn message(to: u64, clock: u64, body: raft::Body) -> Message {
        Message { from: 1, to, term: 2, clock, body: Body::Raft(body) }
    }

    fn append(prev_index: u64, count: u64, commit: u64) -> raft::Body {
        let payload = Bytes::from_static(b"1234567890");
        let entries = (prev_index + 1..=prev_index + count)
            .map(|index| Entry {
                index,
                term: 2,
                kind: EntryKind::Normal,
                payload: payload.clone(),
                hash: Hash(0),
            })
            .collect();
        let prev_term = if prev_index == 0 { 0 } else { 2 };
        raft::Body::Append { prev_index, prev_term, entries, commit, round: commit }
    }

    fn pushed(messages: impl IntoIterator<Item = Message>) -> Vec<Message> {
        let mut outbox = Vec::new();
        messages.into_iter().for_each(|message| push(&mut outbox, message, 40));
        outbox
    }

    #[test]
    fn appends_that_follow_each_other_join() {
        let outbox = pushed([
            message(2, 1, append(0, 1, 0)),
            message(3, 2, append(0, 1, 0)),
            message(2, 3, append(1, 2, 0)),
            message(2, 4, append(3, 0, 3)),
        ]);
        let raft::Body::Append { entries, .. } = append(0, 3, 0) else { panic!() };
        let joined =
            raft::Body::Append { prev_index: 0, prev_term: 0, entries, commit: 3, round: 3 };
        assert_eq!(outbox, [message(2, 4, joined), message(3, 2, append(0, 1, 0))]);
    }

    #[test]
    fn appends_with_a_gap_or_too_large_do_not_join() {
        assert_eq!(
            pushed([message(2, 1, append(0, 1, 0)), message(2, 2, append(2, 1, 0))]).len(),
            2
        );
        assert_eq!(
            pushed([message(2, 1, append(0, 3, 0)), message(2, 2, append(3, 2, 0))]).len(),
            2
        );
        let mut later = message(2, 2, append(1, 1, 0));
        later.term = 3;
        assert_eq!(pushed([message(2, 1, append(0, 1, 0)), later]).len(), 2);
    }

    #[test]
    fn acknowledgements_join_and_conflicts_do_not() {
        let ok = |matched, round| raft::Body::AppendReply { result: Ok(matched), round };
        let outbox = pushed([message(2, 1, ok(4, 1)), message(2, 2, ok(5, 0))]);
        assert_eq!(outbox, [message(2, 2, ok(5, 1))]);
        let conflict =
            raft::Body::AppendReply { result: Err(Conflict { term: 0, index: 1 }), round: 1 };
        let both = [message(2, 1, ok(4, 1)), message(2, 2, conflict)];
        assert_eq!(pushed(both.clone()), both);
    }
}
