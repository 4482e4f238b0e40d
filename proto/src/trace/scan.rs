//! A trace line read the short way: byte for byte as nodes write it, its fields in their order and
//! nothing between them.
//!
//! serde reads any line, in any order, and says what is wrong with it; knowing what comes next is
//! several times as fast, and a night's traces have hundreds of millions of lines. Whatever is not
//! exactly what is expected gives `None`, and is left to serde.

use super::{Event, Hash, Position, Record, Role};

impl Record {
    /// Reads a line as nodes write it, without a line end. `None` says nothing but that serde must
    /// read it.
    pub fn scan(line: &[u8]) -> Option<Self> {
        let mut scan = Scan { rest: line };
        let node = scan.field(r#"{"node":"#, Scan::number)?;
        let boot = scan.field(r#","boot":"#, Scan::number)?;
        let seq = scan.field(r#","seq":"#, Scan::number)?;
        let clock = scan.field(r#","clock":"#, Scan::number)?;
        let time = scan.field(r#","time":"#, Scan::number)?;
        let name = scan.field(r#","event":"#, Scan::name)?;
        let event = scan.event(name)?;
        scan.literal("}")?;
        scan.rest.is_empty().then_some(Self { node, boot, seq, clock, time, event })
    }
}

/// What is left of a line.
struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    fn event(&mut self, name: &[u8]) -> Option<Event> {
        Some(match name {
            b"started" => Event::Started {
                term: self.term()?,
                vote: self.field(r#","vote":"#, Self::optional_number)?,
                last: self.last()?,
                voters: self.field(r#","voters":"#, |scan| scan.list(Self::number))?,
            },
            b"term" => Event::Term { term: self.term()? },
            b"voted" => Event::Voted { term: self.term()?, candidate: self.candidate()? },
            b"role" => Event::Role {
                term: self.term()?,
                role: self.field(r#","role":"#, Self::role)?,
                leader: self.field(r#","leader":"#, Self::optional_number)?,
                last: self.last()?,
            },
            b"appended" => Event::Appended {
                prev: self.field(r#","prev":"#, Self::position)?,
                entries: self.field(r#","entries":"#, |scan| {
                    scan.list(|scan| scan.pair(Self::number, Self::hash))
                })?,
            },
            b"truncated" => Event::Truncated { last: self.last()? },
            b"durable" => Event::Durable {
                term: self.term()?,
                vote: self.field(r#","vote":"#, Self::optional_number)?,
                last: self.last()?,
            },
            b"granted" => Event::Granted { term: self.term()?, candidate: self.candidate()? },
            b"acknowledged" => Event::Acknowledged {
                term: self.term()?,
                leader: self.field(r#","leader":"#, Self::number)?,
                last: self.last()?,
            },
            b"committed" => Event::Committed {
                term: self.term()?,
                last: self.last()?,
                matched: self.field(r#","matched":"#, |scan| {
                    scan.optional(|scan| scan.list(|scan| scan.pair(Self::number, Self::number)))
                })?,
            },
            b"applied" => Event::Applied {
                last: self.last()?,
                state: self.field(r#","state":"#, Self::hash)?,
            },
            b"answered" => Event::Answered { index: self.field(r#","index":"#, Self::number)? },
            b"read_confirmed" => Event::ReadConfirmed {
                term: self.term()?,
                index: self.field(r#","index":"#, Self::number)?,
                by: self.field(r#","by":"#, |scan| scan.list(Self::number))?,
            },
            b"stopped" => Event::Stopped {},
            _ => return None,
        })
    }

    fn term(&mut self) -> Option<u64> {
        self.field(r#","term":"#, Self::number)
    }

    fn candidate(&mut self) -> Option<u64> {
        self.field(r#","candidate":"#, Self::number)
    }

    fn last(&mut self) -> Option<Position> {
        self.field(r#","last":"#, Self::position)
    }

    /// What follows these bytes.
    #[inline]
    fn field<T>(&mut self, before: &str, value: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.literal(before)?;
        value(self)
    }

    /// These bytes.
    #[inline]
    fn literal(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text.as_bytes())?;
        Some(())
    }

    /// A number of at most 19 digits, which fits whatever they are, without a leading zero.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        let mut digits = 0;
        while let Some(digit) = self.rest.get(digits).map(|byte| byte.wrapping_sub(b'0'))
            && digit < 10
        {
            if digits == 19 {
                return None;
            }
            value = value * 10 + u64::from(digit);
            digits += 1;
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        (digits == 1 || (digits > 1 && number[0] != b'0')).then_some(value)
    }

    fn optional_number(&mut self) -> Option<Option<u64>> {
        self.optional(Self::number)
    }

    /// `null` or a value.
    #[inline]
    fn optional<T>(&mut self, value: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.rest.first()? {
            b'n' => self.literal("null").map(|()| None),
            _ => value(self).map(Some),
        }
    }

    /// A word in quotes, without escapes.
    #[inline]
    fn name(&mut self) -> Option<&'a [u8]> {
        let text = self.rest.strip_prefix(b"\"")?;
        let end = text.iter().position(|byte| *byte == b'"')?;
        self.rest = &text[end + 1..];
        Some(&text[..end])
    }

    fn role(&mut self) -> Option<Role> {
        match self.name()? {
            b"follower" => Some(Role::Follower),
            b"candidate" => Some(Role::Candidate),
            b"leader" => Some(Role::Leader),
            _ => None,
        }
    }

    #[inline]
    fn position(&mut self) -> Option<Position> {
        let index = self.field(r#"{"index":"#, Self::number)?;
        let term = self.term()?;
        let hash = self.field(r#","hash":"#, Self::hash)?;
        self.literal("}")?;
        Some(Position { index, term, hash })
    }

    /// 16 hexadecimal digits in quotes.
    #[inline]
    fn hash(&mut self) -> Option<Hash> {
        let (text, rest) = self.rest.split_first_chunk::<18>()?;
        let [b'"', digits @ .., b'"'] = text else { return None };
        let (mut value, mut seen) = (0, 0);
        for digit in digits {
            let digit = HEX[usize::from(*digit)];
            seen |= digit;
            value = value << 4 | u64::from(digit & 0xf);
        }
        self.rest = rest;
        (seen < 16).then_some(Hash(value))
    }

    /// `[first,second]`
    #[inline]
    fn pair<A, B>(
        &mut self,
        first: impl FnOnce(&mut Self) -> Option<A>,
        second: impl FnOnce(&mut Self) -> Option<B>,
    ) -> Option<(A, B)> {
        let first = self.field("[", first)?;
        let second = self.field(",", second)?;
        self.literal("]")?;
        Some((first, second))
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.literal("[")?;
        let mut items = Vec::new();
        if self.literal("]").is_some() {
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            if self.literal(",").is_none() {
                self.literal("]")?;
                return Some(items);
            }
        }
    }
}

/// The value of each hexadecimal digit in lower case; 16 for any other byte.
const HEX: [u8; 256] = {
    let mut values = [16; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::{super::line::tests::events, *};

    fn lines() -> impl Iterator<Item = (Record, String)> {
        let numbers = [0, 7, 1 << 53, 9_999_999_999_999_999_999];
        events().into_iter().zip(numbers.into_iter().cycle()).map(|(event, number)| {
            let record = Record { node: 1, boot: 20, seq: 0, clock: number, time: number, event };
            let line = serde_json::to_string(&record).unwrap();
            (record, line)
        })
    }

    #[test]
    fn every_event_is_read_as_it_was_written() {
        for (record, line) in lines() {
            assert_eq!(Record::scan(line.as_bytes()), Some(record), "{line}");
        }
    }

    #[test]
    fn what_is_read_is_what_serde_reads() {
        // Each byte of each line left out, doubled, and replaced by any other that JSON knows.
        const OTHERS: &[u8] = b" \t\"\\{}[]:,.+-eEnu0159afAFx\xc3\0";
        let (mut read, mut left) = (0, 0);
        let mut check = |line: &[u8]| match Record::scan(line) {
            Some(record) => {
                let known = serde_json::from_slice::<Record>(line);
                assert_eq!(known.ok(), Some(record), "{}", String::from_utf8_lossy(line));
                read += 1;
            }
            None => left += 1,
        };
        for (_, line) in lines() {
            for at in 0..=line.len() {
                let (before, after) = line.as_bytes().split_at(at);
                check(before);
                check(&[before, after.get(1..).unwrap_or(&[])].concat());
                for other in OTHERS {
                    check(&[before, &[*other], after].concat());
                    check(&[before, &[*other], after.get(1..).unwrap_or(&[])].concat());
                }
            }
        }
        assert!(read > 5_000 && left > 50_000, "{read} read, {left} left to serde");
    }

    #[test]
    fn numbers_that_may_not_fit_are_left_to_serde() {
        for (number, fits) in [("18446744073709551615", true), ("18446744073709551616", false)] {
            let line = format!(
                r#"{{"node":1,"boot":1,"seq":0,"clock":{number},"time":1,"event":"stopped"}}"#
            );
            assert_eq!(Record::scan(line.as_bytes()), None);
            assert_eq!(serde_json::from_str::<Record>(&line).is_ok(), fits);
        }
    }
}
