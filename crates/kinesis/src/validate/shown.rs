//! How the service prints a value in an error: as Java would.

use std::fmt;

use crate::Value;
use crate::model::StructShape;

/// A value to print, with its quotes.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    /// An absent value.
    Null,
    /// A value that is no structure and holds none.
    Plain(&'a Value),
    /// A list of so many structures of a shape: Java names their class, not their content.
    Structures(&'a StructShape, usize),
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Null => f.write_str("null"),
            Shown::Plain(value) => {
                f.write_str("'")?;
                plain(f, value)?;
                f.write_str("'")
            }
            Shown::Structures(shape, count) => {
                f.write_str("'[")?;
                let class =
                    |f: &mut fmt::Formatter<'_>, _| write!(f, "com.amazonaws.kinesis.v20131202.{}@2", shape.name);
                separated(f, 0..*count, class)?;
                f.write_str("]'")
            }
        }
    }
}

fn plain(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Bool(flag) => write!(f, "{flag}"),
        Value::Int(number) => write!(f, "{number}"),
        Value::Text(text) => f.write_str(text),
        Value::Blob(bytes) => write!(f, "java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", bytes.len()),
        Value::Time(time) => write!(f, "{}", time.0),
        Value::List(items) => {
            f.write_str("[")?;
            separated(f, items, plain)?;
            f.write_str("]")
        }
        Value::Map(pairs) => {
            f.write_str("{")?;
            separated(f, pairs, |f, (key, text)| write!(f, "{key}={text}"))?;
            f.write_str("}")
        }
        Value::Struct(_) => f.write_str("{}"),
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    mut print: impl FnMut(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        print(f, item)?;
    }
    Ok(())
}
