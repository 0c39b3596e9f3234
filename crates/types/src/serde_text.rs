//! Serde for the types whose stored form is their text: it reads well and keeps 128 bits exact.
//!
//! Holds: what is read back went through the type's own `FromStr`, so it is valid.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{HashKey, ProducerId, SequenceNumber, ShardId, StreamName};

struct FromText<T>(PhantomData<T>);

impl<T> Visitor<'_> for FromText<T>
where
    T: FromStr<Err: fmt::Display>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as text", std::any::type_name::<T>())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(FromText(PhantomData))
            }
        }
    )*};
}

serde_as_text!(HashKey, ProducerId, SequenceNumber, ShardId, StreamName);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::{HashKey, HashRange, NodeId, ProducerId, SequenceNumber, ShardId, StreamName, UnixMillis};

    fn text_and_back<T>(value: T) -> String
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<T>(&text).unwrap(), value);
        text
    }

    #[test]
    fn every_word_reads_back_from_its_stored_form() {
        assert_eq!(text_and_back(ShardId(7)), r#""shardId-000000000007""#);
        assert_eq!(text_and_back("orders".parse::<StreamName>().unwrap()), r#""orders""#);
        assert_eq!(text_and_back(ProducerId(0xab)), r#""000000000000000000000000000000ab""#);
        assert_eq!(text_and_back(BTreeMap::from([(NodeId(3), UnixMillis(5))])), r#"{"3":5}"#);
        text_and_back(SequenceNumber::shard_start(UnixMillis(1_000), ShardId(1)));
        let full = r#"{"start":"0","end":"340282366920938463463374607431768211455"}"#;
        assert_eq!(text_and_back(HashRange::FULL), full);
    }

    #[test]
    fn what_is_not_valid_is_refused() {
        assert!(serde_json::from_str::<HashRange>(r#"{"start":"2","end":"1"}"#).is_err());
        assert!(serde_json::from_str::<HashKey>(r#""007""#).is_err());
        assert!(serde_json::from_str::<StreamName>(r#""a b""#).is_err());
    }
}
