//! Constraints of a request: required members, lengths, ranges, patterns, enums.
//!
//! All violations are gathered, the first ten are told, in the words of the service. A member
//! that is required and absent is one of them ("Member must not be null").
//!
//! Holds: a request that passes keeps every constraint of its shape; checking one costs no
//! allocation. Paths: [`path`]. How values are printed: [`shown`].

mod path;
mod shown;

use std::fmt;

use crate::model::{Bounds, ListShape, MapShape, Operation, Shape, StructShape, TextShape};
use crate::{ApiError, ErrorKind, Struct, Value};

use path::Path;
use shown::Shown;

/// How many violations are told.
const TOLD_MAX: usize = 10;

/// Checks a decoded request against the constraints of its operation.
pub fn validate(operation: Operation, request: &Struct) -> Result<(), ApiError> {
    let mut found = Violations::default();
    found.structure(&Path::Root, operation.input(), request);
    found.outcome()
}

/// One violation at a member's path, for constraints that no shape can tell: whether a member is needed
/// or how long it may be may depend on more than the request. `None` is a member that is missing.
pub fn broken(path: &str, value: Option<&Value>, constraint: &str) -> ApiError {
    let shown = value.map_or(Shown::Null, Shown::Plain);
    ApiError::new(ErrorKind::Validation, format!("1 validation error detected: {}", told(path, shown, constraint)))
}

fn told(path: impl fmt::Display, value: Shown<'_>, constraint: &str) -> String {
    format!("Value {value} at '{path}' failed to satisfy constraint: {constraint}")
}

#[derive(Default)]
struct Violations {
    told: Vec<String>,
}

impl Violations {
    fn outcome(self) -> Result<(), ApiError> {
        let told = self.told.join("; ");
        match self.told.len() {
            0 => Ok(()),
            1 => Err(ApiError::new(ErrorKind::Validation, format!("1 validation error detected: {told}"))),
            count => Err(ApiError::new(ErrorKind::Validation, format!("{count} validation errors detected: {told}"))),
        }
    }

    fn full(&self) -> bool {
        self.told.len() >= TOLD_MAX
    }

    fn tell(&mut self, at: &Path<'_>, value: Shown<'_>, constraint: impl FnOnce() -> String) {
        if !self.full() {
            self.told.push(told(at, value, &constraint()));
        }
    }

    fn structure(&mut self, at: &Path<'_>, shape: &StructShape, structure: &Struct) {
        for member in shape.members {
            let path = Path::Member(at, member.name);
            match structure.get(member.name) {
                Some(value) => self.value(&path, &member.shape, value),
                None if member.required => self.tell(&path, Shown::Null, || "Member must not be null".to_owned()),
                None => {}
            }
        }
    }

    fn value(&mut self, at: &Path<'_>, shape: &Shape, value: &Value) {
        match (shape, value) {
            (Shape::Text(shape), Value::Text(text)) => self.text(at, shape, text, value),
            (Shape::Int(shape), Value::Int(number)) => self.number(at, shape.bounds, *number, value),
            (Shape::Blob(bounds), Value::Blob(bytes)) => self.length(at, *bounds, bytes.len(), Shown::Plain(value)),
            (Shape::List(shape), Value::List(items)) => self.list(at, shape, items, value),
            (Shape::Map(shape), Value::Map(pairs)) => self.map(at, shape, pairs, value),
            (Shape::Struct(shape), Value::Struct(inner)) => self.structure(at, shape, inner),
            _ => {}
        }
    }

    fn text(&mut self, at: &Path<'_>, shape: &TextShape, text: &str, value: &Value) {
        for broken in broken_looks(shape, text) {
            self.tell(at, Shown::Plain(value), || broken);
        }
        self.length(at, shape.length, length_of(text), Shown::Plain(value));
    }

    fn number(&mut self, at: &Path<'_>, bounds: Bounds, number: i64, value: &Value) {
        for (kept, limit, word) in sides(bounds, number) {
            if !kept {
                self.tell(at, Shown::Plain(value), || {
                    format!("Member must have value {word} than or equal to {limit}")
                });
            }
        }
    }

