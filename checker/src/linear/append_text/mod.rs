//! Appends: decides a key whose puts and appends are told apart by every answer, in
//! O(n log n) comparisons of texts.
//!
//! A get answers the whole text. Where all texts that were put or appended are distinct and none
//! is the beginning of another, an answer can be read in one way only: as one put, or the absent
//! key, and the appends that followed it. So a put and all that was ever seen after it are a
//! *chain*, as in [`zones`](super::zones): its longest answer says in which order its appends took
//! place, and nothing else can have changed the text in between. What no answer shows is a chain
//! of its own, since an append that nobody sees may stand wherever an unseen put may: after a
//! chain, before the next put. The chain of the absent key has begun before all others.
//!
//! An append that is repeated could be either of its copies, and what was put and appended either
//! of these. An answer is taken to begin with the put, and then to show of all copies that nobody
//! has seen yet the one that was called first; an order is an order all the same, but there being
//! none then proves nothing.
//!
//! What Gibbons and Korach say of clusters holds for these chains too: they can be put in order
//! unless one is turned against time in itself, or two must each precede the other. An order is
//! believed only once [`certificate::verify`] has checked it.

mod conflict;
mod part;

use std::ops::Range;

use super::certificate;
use crate::model::{
    Interval,
    kv::{Kv, Operation},
};
pub use conflict::Conflict;
pub use part::Part;

/// What the appends say of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Linearizable, in this order of positions; it has been verified.
    Linearizable(Vec<usize>),
    /// Not linearizable.
    Illegal(Conflict),
    /// Texts may not be told apart, or there is more than gets, puts and appends.
    Undecided,
}

const NOBODY: usize = usize::MAX;

/// A put, or the absent key, with the appends that were seen after it.
#[derive(Debug)]
struct Chain<'a> {
    put: Option<usize>,
    /// The longest text that was seen, and a get that saw it.
    text: &'a str,
    seen_by: usize,
    appends: Vec<usize>,
    /// Lengths of the text before the first append and after each.
    lengths: Vec<usize>,
}

/// The time of a chain: its first return, none where it began before everything, and last call.
#[derive(Clone, Copy, Debug)]
struct Zone {
    first_return: Option<u64>,
    last_call: u64,
    from: Option<usize>,
    to: usize,
    /// The get that shows that `from` and `to` belong together, if they do not.
    shown: Option<usize>,
    /// Where it stands in `sequence`.
    start: usize,
    end: usize,
}

impl Zone {
    /// Whether the key held its texts for some time.
    fn is_forward(&self) -> bool {
        self.first_return.is_none_or(|ret| ret < self.last_call)
    }
}

/// Decides a history in which every answer tells puts and appends apart.
pub fn decide(intervals: &[Interval<Operation<'_>>]) -> Found {
    let Some(pieces) = Pieces::of(intervals) else { return Found::Undecided };
    match Chains::read(intervals, &pieces).and_then(|chains| chains.order(intervals, &pieces)) {
        Err(_) if pieces.repeated => Found::Undecided,
        Err(conflict) => Found::Illegal(conflict),
        Ok(order) if certificate::verify(&Kv::default(), intervals, &order) => {
            Found::Linearizable(order)
        }
        Ok(_) => Found::Undecided,
    }
}

/// All that was put or appended.
struct Pieces<'a> {
    /// Text, call and position, ascending.
    texts: Vec<(&'a str, u64, usize)>,
    /// Of each of them, the place of its first copy.
    first: Vec<usize>,
    /// Of first copies, the put among the copies that was called first.
    put: Vec<Option<usize>>,
    /// Whether something was appended twice, or put and appended.
    repeated: bool,
}

impl<'a> Pieces<'a> {
    /// `None` where an answer could be read in several ways, or there are other operations.
    fn of(intervals: &[Interval<Operation<'a>>]) -> Option<Self> {
        let mut texts = Vec::with_capacity(intervals.len());
        for (position, interval) in intervals.iter().enumerate() {
            match interval.operation {
                Operation::Put(text) | Operation::Append(text) => {
                    texts.push((text, interval.call, position));
                }
                Operation::Get(_) => {}
                Operation::Delete
                | Operation::Cas(..)
                | Operation::Mismatch(_)
                | Operation::Contradiction => return None,
            }
        }
        texts.sort_unstable();
        let mut repeated = false;
        let mut first: Vec<usize> = (0..texts.len()).collect();
        let is_put = |at: usize| matches!(intervals[at].operation, Operation::Put(_));
        let mut put: Vec<Option<usize>> =
            texts.iter().map(|&(.., at)| Some(at).filter(|&at| is_put(at))).collect();
        for (at, pair) in (1..).zip(texts.windows(2)) {
            if pair[0].0 == pair[1].0 && !(is_put(pair[0].2) && is_put(pair[1].2)) {
                repeated = true;
                first[at] = first[at - 1];
                put[first[at]] = put[first[at]].or(put[at]);
            } else if pair[1].0.starts_with(pair[0].0) {
                return None;
            }
        }
        let empty = texts.first().is_some_and(|(text, ..)| text.is_empty());
        (!empty).then_some(Self { texts, first, put, repeated })
    }

    /// The pieces of which `text` is made, and what is left where none begins.
    fn split(&self, text: &'a str) -> (Vec<&'a str>, &'a str) {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((piece, _)) = self.at_start_of(rest) {
            pieces.push(piece);
            rest = &rest[piece.len()..];
        }
        (pieces, rest)
    }

    /// Whether `piece` was put.
    fn is_put(&self, piece: &str) -> bool {
        self.at_start_of(piece).is_some_and(|(_, copies)| self.put[copies.start].is_some())
    }

    /// The piece that `text` begins with, and the places of its copies. Of all that are no greater
    /// than `text` it is the last: another in between would begin with it.
    fn at_start_of(&self, text: &str) -> Option<(&'a str, Range<usize>)> {
        let last = self.texts.partition_point(|(piece, ..)| *piece <= text).checked_sub(1)?;
        let piece = self.texts[last].0;
        text.starts_with(piece).then(|| (piece, self.first[last]..last + 1))
    }
}

/// What the answers show.
struct Chains<'a> {
    chains: Vec<Chain<'a>>,
    /// Of each put and append that was seen, the chain.
    chain: Vec<usize>,
    /// Of first copies, the first copy that may not have been seen yet.
    next: Vec<usize>,
    /// Gets: the chain, how many of its appends were seen, the call, the position.
    gets: Vec<(usize, usize, u64, usize)>,
}

