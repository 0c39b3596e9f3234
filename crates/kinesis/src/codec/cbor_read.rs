//! CBOR to values, streaming: blobs are slices of the body.
//!
//! Lengths may be definite or not, and any value may carry tags, which say nothing here: a time
//! is milliseconds with tag 1 or without it, as the Java SDKs write it.
//!
//! Holds: a declared length never reserves memory; what a shape does not name is skipped to a
//! bounded depth, as in JSON.

use std::borrow::Cow;

use bytes::Bytes;
use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};

use super::Fault;
use super::leaf::{self, Found, Number, Pairs, TimeUnit, hole, kept_max, mismatch};
use crate::model::{ListShape, MapShape, Shape, StructShape};
use crate::{Struct, Value};

/// How deep values may lie in each other: the limit that the JSON reader has too.
const DEPTH_MAX: usize = 128;

pub(super) fn decode(shape: &'static StructShape, body: &Bytes) -> Result<Struct, Fault> {
    let mut reader = Reader { body, cbor: Decoder::new(body) };
    let value = reader.value(&Shape::Struct(shape))?;
    if reader.cbor.position() != body.len() {
        return Err(Fault::Malformed);
    }
    match value {
        Some(Value::Struct(body)) => Ok(body),
        _ => Ok(Struct::new()),
    }
}

pub(super) fn is_well_formed(body: &[u8]) -> bool {
    let mut cbor = Decoder::new(body);
    skip(&mut cbor, DEPTH_MAX).is_ok() && cbor.position() == body.len()
}

impl From<Error> for Fault {
    fn from(_: Error) -> Fault {
        Fault::Malformed
    }
}

struct Reader<'b> {
    body: &'b Bytes,
    cbor: Decoder<'b>,
}

impl<'b> Reader<'b> {
    /// Reads one value of a shape; null is `None`.
    fn value(&mut self, shape: &Shape) -> Result<Option<Value>, Fault> {
        let value = match past_tags(&mut self.cbor)? {
            Type::Null => return Ok(self.cbor.null().map(|()| None)?),
            Type::Undefined => return Ok(self.cbor.undefined().map(|()| None)?),
            Type::Bool => match (self.cbor.bool()?, shape) {
                (value, Shape::Bool) => Value::Bool(value),
                _ => return Err(refused(shape, Found::Bool)),
            },
            Type::F16 | Type::F32 | Type::F64 => {
                let number = self.cbor.f64()?;
                self.number(shape, Number::Fraction(number))?
            }
            Type::String | Type::StringIndef => {
                let text = self.text()?;
                leaf::text(shape, &text).map_err(Fault::Refused)?
            }
            Type::Bytes | Type::BytesIndef => match (self.bytes()?, shape) {
                (bytes, Shape::Blob(_)) => Value::Blob(bytes),
                _ => return Err(refused(shape, Found::Bytes)),
            },
            Type::Array | Type::ArrayIndef => match shape {
                Shape::List(list) => self.list(list)?,
                _ => return Err(refused(shape, Found::List)),
            },
            Type::Map | Type::MapIndef => match shape {
                Shape::Struct(shape) => self.structure(shape)?,
                Shape::Map(map) => self.map(map)?,
                _ => return Err(refused(shape, Found::Map)),
            },
            kind if is_int(kind) => {
                let number = i128::from(self.cbor.int()?).clamp(i64::MIN.into(), i64::MAX.into());
                self.number(shape, Number::Whole(number as i64))?
            }
            _ => return Err(Fault::Malformed),
        };
        Ok(Some(value))
    }

    fn number(&self, shape: &Shape, number: Number) -> Result<Value, Fault> {
        leaf::number(shape, number, TimeUnit::Millis).ok_or_else(|| refused(shape, Found::Number))
    }

