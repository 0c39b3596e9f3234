//! Whether an answer is what the model says: what handlers are held to in tests and debug builds.
//!
//! Requests need no such check, because they are read along their shapes.

use super::{Shape, StructShape};
use crate::{Struct, Value};

/// A member that the service's model marks as required and the service leaves out at the end of
/// a shard.
const ABSENT_AT_SHARD_END: &str = "ContinuationSequenceNumber";

impl StructShape {
    /// Says where a structure departs from this shape: a member that is missing, unknown, or of
    /// another type. Constraints of values are not looked at.
    pub fn departure(&self, structure: &Struct) -> Option<String> {
        let missing = |name: &str| name != ABSENT_AT_SHARD_END && structure.get(name).is_none();
        if let Some(member) = self.members.iter().find(|member| member.required && missing(member.name)) {
            return Some(format!("{} lacks {}", self.name, member.name));
        }
        structure.members().find_map(|(name, value)| match self.member(name) {
            Some(member) => departure(&member.shape, value, self.name, name),
            None => Some(format!("{} has no {name}", self.name)),
        })
    }
}

fn departure(shape: &Shape, value: &Value, structure: &str, member: &str) -> Option<String> {
    match (shape, value) {
        (Shape::Struct(shape), Value::Struct(inner)) => shape.departure(inner),
        (Shape::List(list), Value::List(items)) => {
            items.iter().find_map(|item| departure(list.member, item, structure, member))
        }
        (Shape::Bool, Value::Bool(_))
        | (Shape::Int(_), Value::Int(_))
        | (Shape::Text(_), Value::Text(_))
        | (Shape::Blob(_), Value::Blob(_))
        | (Shape::Time, Value::Time(_))
        | (Shape::Map(_), Value::Map(_)) => None,
        _ => Some(format!("{structure}.{member} is of another type than {value:?}")),
    }
}
