//! What a shape is: types, constraints and required members, as constant data.
//!
//! Holds: a table of shapes costs nothing until it is used; a pattern is compiled at its first
//! use and matches a whole value, never a part of one. The order of members and of enum values
//! is the order in which the service names them in its errors, where that is recorded.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

/// A structure: an operation's request or answer, or a part of one.
#[derive(Debug)]
pub struct StructShape {
    /// Its name in the service's model.
    pub name: &'static str,
    /// Its members.
    pub members: &'static [Member],
}

impl StructShape {
    /// The member of this name.
    pub fn member(&self, name: &str) -> Option<&'static Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its name on the wire.
    pub name: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// What it holds.
    pub shape: Shape,
}

/// What a member, a list or a map holds.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// True or false.
    Bool,
    /// A whole number.
    Int(IntShape),
    /// A string.
    Text(TextShape),
    /// Bytes, with bounds of their count.
    Blob(Bounds),
    /// A time.
    Time,
    /// A list.
    List(ListShape),
    /// A map from strings to strings.
    Map(&'static MapShape),
    /// A structure.
    Struct(&'static StructShape),
}

impl Shape {
    /// Any string.
    pub(crate) const FREE_TEXT: Shape = free_text();
}

/// A whole number.
#[derive(Clone, Copy, Debug)]
pub struct IntShape {
    /// Whether it has 64 bits; 32 otherwise.
    pub long: bool,
    /// Its smallest and greatest value.
    pub bounds: Bounds,
}

/// A string.
#[derive(Clone, Copy, Debug)]
pub struct TextShape {
    /// Its shortest and longest length in UTF-16 code units, the characters of Java, in which
    /// the service counts.
    pub length: Bounds,
    /// What it looks like.
    pub pattern: Option<&'static Pattern>,
    /// The only values it may have; empty if it is free.
    pub values: &'static [&'static str],
}

/// A list.
#[derive(Clone, Copy, Debug)]
pub struct ListShape {
    /// What it is a list of: structures or strings.
    pub member: &'static Shape,
    /// How many.
    pub size: Bounds,
}

/// A map from strings to strings.
#[derive(Debug)]
pub struct MapShape {
    /// The length of a key.
    pub key: Bounds,
    /// The length of a value.
    pub value: Bounds,
    /// How many pairs.
    pub size: Bounds,
}

/// Inclusive bounds; an absent bound is not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The smallest allowed.
    pub min: Option<i64>,
    /// The greatest allowed.
    pub max: Option<i64>,
}

impl Bounds {
    /// No bounds.
    pub const NONE: Bounds = Bounds { min: None, max: None };

    /// Whether `value` lies within.
    pub fn contain(self, value: i64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

/// A regular expression that a whole string must match.
#[derive(Debug)]
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    pub(super) const fn new(text: &'static str) -> Pattern {
        Pattern { text, compiled: OnceLock::new() }
    }

    /// The expression as the service's model has it.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// The expression as the service prints it in errors: without the anchors and the group
    /// that the model puts around numbers.
    pub fn shown(&self) -> &'static str {
        let inner = self.text.strip_prefix("^(").and_then(|rest| rest.strip_suffix(")$"));
        inner.unwrap_or(self.text)
    }

    /// Whether the whole of `text` matches. Classes such as `\d` and `\S` are those of ASCII,
    /// and `.` is not an end of line, as in Java.
    pub fn matches(&self, text: &str) -> bool {
        let compile = || {
            let whole = format!(r"\A(?:{})\z", self.text);
            let built = RegexBuilder::new(&whole).unicode(false).crlf(true).build();
            built.expect("every pattern of the tables compiles: a test compiles them all")
        };
        self.compiled.get_or_init(compile).is_match(text.as_bytes())
    }
}

/// Any string.
pub(super) const TEXT: Shape = Shape::FREE_TEXT;
/// Any 32-bit number.
pub(super) const INT: Shape = Shape::Int(IntShape { long: false, bounds: Bounds::NONE });
/// A boolean.
pub(super) const BOOL: Shape = Shape::Bool;
/// A time.
pub(super) const TIME: Shape = Shape::Time;

pub(super) const fn bounds(range: RangeInclusive<i64>) -> Bounds {
    Bounds { min: Some(*range.start()), max: Some(*range.end()) }
}

const fn free_text() -> Shape {
    Shape::Text(TextShape { length: Bounds::NONE, pattern: None, values: &[] })
}

pub(super) const fn text(length: RangeInclusive<i64>) -> Shape {
    Shape::Text(TextShape { length: bounds(length), pattern: None, values: &[] })
}

pub(super) const fn pattern(length: RangeInclusive<i64>, pattern: &'static Pattern) -> Shape {
    Shape::Text(TextShape { length: bounds(length), pattern: Some(pattern), values: &[] })
}

pub(super) const fn free_pattern(pattern: &'static Pattern) -> Shape {
    Shape::Text(TextShape { length: Bounds::NONE, pattern: Some(pattern), values: &[] })
}

pub(super) const fn choice(values: &'static [&'static str]) -> Shape {
    Shape::Text(TextShape { length: Bounds::NONE, pattern: None, values })
}

pub(super) const fn int(range: RangeInclusive<i64>) -> Shape {
    Shape::Int(IntShape { long: false, bounds: bounds(range) })
}

pub(super) const fn int_from(min: i64) -> Shape {
    Shape::Int(IntShape { long: false, bounds: Bounds { min: Some(min), max: None } })
}

pub(super) const fn long_from(min: i64) -> Shape {
    Shape::Int(IntShape { long: true, bounds: Bounds { min: Some(min), max: None } })
}

pub(super) const fn of(shape: &'static StructShape) -> Shape {
    Shape::Struct(shape)
}

/// A list of structures (`list!(of RECORD, 1..=500)`) or of strings (`list!(SHARD_ID)`).
macro_rules! list {
    (of $shape:ident) => { list!(@ $crate::model::shape::Shape::Struct(&$shape), $crate::model::shape::Bounds::NONE) };
    (of $shape:ident, $size:expr) => {
        list!(@ $crate::model::shape::Shape::Struct(&$shape), $crate::model::shape::bounds($size))
    };
    (@ $shape:expr, $size:expr) => {
        $crate::model::shape::Shape::List($crate::model::shape::ListShape { member: &$shape, size: $size })
    };
    ($shape:expr) => { list!(@ $shape, $crate::model::shape::Bounds::NONE) };
    ($shape:expr, $size:expr) => { list!(@ $shape, $crate::model::shape::bounds($size)) };
}

/// Structures as a table: `CONSTANT = NameInTheModel { Required!: SHAPE, Optional?: SHAPE }`.
macro_rules! shapes {
    ($($constant:ident = $name:ident { $($member:ident $mark:tt : $shape:expr),* $(,)? })*) => {
        $(pub(super) static $constant: $crate::model::shape::StructShape = $crate::model::shape::StructShape {
            name: stringify!($name),
            members: &[$($crate::model::shape::Member {
                name: stringify!($member),
                required: shapes!(@required $mark),
                shape: $shape,
            }),*],
        };)*
    };
    (@required !) => { true };
    (@required ?) => { false };
}

pub(super) use {list, shapes};
