//! Values to JSON, into one buffer that is large enough from the start.

use std::io::Write;

use thalweg_types::UnixMillis;

use crate::{Struct, Value};

const NEVER: &str = "a vector takes all that is written";

pub(super) fn encode(body: &Struct) -> Vec<u8> {
    let mut out = Vec::with_capacity(size_hint(body));
    structure(&mut out, body);
    out
}

fn structure(out: &mut Vec<u8>, body: &Struct) {
    out.push(b'{');
    for (at, (name, inner)) in body.members().enumerate() {
        separate(out, at);
        // Names are those of the model: nothing in them has to be escaped.
        quoted(out, name);
        out.push(b':');
        value(out, inner);
    }
    out.push(b'}');
}

fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => serde_json::to_writer(&mut *out, number).expect(NEVER),
        Value::Text(inner) => text(out, inner),
        Value::Blob(bytes) => blob(out, bytes),
        Value::Time(UnixMillis(ms)) => write!(out, "{}.{:03}", ms / 1000, ms % 1000).expect(NEVER),
        Value::List(items) => list(out, items),
        Value::Map(pairs) => map(out, pairs),
        Value::Struct(inner) => structure(out, inner),
    }
}

fn list(out: &mut Vec<u8>, items: &[Value]) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        separate(out, at);
        value(out, item);
    }
    out.push(b']');
}

fn map(out: &mut Vec<u8>, pairs: &[(String, String)]) {
    out.push(b'{');
    for (at, (key, inner)) in pairs.iter().enumerate() {
        separate(out, at);
        text(out, key);
        out.push(b':');
        text(out, inner);
    }
    out.push(b'}');
}

fn separate(out: &mut Vec<u8>, at: usize) {
    if at > 0 {
        out.push(b',');
    }
}

/// Most strings are numbers, ids and keys, which are written as they are.
fn text(out: &mut Vec<u8>, text: &str) {
    let escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // Without an early end the compiler looks at many bytes at once.
    match text.bytes().fold(false, |any, byte| any | escaped(byte)) {
        true => serde_json::to_writer(out, text).expect(NEVER),
        false => quoted(out, text),
    }
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn blob(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    base64_simd::STANDARD.encode_append(bytes, out);
    out.push(b'"');
}

fn size_hint(body: &Struct) -> usize {
    2 + body.members().map(|(name, inner)| name.len() + 4 + value_hint(inner)).sum::<usize>()
}

fn value_hint(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len() + 2,
        Value::Blob(bytes) => bytes.len().div_ceil(3) * 4 + 2,
        Value::List(items) => 2 + items.iter().map(|item| value_hint(item) + 1).sum::<usize>(),
        Value::Map(pairs) => 2 + pairs.iter().map(|(key, inner)| key.len() + inner.len() + 6).sum::<usize>(),
        Value::Struct(inner) => size_hint(inner),
        Value::Bool(_) | Value::Int(_) | Value::Time(_) => 20,
    }
}
