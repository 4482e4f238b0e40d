//! Messages as packets and back. Whatever a packet holds, decoding it never panics.

use proto::peer::{self, packet};

use crate::{
    raft::{Body as Raft, Conflict, Entry, EntryKind, Hash, Index},
    replica::{Body, Message},
};

/// A packet that no node of ours would send.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet {0}")]
pub(super) struct Malformed(&'static str);

/// The packet of a message.
pub(super) fn encode(message: Message) -> peer::Packet {
    let body = match message.body {
        Body::Raft(body) => encode_raft(body),
        Body::Propose { command, id } => {
            packet::Body::Propose(peer::Propose { command, id: Some(id) })
        }
        Body::ProposeRefused { id } => {
            packet::Body::ProposeRefused(peer::ProposeRefused { id: Some(id) })
        }
    };
    let Message { from, to, term, clock, .. } = message;
    peer::Packet { from, to, term, clock, body: Some(body) }
}

fn encode_raft(body: Raft) -> packet::Body {
    match body {
        Raft::RequestVote { last_index, last_term } => {
            packet::Body::RequestVote(peer::RequestVote { last_index, last_term })
        }
        Raft::VoteReply { granted } => packet::Body::VoteReply(peer::VoteReply { granted }),
        Raft::Append { prev_index, prev_term, entries, commit, round } => {
            let entries = entries
                .into_iter()
                .map(|Entry { term, kind, payload, .. }| peer::Entry {
                    term,
                    payload,
                    kind: kind.number().into(),
                })
                .collect();
            packet::Body::Append(peer::Append { prev_index, prev_term, entries, commit, round })
        }
        Raft::AppendReply { result, round } => {
            let result = match result {
                Ok(matched) => peer::append_reply::Result::Matched(matched),
                Err(Conflict { term, index }) => {
                    peer::append_reply::Result::Conflict(peer::Conflict { term, index })
                }
            };
            packet::Body::AppendReply(peer::AppendReply { result: Some(result), round })
        }
        Raft::ReadIndex { id } => packet::Body::ReadIndex(peer::ReadIndex { id }),
        Raft::ReadIndexReply { id, index } => {
            packet::Body::ReadIndexReply(peer::ReadIndexReply { id, index })
        }
    }
}

/// The message of a packet. The prefix hashes of its entries are left 0: they are never sent, and
/// the receiver computes its own.
pub(super) fn decode(packet: peer::Packet) -> Result<Message, Malformed> {
    let peer::Packet { from, to, term, clock, body } = packet;
    let body = match body.ok_or(Malformed("has no body, or one of a newer version"))? {
        packet::Body::RequestVote(peer::RequestVote { last_index, last_term }) => {
            Raft::RequestVote { last_index, last_term }.into()
        }
        packet::Body::VoteReply(peer::VoteReply { granted }) => Raft::VoteReply { granted }.into(),
        packet::Body::Append(append) => decode_append(append)?.into(),
        packet::Body::AppendReply(peer::AppendReply { result, round }) => {
            let result = match result.ok_or(Malformed("is an append reply without a result"))? {
                peer::append_reply::Result::Matched(index) => Ok(index),
                peer::append_reply::Result::Conflict(peer::Conflict { term, index }) => {
                    Err(Conflict { term, index })
                }
            };
            Raft::AppendReply { result, round }.into()
        }
        packet::Body::ReadIndex(peer::ReadIndex { id }) => Raft::ReadIndex { id }.into(),
        packet::Body::ReadIndexReply(peer::ReadIndexReply { id, index }) => {
            Raft::ReadIndexReply { id, index }.into()
        }
        packet::Body::Propose(peer::Propose { command, id }) => {
            Body::Propose { command, id: id.ok_or(Malformed("is a proposal without an id"))? }
        }
        packet::Body::ProposeRefused(peer::ProposeRefused { id }) => {
            Body::ProposeRefused { id: id.ok_or(Malformed("is a refusal without an id"))? }
        }
    };
    Ok(Message { from, to, term, clock, body })
}

fn decode_append(append: peer::Append) -> Result<Raft, Malformed> {
    let peer::Append { prev_index, prev_term, entries, commit, round } = append;
    if prev_index.checked_add(entries.len() as Index).is_none() {
        return Err(Malformed("has entries past the last possible index"));
    }
    let mut term = prev_term;
    let entries = entries
        .into_iter()
        .enumerate()
        .map(|(i, entry)| {
            let index = prev_index + 1 + i as Index;
            // Terms never fall along a log, and the first term is 1.
            if entry.term < term || entry.term == 0 {
                return Err(Malformed("has entries whose terms fall"));
            }
            term = entry.term;
            let kind = u8::try_from(entry.kind).ok().and_then(EntryKind::of_number);
            let kind = kind.ok_or(Malformed("has an entry of a kind that is not known here"))?;
            Ok(Entry { index, term, kind, payload: entry.payload, hash: Hash::default() })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Raft::Append { prev_index, prev_term, entries, commit, round })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn messages() -> Vec<Message> {
        let id = peer::CommandId { node: 1, boot: 2, number: 3 };
        let entry = |index, kind, payload: &'static [u8]| Entry {
            index,
            term: 4,
            kind,
            payload: Bytes::from_static(payload),
            hash: Hash::default(),
        };
        [
            Raft::RequestVote { last_index: 7, last_term: 3 },
            Raft::VoteReply { granted: true },
            Raft::VoteReply { granted: false },
            Raft::Append {
                prev_index: 7,
                prev_term: 3,
                entries: vec![
                    entry(8, EntryKind::NoOp, b""),
                    entry(9, EntryKind::Normal, b"x"),
                    entry(10, EntryKind::Configuration, b"\x0a\x01\x01"),
                ],
                commit: 6,
                round: 5,
            },
            Raft::Append { prev_index: 0, prev_term: 0, entries: vec![], commit: 0, round: 0 },
            Raft::AppendReply { result: Ok(0), round: 1 },
            Raft::AppendReply { result: Err(Conflict { term: 0, index: 1 }), round: 1 },
            Raft::ReadIndex { id: 1 },
            Raft::ReadIndexReply { id: 1, index: Some(0) },
            Raft::ReadIndexReply { id: 1, index: None },
        ]
        .map(Body::Raft)
        .into_iter()
        .chain([
            Body::Propose { command: Bytes::from_static(b"c"), id },
            Body::ProposeRefused { id },
        ])
        .map(|body| Message { from: 1, to: 2, term: 4, clock: 99, body })
        .collect()
    }

    #[test]
    fn every_message_survives_the_wire() {
        for message in messages() {
            let bytes = encode(message.clone()).encode_to_vec();
            let packet = peer::Packet::decode(&bytes[..]).unwrap();
            assert_eq!(decode(packet), Ok(message));
        }
    }

    #[test]
    fn odd_packets_are_refused() {
        let packet = |body| peer::Packet { from: 1, to: 2, term: 1, clock: 1, body };
        let append = |prev_index, terms: &[u64]| {
            let entries =
                terms.iter().map(|&term| peer::Entry { term, ..Default::default() }).collect();
            Some(packet::Body::Append(peer::Append { prev_index, entries, ..Default::default() }))
        };
        let odd = peer::Entry { term: 1, kind: 3, ..Default::default() };
        let odd = peer::Append { entries: vec![odd], ..Default::default() };
        let unknown_kind = Some(packet::Body::Append(odd));
        for body in [
            None,
            Some(packet::Body::AppendReply(peer::AppendReply::default())),
            Some(packet::Body::Propose(peer::Propose::default())),
            Some(packet::Body::ProposeRefused(peer::ProposeRefused::default())),
            append(u64::MAX, &[1]),
            append(u64::MAX - 1, &[1, 1]),
            append(0, &[0]),
            append(0, &[2, 1]),
            unknown_kind,
        ] {
            assert!(decode(packet(body.clone())).is_err(), "{body:?}");
        }
        assert!(decode(packet(append(u64::MAX, &[]))).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64), flip in any::<prop::sample::Index>(), mask: u8, of in any::<prop::sample::Index>()) {
            let mut sound = encode(of.get(&messages()).clone()).encode_to_vec();
            let at = flip.index(sound.len());
            sound[at] ^= mask;
            bytes.extend(sound.clone());
            for bytes in [bytes, sound] {
                if let Ok(packet) = peer::Packet::decode(&bytes[..]) {
                    let _ = decode(packet);
                }
            }
        }
    }
}