    fn text(&mut self) -> Result<Cow<'b, str>, Fault> {
        Ok(match self.cbor.datatype()? {
            Type::StringIndef => Cow::Owned(self.cbor.str_iter()?.collect::<Result<String, Error>>()?),
            _ => Cow::Borrowed(self.cbor.str()?),
        })
    }

    fn bytes(&mut self) -> Result<Bytes, Fault> {
        if self.cbor.datatype()? != Type::BytesIndef {
            return Ok(self.body.slice_ref(self.cbor.bytes()?));
        }
        let mut whole = Vec::new();
        for part in self.cbor.bytes_iter()? {
            whole.extend_from_slice(part?);
        }
        Ok(Bytes::from(whole))
    }

    fn list(&mut self, list: &ListShape) -> Result<Value, Fault> {
        let mut left = self.cbor.array()?;
        let mut kept = Vec::new();
        while more(&mut self.cbor, &mut left)? {
            let item = self.value(list.member)?;
            if kept.len() < kept_max(list.size) {
                kept.push(item.unwrap_or_else(|| hole(list.member)));
            }
        }
        Ok(Value::List(kept))
    }

    fn map(&mut self, map: &MapShape) -> Result<Value, Fault> {
        let mut left = self.cbor.map()?;
        let mut kept = Pairs::new(map);
        while more(&mut self.cbor, &mut left)? {
            let Some(Value::Text(key)) = self.value(&Shape::FREE_TEXT)? else { return Err(Fault::Malformed) };
            let value = match self.value(&Shape::FREE_TEXT)? {
                Some(Value::Text(text)) => text,
                _ => String::new(),
            };
            kept.put(key, value);
        }
        Ok(kept.into_value())
    }

    fn structure(&mut self, shape: &'static StructShape) -> Result<Value, Fault> {
        let mut left = self.cbor.map()?;
        let mut structure = Struct::new();
        while more(&mut self.cbor, &mut left)? {
            let member = match past_tags(&mut self.cbor)? {
                Type::String | Type::StringIndef => shape.member(&self.text()?),
                _ => skip(&mut self.cbor, DEPTH_MAX).map(|()| None)?,
            };
            let Some(member) = member else {
                skip(&mut self.cbor, DEPTH_MAX)?;
                continue;
            };
            if let Some(value) = self.value(&member.shape)? {
                structure.set(member.name, value);
            }
        }
        Ok(Value::Struct(structure))
    }
}

fn refused(shape: &Shape, found: Found<'_>) -> Fault {
    Fault::Refused(mismatch(shape, found))
}

/// Steps over the tags before a value, and says what the value is.
fn past_tags(cbor: &mut Decoder<'_>) -> Result<Type, Error> {
    loop {
        match cbor.datatype()? {
            Type::Tag => cbor.tag()?,
            kind => return Ok(kind),
        };
    }
}

/// Whether a list or map goes on; takes the mark that ends one of indefinite length.
fn more(cbor: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, Error> {
    match left {
        Some(0) => Ok(false),
        Some(count) => {
            *count -= 1;
            Ok(true)
        }
        None if cbor.datatype()? == Type::Break => {
            cbor.set_position(cbor.position() + 1);
            Ok(false)
        }
        None => Ok(true),
    }
}

fn is_int(kind: Type) -> bool {
    use Type::{I8, I16, I32, I64, Int, U8, U16, U32, U64};
    matches!(kind, U8 | U16 | U32 | U64 | I8 | I16 | I32 | I64 | Int)
}

/// Steps over one value, whatever it is, no deeper than `depth`.
fn skip(cbor: &mut Decoder<'_>, depth: usize) -> Result<(), Error> {
    let too_deep = || Error::message("nested too deeply");
    match past_tags(cbor)? {
        Type::Array | Type::ArrayIndef => {
            let mut left = cbor.array()?;
            while more(cbor, &mut left)? {
                skip(cbor, depth.checked_sub(1).ok_or_else(too_deep)?)?;
            }
            Ok(())
        }
        Type::Map | Type::MapIndef => {
            let mut left = cbor.map()?;
            while more(cbor, &mut left)? {
                let inner = depth.checked_sub(1).ok_or_else(too_deep)?;
                skip(cbor, inner)?;
                skip(cbor, inner)?;
            }
            Ok(())
        }
        Type::Break | Type::Unknown(_) => Err(Error::message("not a value")),
        _ => cbor.skip(),
    }
}
