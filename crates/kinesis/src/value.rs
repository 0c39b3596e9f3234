//! What a request or an answer says, independent of JSON and CBOR.
//!
//! A request is decoded along its shape into a [`Struct`], so a handler never meets a member of a
//! wrong type; an answer is a [`Struct`] whose leaves say how they are to be written (a time is
//! seconds in JSON and milliseconds in CBOR, a blob base64 or bytes).

use bytes::Bytes;
use thalweg_types::UnixMillis;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// Integers and longs.
    Int(i64),
    /// A string.
    Text(String),
    /// Bytes.
    Blob(Bytes),
    /// A time, with milliseconds.
    Time(UnixMillis),
    /// A list.
    List(Vec<Value>),
    /// A map with string keys and values, in the order of the request.
    Map(Vec<(String, String)>),
    /// A structure.
    Struct(Struct),
}

/// The present members of a structure, in order. An absent member is not here; there is no null.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Struct {
    members: Vec<(&'static str, Value)>,
}

impl Struct {
    /// A structure without members.
    pub fn new() -> Struct {
        Struct::default()
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Struct {
        self.members.push((name, value.into()));
        self
    }

    /// Adds a member if there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Struct {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a member, or replaces it.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.members.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.members.push((name, value)),
        }
    }

    /// The members in order.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&'static str, &Value)> {
        self.members.iter().map(|(name, value)| (*name, value))
    }

    /// Whether no member is present.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Takes a member out.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.members.iter().position(|(known, _)| *known == name)?;
        Some(self.members.remove(at).1)
    }

    /// A string member.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer member.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// A boolean member; absent is false.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    /// A blob member.
    pub fn blob(&self, name: &str) -> Option<&Bytes> {
        match self.get(name)? {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A time member.
    pub fn time(&self, name: &str) -> Option<UnixMillis> {
        match self.get(name)? {
            Value::Time(time) => Some(*time),
            _ => None,
        }
    }

    /// A structure member.
    pub fn structure(&self, name: &str) -> Option<&Struct> {
        match self.get(name)? {
            Value::Struct(inner) => Some(inner),
            _ => None,
        }
    }

    /// A list member; absent is empty.
    pub fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    /// The strings of a list member; absent is empty.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(|value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// A map member; absent is empty.
    pub fn map(&self, name: &str) -> &[(String, String)] {
        match self.get(name) {
            Some(Value::Map(map)) => map,
            _ => &[],
        }
    }
}

macro_rules! from {
    ($($source:ty => |$value:ident| $made:expr;)*) => {
        $(impl From<$source> for Value { fn from($value: $source) -> Value { $made } })*
    };
}

from! {
    bool => |value| Value::Bool(value);
    i64 => |value| Value::Int(value);
    u32 => |value| Value::Int(i64::from(value));
    &str => |value| Value::Text(value.to_owned());
    String => |value| Value::Text(value);
    Bytes => |value| Value::Blob(value);
    UnixMillis => |value| Value::Time(value);
    Vec<Value> => |value| Value::List(value);
    Vec<(String, String)> => |value| Value::Map(value);
    Struct => |value| Value::Struct(value);
}

impl<V: Into<Value>> FromIterator<V> for Value {
    fn from_iter<I: IntoIterator<Item = V>>(items: I) -> Value {
        Value::List(items.into_iter().map(Into::into).collect())
    }
}
