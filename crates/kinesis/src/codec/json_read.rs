//! JSON to values, streaming: no tree in between, one allocation a string or blob.
//!
//! Serde asks "what is next?" and [`Read`], told by its shape, answers with a value or a
//! refusal. The words of a refusal travel beside serde's own error, which cannot carry them
//! unchanged.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Fault;
use super::leaf::{self, Found, Number, Pairs, TimeUnit, hole, kept_max, mismatch};
use crate::model::{ListShape, MapShape, Member, Shape, StructShape};
use crate::{Struct, Value};

pub(super) fn decode(shape: &'static StructShape, body: &[u8]) -> Result<Struct, Fault> {
    let refusal = Cell::new(None);
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Read { shape: &Shape::Struct(shape), refusal: &refusal };
    let decoded = read.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    match (decoded, refusal.into_inner()) {
        (Ok(Some(Value::Struct(body))), _) => Ok(body),
        (Ok(_), _) => Ok(Struct::new()),
        (Err(_), Some(text)) => Err(Fault::Refused(text)),
        (Err(_), None) => Err(Fault::Malformed),
    }
}

pub(super) fn is_well_formed(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// Reads one value of a shape; null is `None`.
#[derive(Clone, Copy)]
struct Read<'a> {
    shape: &'a Shape,
    refusal: &'a Cell<Option<String>>,
}

impl<'a> Read<'a> {
    fn of<'b>(self, shape: &'b Shape) -> Read<'b>
    where
        'a: 'b,
    {
        Read { shape, refusal: self.refusal }
    }

    fn refuse<E: de::Error>(self, text: String) -> E {
        self.refusal.set(Some(text));
        E::custom("refused")
    }

    fn number<E: de::Error>(self, number: Number) -> Result<Option<Value>, E> {
        match leaf::number(self.shape, number, TimeUnit::Seconds) {
            Some(value) => Ok(Some(value)),
            None => Err(self.refuse(mismatch(self.shape, Found::Number))),
        }
    }

    fn list<'de, A: SeqAccess<'de>>(self, list: &ListShape, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(item) = items.next_element_seed(self.of(list.member))? {
            if kept.len() < kept_max(list.size) {
                kept.push(item.unwrap_or_else(|| hole(list.member)));
            }
        }
        Ok(Value::List(kept))
    }

    fn map<'de, A: MapAccess<'de>>(self, map: &MapShape, mut pairs: A) -> Result<Value, A::Error> {
        let mut kept = Pairs::new(map);
        while let Some(key) = pairs.next_key::<String>()? {
            let value = match pairs.next_value_seed(self.of(&Shape::FREE_TEXT))? {
                Some(Value::Text(text)) => text,
                _ => String::new(),
            };
            kept.put(key, value);
        }
        Ok(kept.into_value())
    }

    fn structure<'de, A: MapAccess<'de>>(self, shape: &'static StructShape, mut pairs: A) -> Result<Value, A::Error> {
        let mut structure = Struct::new();
        while let Some(member) = pairs.next_key_seed(MemberName(shape))? {
            let Some(member) = member else {
                pairs.next_value::<IgnoredAny>()?;
                continue;
            };
            if let Some(value) = pairs.next_value_seed(self.of(&member.shape))? {
                structure.set(member.name, value);
            }
        }
        Ok(Value::Struct(structure))
    }
}

impl<'de> DeserializeSeed<'de> for Read<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<Value>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Read<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Option<Value>, E> {
        match self.shape {
            Shape::Bool => Ok(Some(Value::Bool(value))),
            _ => Err(self.refuse(mismatch(self.shape, Found::Bool))),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<Value>, E> {
        self.number(Number::Whole(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<Value>, E> {
        self.number(Number::Whole(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<Value>, E> {
        self.number(Number::Fraction(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<Value>, E> {
        leaf::text(self.shape, text).map(Some).map_err(|text| self.refuse(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Option<Value>, A::Error> {
        match self.shape {
            Shape::List(list) => self.list(list, items).map(Some),
            _ => Err(self.refuse(mismatch(self.shape, Found::List))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, pairs: A) -> Result<Option<Value>, A::Error> {
        match self.shape {
            Shape::Struct(shape) => self.structure(shape, pairs).map(Some),
            Shape::Map(map) => self.map(map, pairs).map(Some),
            _ => Err(self.refuse(mismatch(self.shape, Found::Map))),
        }
    }
}

/// Reads a key as the member it names, without keeping its text.
struct MemberName(&'static StructShape);

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Option<&'static Member>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName {
    type Value = Option<&'static Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.member(name))
    }
}
