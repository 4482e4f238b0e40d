//! Data of a history as values of Rust types, and back: what a model reads from events that it has
//! types for, and what a harness writes.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{
        Error as _, IntoDeserializer, Unexpected, Visitor,
        value::{Error, MapAccessDeserializer, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
    ser::{SerializeMap, SerializeSeq},
};

use super::generic::Datum;

/// Reads a value of any type that JSON could hold.
///
/// # Errors
/// The data is none.
pub fn from_datum<'a, T: Deserialize<'a>>(datum: &'a Datum) -> Result<T, Error> {
    T::deserialize(datum)
}

/// The data of a value.
///
/// # Errors
/// JSON cannot hold it.
pub fn to_datum<T: Serialize>(value: &T) -> serde_json::Result<Datum> {
    serde_json::from_value(serde_json::to_value(value)?)
}

impl<'de> IntoDeserializer<'de> for &'de Datum {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for &'de Datum {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Datum::Nil => visitor.visit_unit(),
            Datum::Bool(value) => visitor.visit_bool(*value),
            Datum::Int(value) => visitor.visit_i64(*value),
            Datum::Text(text) => visitor.visit_borrowed_str(text),
            Datum::List(members) => {
                let mut members = SeqDeserializer::new(members.iter());
                let value = visitor.visit_seq(&mut members)?;
                members.end()?;
                Ok(value)
            }
            Datum::Map(entries) => {
                let mut entries = MapDeserializer::new(entries.iter().map(|(k, v)| (k, v)));
                let value = visitor.visit_map(&mut entries)?;
                entries.end()?;
                Ok(value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Datum::Nil => visitor.visit_none(),
            some => visitor.visit_some(some),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Datum::Text(name) => visitor.visit_enum((**name).into_deserializer()),
            Datum::Map(entries) if entries.len() == 1 => {
                let entries = MapDeserializer::new(entries.iter().map(|(k, v)| (k, v)));
                visitor.visit_enum(MapAccessDeserializer::new(entries))
            }
            other => {
                let found = other.to_string();
                let expected = &"a name, or a map with one name";
                Err(Error::invalid_type(Unexpected::Other(&found), expected))
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl Serialize for Datum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(members) => {
                let mut list = serializer.serialize_seq(Some(members.len()))?;
                members.iter().try_for_each(|member| list.serialize_element(member))?;
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    enum Any {
        Nothing,
        Some { a: Option<i64>, b: Vec<bool> },
    }

    #[test]
    fn values_become_data_and_values_again() {
        for value in [Any::Nothing, Any::Some { a: None, b: vec![true, false] }] {
            let datum = to_datum(&value).unwrap();
            assert_eq!(from_datum::<Any>(&datum).unwrap(), value);
            let text = serde_json::to_string(&datum).unwrap();
            assert_eq!(serde_json::from_str::<Any>(&text).unwrap(), value);
        }
        let datum = |text: &str| serde_json::from_str::<Datum>(text).unwrap();
        for wrong in [r#"{"some":{"a":1,"b":[],"c":2}}"#, r#"{"some":{},"nothing":null}"#, "7"] {
            assert!(from_datum::<Any>(&datum(wrong)).is_err(), "{wrong}");
        }
    }
}
