//! Single values: what is converted to what, and the service's words for what is not.
//!
//! The texts are those that the service was recorded to answer, misspellings included. Its type
//! names are those of the Java classes behind it.

use std::collections::HashMap;

use bytes::Bytes;
use thalweg_types::UnixMillis;

use crate::Value;
use crate::model::{Bounds, MapShape, Shape};

/// What a body holds where a shape expects something else.
pub(super) enum Found<'a> {
    Bool,
    Number,
    Text(&'a str),
    Bytes,
    List,
    Map,
}

/// A number of a body.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Whole(i64),
    Fraction(f64),
}

/// How many milliseconds a number of a time means.
#[derive(Clone, Copy)]
pub(super) enum TimeUnit {
    Seconds,
    Millis,
}

/// Why `found` is refused where `expected` should be.
pub(super) fn mismatch(expected: &Shape, found: Found<'_>) -> String {
    match (&found, expected) {
        (Found::List, _) => return "Start of list found where not expected".to_owned(),
        (Found::Map, _) => return "Start of structure or map found where not expected.".to_owned(),
        (_, Shape::List(_)) => return "Expected list or null".to_owned(),
        (_, Shape::Map(_)) => return "Expected map or null".to_owned(),
        (_, Shape::Struct(_)) => return "Expected null".to_owned(),
        (Found::Text(text), Shape::Bool) => return format!("'{}' {}", text.to_uppercase(), conversion(expected)),
        _ => {}
    }
    let class = match found {
        Found::Bool => "java.lang.Boolean",
        Found::Number => "com.amazon.coral.value.json.numbers.TruncatingBigNumber",
        Found::Text(_) => "java.lang.String",
        // Not recorded: only CBOR has bytes, and no client sends them elsewhere.
        _ => "java.nio.HeapByteBuffer",
    };
    format!("class {class} {}", conversion(expected))
}

fn conversion(expected: &Shape) -> String {
    let target = match expected {
        Shape::Bool => "an Boolean",
        Shape::Int(int) if int.long => "an Long",
        Shape::Int(_) => "an Integer",
        Shape::Blob(_) => "a Blob",
        Shape::Time => "milliseconds since epoch",
        _ => "an String",
    };
    format!("can not be converted to {target}")
}

/// A number as the value of a shape, if the shape takes one. Whole numbers lose their fraction
/// and stop at the greatest of their width; a boolean takes a fraction, but no whole number.
pub(super) fn number(expected: &Shape, number: Number, unit: TimeUnit) -> Option<Value> {
    match (expected, number) {
        (Shape::Int(int), _) => {
            let whole = match number {
                Number::Whole(whole) => whole,
                Number::Fraction(fraction) => fraction as i64,
            };
            let fitted = if int.long { whole } else { whole.clamp(i32::MIN.into(), i32::MAX.into()) };
            Some(Value::Int(fitted))
        }
        (Shape::Time, _) => Some(Value::Time(time(number, unit))),
        (Shape::Bool, Number::Fraction(fraction)) => Some(Value::Bool(fraction != 0.0)),
        _ => None,
    }
}

/// A time; what lies before 1970 is 1970, and what lies beyond 63 bits is the last they hold.
fn time(number: Number, unit: TimeUnit) -> UnixMillis {
    let per_unit = match unit {
        TimeUnit::Seconds => 1000,
        TimeUnit::Millis => 1,
    };
    let ms = match number {
        Number::Whole(whole) => whole.saturating_mul(per_unit),
        Number::Fraction(fraction) => (fraction * per_unit as f64).round() as i64,
    };
    UnixMillis(u64::try_from(ms).unwrap_or(0))
}

/// A string as the value of a shape, or why not.
pub(super) fn text(expected: &Shape, text: &str) -> Result<Value, String> {
    match expected {
        Shape::Text(_) => Ok(Value::Text(text.to_owned())),
        Shape::Blob(_) => blob(text).map(Value::Blob),
        Shape::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(Value::Bool(true)),
            "false" | "no" | "0" => Ok(Value::Bool(false)),
            _ => Err(mismatch(expected, Found::Text(text))),
        },
        _ => Err(mismatch(expected, Found::Text(text))),
    }
}

fn blob(text: &str) -> Result<Bytes, String> {
    match base64_simd::STANDARD.decode_to_vec(text) {
        Ok(bytes) => Ok(Bytes::from(bytes)),
        Err(_) => Err(format!("'{text}' can not be converted to a Blob: {}", blob_fault(text))),
    }
}

/// What is wrong with base64 that did not decode: its length, else its first character that is
/// not of the alphabet or a pad before the end, else its last character.
fn blob_fault(text: &str) -> String {
    let length = text.encode_utf16().count();
    if !length.is_multiple_of(4) {
        return format!("Base64 encoded length is expected a multiple of 4 bytes but found: {length}");
    }
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let pad_inside = character == '=' && characters.peek().is_some_and(|next| *next != '=');
        if pad_inside || !(character.is_ascii_alphanumeric() || "+/=".contains(character)) {
            return format!("Invalid Base64 character: '{character}'");
        }
    }
    "Invalid last non-pad Base64 character dectected".to_owned()
}

/// What a null in a list stands for: a value that no constraint accepts, because a list of this
/// crate has no holes and dropping the null would move the elements behind it.
pub(super) fn hole(shape: &Shape) -> Value {
    match shape {
        Shape::Struct(_) => Value::Struct(crate::Struct::new()),
        _ => Value::Text(String::new()),
    }
}

/// How many elements of a list or map are kept: one more than allowed, enough to refuse it. The
/// rest is read and dropped, so that small elements cannot take many times their bytes.
pub(super) fn kept_max(size: Bounds) -> usize {
    size.max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(0) + 1)
}

/// The pairs of a map while it is read: of equal keys the last counts, where the first stood.
pub(super) struct Pairs {
    kept: Vec<(String, String)>,
    places: HashMap<String, usize>,
    kept_max: usize,
}

impl Pairs {
    pub(super) fn new(shape: &MapShape) -> Pairs {
        Pairs { kept: Vec::new(), places: HashMap::new(), kept_max: kept_max(shape.size) }
    }

    pub(super) fn put(&mut self, key: String, value: String) {
        if let Some(place) = self.places.get(&key) {
            self.kept[*place].1 = value;
        } else if self.kept.len() < self.kept_max {
            self.places.insert(key.clone(), self.kept.len());
            self.kept.push((key, value));
        }
    }

    pub(super) fn into_value(self) -> Value {
        Value::Map(self.kept)
    }
}