impl<'a> Chains<'a> {
    fn read(intervals: &[Interval<Operation<'a>>], pieces: &Pieces<'a>) -> Result<Self, Conflict> {
        let absent =
            Chain { put: None, text: "", seen_by: NOBODY, appends: Vec::new(), lengths: vec![0] };
        let mut chains = Self {
            chains: vec![absent],
            chain: vec![NOBODY; intervals.len()],
            next: pieces.first.clone(),
            gets: Vec::with_capacity(intervals.len()),
        };
        for (get, interval) in intervals.iter().enumerate() {
            // A get without an answer says nothing.
            if let (Operation::Get(text), Some(_)) = (interval.operation, interval.ret) {
                let (chain, level) = chains.place(get, text, intervals, pieces)?;
                chains.gets.push((chain, level, interval.call, get));
            }
        }
        chains.gets.sort_unstable();
        Ok(chains)
    }

    /// The chain that `get` saw, and how many of its appends.
    fn place(
        &mut self,
        get: usize,
        text: Option<&'a str>,
        intervals: &[Interval<Operation<'a>>],
        pieces: &Pieces<'a>,
    ) -> Result<(usize, usize), Conflict> {
        let Some(text) = text else { return Ok((0, 0)) };
        let is_put = |position: usize| matches!(intervals[position].operation, Operation::Put(_));
        let (piece, copies) = pieces.at_start_of(text).ok_or(Conflict::NeverWritten(get))?;
        let first = pieces.put[copies.start].unwrap_or(pieces.texts[copies.start].2);
        let number = match (is_put(first), self.chain[first]) {
            (false, _) => 0,
            (true, NOBODY) => {
                self.chain[first] = self.chains.len();
                self.chains.push(Chain {
                    put: Some(first),
                    text: piece,
                    seen_by: get,
                    appends: Vec::new(),
                    lengths: vec![piece.len()],
                });
                self.chain[first]
            }
            (true, number) => number,
        };
        let (known, seen_by) = (self.chains[number].text, self.chains[number].seen_by);
        let Some(mut rest) = text.strip_prefix(known) else {
            if !known.starts_with(text) {
                return Err(Conflict::Fork(seen_by, get));
            }
            let level = self.chains[number].lengths.binary_search(&text.len());
            return level.map(|level| (number, level)).map_err(|_| Conflict::NeverWritten(get));
        };
        while !rest.is_empty() {
            let (piece, copies) = pieces.at_start_of(rest).ok_or(Conflict::NeverWritten(get))?;
            // What has been seen, or is a put, is so for good.
            let next = &mut self.next[copies.start];
            let free = |append: usize| self.chain[append] == NOBODY && !is_put(append);
            while *next + 1 < copies.end && !free(pieces.texts[*next].2) {
                *next += 1;
            }
            let append = pieces.texts[*next].2;
            if is_put(append) {
                return Err(Conflict::NeverWritten(get));
            }
            match self.chain[append] {
                NOBODY => self.chain[append] = number,
                other if other == number => return Err(Conflict::Twice { get, append }),
                other => return Err(Conflict::Fork(self.chains[other].seen_by, get)),
            }
            rest = &rest[piece.len()..];
            let chain = &mut self.chains[number];
            chain.appends.push(append);
            chain.lengths.push(text.len() - rest.len());
        }
        let chain = &mut self.chains[number];
        if text.len() > known.len() {
            (chain.text, chain.seen_by) = (text, get);
        }
        Ok((number, chain.appends.len()))
    }

    /// An order of all operations, or why there is none.
    fn order(
        &self,
        intervals: &[Interval<Operation<'a>>],
        pieces: &Pieces<'a>,
    ) -> Result<Vec<usize>, Conflict> {
        let mut sequence = Vec::with_capacity(intervals.len());
        let mut zones = Vec::with_capacity(self.chains.len());
        let mut gets = self.gets.iter().peekable();
        for (number, chain) in self.chains.iter().enumerate() {
            let start = sequence.len();
            sequence.extend(chain.put);
            for level in 0..=chain.appends.len() {
                sequence.extend(level.checked_sub(1).map(|append| chain.appends[append]));
                while let Some(get) = gets.next_if(|get| (get.0, get.1) == (number, level)) {
                    sequence.push(get.3);
                }
            }
            zones.extend(zone(intervals, &sequence, start, Some(chain))?);
        }
        // What nobody saw; without an answer it need not have happened.
        for &(_, _, position) in &pieces.texts {
            if self.chain[position] == NOBODY && intervals[position].ret.is_some() {
                sequence.push(position);
                zones.extend(zone(intervals, &sequence, sequence.len() - 1, None)?);
            }
        }
        sort(&mut zones)?;
        Ok(zones.iter().flat_map(|zone| &sequence[zone.start..zone.end]).copied().collect())
    }
}

/// The zone of what `sequence` has from `start` on, if it has anything: `chain`, or an operation
/// that nobody saw.
fn zone(
    intervals: &[Interval<Operation<'_>>],
    sequence: &[usize],
    start: usize,
    chain: Option<&Chain<'_>>,
) -> Result<Option<Zone>, Conflict> {
    if start == sequence.len() {
        return Ok(None);
    }
    // A get shows all before it, and a put or an append has to be shown.
    let shown = |one: usize, other: usize| {
        let later = intervals[sequence[one.max(other)]].operation;
        (one != other && !matches!(later, Operation::Get(_))).then(|| chain.map(|c| c.seen_by))?
    };
    let is_absent = chain.is_some_and(|chain| chain.put.is_none());
    let (mut first_return, mut from) = (u64::MAX, None);
    let (mut last_call, mut to) = (0, start);
    for place in start..sequence.len() {
        let Interval { call, ret, .. } = intervals[sequence[place]];
        if call >= last_call {
            (last_call, to) = (call, place);
        }
        let Some(ret) = ret else { continue };
        if ret < last_call {
            let (first, second) = (sequence[to], sequence[place]);
            return Err(Conflict::Backwards { first, second, shown: shown(to, place) });
        }
        if from.is_none() || ret < first_return {
            (first_return, from) = (ret, Some(place));
        }
    }
    let from = from.unwrap_or(to);
    let is_write = !matches!(intervals[sequence[to]].operation, Operation::Get(_));
    Ok(Some(Zone {
        first_return: (!is_absent).then_some(first_return),
        last_call,
        from: (!is_absent).then(|| sequence[from]),
        to: sequence[to],
        shown: match chain {
            Some(chain) if is_absent => is_write.then_some(chain.seen_by),
            _ => shown(from, to),
        },
        start,
        end: sequence.len(),
    }))
}

/// Puts zones in the order of a linearization: one that is forward at its first return, since all
/// before that was something else; another at its last call, or once the forward zone that holds
/// the key then is over. Each then begins no later than its first return.
fn sort(zones: &mut [Zone]) -> Result<(), Conflict> {
    zones.sort_by_key(|zone| {
        let forward = zone.is_forward();
        (if forward { zone.first_return } else { Some(zone.last_call) }, forward)
    });
    let mut last: Option<Zone> = None;
    for zone in zones.iter() {
        if let Some(last) = last {
            let inside = last.first_return.is_none_or(|ret| ret < zone.last_call)
                && zone.first_return.is_some_and(|ret| ret < last.last_call);
            if inside {
                let from = zone.from.unwrap_or(zone.to);
                let by = (from, zone.to);
                let shown = last.shown.into_iter().chain(zone.shown).collect();
                return Err(Conflict::Interrupted { from: last.from, to: last.to, by, shown });
            }
        }
        if zone.is_forward() {
            last = Some(*zone);
        }
    }
    Ok(())
}
