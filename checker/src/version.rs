//! The version that each public format carries: another one is refused with a sentence.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The only version of a format that is read and written: `N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version<const N: u64>;

impl<const N: u64> Serialize for Version<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(N)
    }
}

impl<'de, const N: u64> Deserialize<'de> for Version<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            version if version == N => Ok(Self),
            other => Err(de::Error::custom(format_args!(
                "this has format version {other}, and this build reads version {N}"
            ))),
        }
    }
}