    fn length(&mut self, at: &Path<'_>, bounds: Bounds, length: usize, shown: Shown<'_>) {
        for (kept, limit, word) in sides(bounds, length as i64) {
            if !kept {
                self.tell(at, shown, || format!("Member must have length {word} than or equal to {limit}"));
            }
        }
    }

    fn list(&mut self, at: &Path<'_>, shape: &ListShape, items: &[Value], value: &Value) {
        match shape.member {
            Shape::Struct(inner) => {
                self.length(at, shape.size, items.len(), Shown::Structures(inner, items.len()));
                for (at_index, item) in items.iter().enumerate() {
                    if self.full() {
                        return;
                    }
                    self.value(&Path::Element(at, at_index), shape.member, item);
                }
            }
            Shape::Text(inner) => {
                self.length(at, shape.size, items.len(), Shown::Plain(value));
                let breaks = |item: &Value| matches!(item, Value::Text(text) if breaks(inner, text));
                if items.iter().any(breaks) {
                    let rules = rules_of_texts(inner);
                    self.tell(at, Shown::Plain(value), || format!("Member must satisfy constraint: [{rules}]"));
                }
            }
            _ => {}
        }
    }

    fn map(&mut self, at: &Path<'_>, shape: &MapShape, pairs: &[(String, String)], value: &Value) {
        self.length(at, shape.size, pairs.len(), Shown::Plain(value));
        if pairs.iter().any(|(key, _)| !shape.key.contain(length_of(key) as i64)) {
            let rules = rules_of_length(shape.key);
            self.tell(at, Shown::Plain(value), || format!("Map keys must satisfy constraint: [{rules}]"));
        }
        if pairs.iter().any(|(_, text)| !shape.value.contain(length_of(text) as i64)) {
            let rules = rules_of_length(shape.value);
            self.tell(at, Shown::Plain(value), || format!("Map value must satisfy constraint: [{rules}]"));
        }
    }
}

/// The length of a text as the service counts it: in UTF-16 code units, because it is written in
/// Java, so that a character beyond the basic plane counts twice.
fn length_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// The two sides of a range: whether it is kept, its limit, and how the service words it.
fn sides(bounds: Bounds, value: i64) -> impl Iterator<Item = (bool, i64, &'static str)> {
    let least = bounds.min.map(|min| (value >= min, min, "greater"));
    let greatest = bounds.max.map(|max| (value <= max, max, "less"));
    least.into_iter().chain(greatest)
}

/// The pattern and the enum that a text breaks.
fn broken_looks(shape: &TextShape, text: &str) -> impl Iterator<Item = String> {
    let pattern = shape.pattern.filter(|pattern| !pattern.matches(text));
    let outside = !shape.values.is_empty() && !shape.values.contains(&text);
    pattern.map(|pattern| rule_of_pattern(pattern.shown())).into_iter().chain(outside.then(|| rule_of_values(shape)))
}

fn breaks(shape: &TextShape, text: &str) -> bool {
    broken_looks(shape, text).next().is_some() || !shape.length.contain(length_of(text) as i64)
}

fn rule_of_pattern(shown: &str) -> String {
    format!("Member must satisfy regular expression pattern: {shown}")
}

fn rule_of_values(shape: &TextShape) -> String {
    format!("Member must satisfy enum value set: [{}]", shape.values.join(", "))
}

fn rules_of_length(bounds: Bounds) -> String {
    let most = bounds.max.map(|max| format!("Member must have length less than or equal to {max}"));
    let least = bounds.min.map(|min| format!("Member must have length greater than or equal to {min}"));
    most.into_iter().chain(least).collect::<Vec<_>>().join(", ")
}

/// All that is asked of the strings of a list: the service names every rule, broken or not.
fn rules_of_texts(shape: &TextShape) -> String {
    let length = Some(rules_of_length(shape.length)).filter(|rules| !rules.is_empty());
    let pattern = shape.pattern.map(|pattern| rule_of_pattern(pattern.shown()));
    let values = (!shape.values.is_empty()).then(|| rule_of_values(shape));
    [length, pattern, values].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
