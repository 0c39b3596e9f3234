//! Values to CBOR, with definite lengths. A time is a plain integer of milliseconds: the tag of
//! the standard would mean seconds.

use std::convert::Infallible;

use minicbor::encode::{Encoder, Error};
use thalweg_types::UnixMillis;

use crate::{Struct, Value};

type Written = Result<(), Error<Infallible>>;

pub(super) fn encode(body: &Struct) -> Vec<u8> {
    let mut out = Encoder::new(Vec::with_capacity(size_hint(body)));
    structure(&mut out, body).expect("a vector takes all that is written");
    out.into_writer()
}

fn structure(out: &mut Encoder<Vec<u8>>, body: &Struct) -> Written {
    out.map(body.members().len() as u64)?;
    for (name, inner) in body.members() {
        out.str(name)?;
        value(out, inner)?;
    }
    Ok(())
}

fn value(out: &mut Encoder<Vec<u8>>, inner: &Value) -> Written {
    match inner {
        Value::Bool(flag) => out.bool(*flag)?.ok(),
        Value::Int(number) => out.i64(*number)?.ok(),
        Value::Text(text) => out.str(text)?.ok(),
        Value::Blob(bytes) => out.bytes(bytes)?.ok(),
        Value::Time(UnixMillis(ms)) => out.u64(*ms)?.ok(),
        Value::List(items) => {
            out.array(items.len() as u64)?;
            items.iter().try_for_each(|item| value(out, item))
        }
        Value::Map(pairs) => {
            out.map(pairs.len() as u64)?;
            pairs.iter().try_for_each(|(key, text)| out.str(key)?.str(text)?.ok())
        }
        Value::Struct(inner) => structure(out, inner),
    }
}

/// Nine bytes are the longest head of a value.
fn size_hint(body: &Struct) -> usize {
    9 + body.members().map(|(name, inner)| 9 + name.len() + value_hint(inner)).sum::<usize>()
}

fn value_hint(value: &Value) -> usize {
    match value {
        Value::Text(text) => 9 + text.len(),
        Value::Blob(bytes) => 9 + bytes.len(),
        Value::List(items) => 9 + items.iter().map(value_hint).sum::<usize>(),
        Value::Map(pairs) => 9 + pairs.iter().map(|(key, text)| 18 + key.len() + text.len()).sum::<usize>(),
        Value::Struct(inner) => size_hint(inner),
        Value::Bool(_) | Value::Int(_) | Value::Time(_) => 9,
    }
}
