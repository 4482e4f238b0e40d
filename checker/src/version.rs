//! The version that each public format carries: another one is refused with a sentence.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The only version of a format that is read and written: 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

const VERSION: u64 = 1;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(de::Error::custom(format_args!(
                "this has format version {other}, and this build reads version {VERSION}"
            ))),
        }
    }
}
