//! Keys and values as a history records them.

use std::{cmp::Ordering, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use xxhash_rust::xxh3::xxh3_64;

/// Longest value that is recorded whole, in bytes.
pub const WHOLE_MAX: usize = 64;
/// Bytes of a longer value that are recorded.
pub const START: usize = 16;

/// Bytes of a key or a value. In a history a JSON string in which each byte is the character with
/// the byte's number, U+0000 to U+00FF: readable where bytes are ASCII, and lossless everywhere.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Box<[u8]>);

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

/// Printable ASCII as it is, other bytes escaped.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().copied().map(char::from).collect();
        serializer.serialize_str(&text)
    }
}

fn of_text<E: de::Error>(text: &str) -> Result<Bytes, E> {
    let bytes: Result<Box<[u8]>, _> = text.chars().map(u8::try_from).collect();
    bytes.map(Bytes).map_err(|_| E::custom("a byte is a character of at most U+00FF"))
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes, as a string with a character for each byte")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                of_text(text)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A value, whole or, if it is longer than [`WHOLE_MAX`], as a digest of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// All bytes.
    Whole(Bytes),
    /// What is known of a long value.
    Digest(Digest),
}

/// What is recorded of a value longer than [`WHOLE_MAX`]. Two values with equal digests are taken
/// to be equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// Bytes of the value.
    pub length: u64,
    /// The 64-bit XXH3 of the value, as 16 hexadecimal digits.
    #[serde(with = "hexadecimal")]
    pub hash: u64,
    /// Its first [`START`] bytes.
    pub start: Bytes,
}

impl Value {
    /// How a value is recorded.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.len() <= WHOLE_MAX {
            return Self::Whole(bytes.into());
        }
        let (length, hash) = (bytes.len() as u64, xxh3_64(bytes));
        Self::Digest(Digest { length, hash, start: bytes[..START].into() })
    }

    /// Its first bytes, and whether those are all.
    fn known(&self) -> (&[u8], bool) {
        match self {
            Self::Whole(bytes) => (&bytes.0, true),
            Self::Digest(digest) => (&digest.start.0, false),
        }
    }

    /// Which of two values is less, byte by byte; none where what was recorded does not tell it:
    /// both begin alike, and at least one of them is not recorded whole.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        if self == other {
            return Some(Ordering::Equal);
        }
        let ((a, a_whole), (b, b_whole)) = (self.known(), other.known());
        match (a_whole, b_whole) {
            (true, true) => Some(a.cmp(b)),
            // A start that has ended is of a longer value: more follows.
            (true, false) if b.starts_with(a) => Some(Ordering::Less),
            (false, true) if a.starts_with(b) => Some(Ordering::Greater),
            _ => {
                let both = a.len().min(b.len());
                Some(a[..both].cmp(&b[..both])).filter(|order| order.is_ne())
            }
        }
    }

    /// The bytes by which it is compared with a value that is not recorded whole; none if it is
    /// so short that it can always be compared.
    pub fn start(&self) -> Option<&[u8]> {
        self.known().0.get(..START)
    }

    /// Whether it is the empty value.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.0.is_empty())
    }
}

impl Default for Value {
    fn default() -> Self {
        Self::Whole(Bytes::default())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "{bytes}"),
            Self::Digest(Digest { length, start, .. }) => write!(f, "{start}… ({length} bytes)"),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes as a string, or {length, hash, start} of a long value")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                of_text(text).map(Value::Whole)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                Digest::deserialize(MapAccessDeserializer::new(map)).map(Value::Digest)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

mod hexadecimal {
    //! A number as 16 hexadecimal digits.

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{hash:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
        let text = String::deserialize(source)?;
        u64::from_str_radix(&text, 16)
            .map_err(|_| de::Error::custom("a hash is 16 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in all.chunks(WHOLE_MAX) {
            let text = serde_json::to_string(&Value::of(bytes)).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value, Value::Whole(bytes.into()));
        }
        assert_eq!(serde_json::to_string(&Bytes::from("k1")).unwrap(), r#""k1""#);
        assert!(serde_json::from_str::<Bytes>("\"\u{100}\"").is_err());
    }

    #[test]
    fn long_values_are_digests() {
        let long = [7; WHOLE_MAX + 1];
        let text = serde_json::to_string(&Value::of(&long)).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, Value::of(&long));
        assert!(text.starts_with(r#"{"length":65,"hash":""#), "{text}");
        assert!(serde_json::from_str::<Value>(r#"{"length":65,"hash":"0"}"#).is_err());
    }

    #[test]
    fn order_is_known_where_starts_tell_it() {
        let long = |first: u8| Value::of(&[&[first][..], &[0; WHOLE_MAX]].concat());
        let short = |text: &str| Value::of(text.as_bytes());
        assert_eq!(long(b'a').compare(&long(b'b')), Some(Ordering::Less));
        assert_eq!(long(b'a').compare(&long(b'a')), Some(Ordering::Equal));
        assert_eq!(short("a").compare(&long(b'a')), Some(Ordering::Less));
        assert_eq!(long(b'a').compare(&short("a")), Some(Ordering::Greater));
        assert_eq!(long(b'a').compare(&short("ab")), Some(Ordering::Less));
        let same = |last: u8| Value::of(&[&[1; WHOLE_MAX][..], &[last]].concat());
        assert_eq!(same(1).compare(&same(2)), None);
        assert_eq!(same(1).compare(&Value::of(&[1; START + 1])), None);
    }
}
