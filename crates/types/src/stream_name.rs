//! The name of a stream: 1 to 128 characters of `[a-zA-Z0-9_.-]`, as Kinesis has it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A valid stream name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

/// Why a string is no stream name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a stream name: use 1 to 128 characters of a-z A-Z 0-9 _ . -")]
pub struct StreamNameError {
    /// What was given, cut to 140 characters.
    pub given: String,
}

impl StreamName {
    /// Characters in a name at most.
    pub const CHARS_MAX: usize = 128;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamName {
    type Err = StreamNameError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if (1..=Self::CHARS_MAX).contains(&given.len()) && given.bytes().all(allowed) {
            Ok(StreamName(given.into()))
        } else {
            Err(StreamNameError { given: given.chars().take(140).collect() })
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_service_alphabet_are_accepted_and_others_explained() {
        for good in ["a", "orders.v2", "A_b-9", &"x".repeat(128)] {
            assert_eq!(good.parse::<StreamName>().unwrap().as_str(), good);
        }
        for bad in ["", "with space", "ä", "a/b", &"x".repeat(129)] {
            let error = bad.parse::<StreamName>().unwrap_err();
            assert!(error.to_string().contains("1 to 128 characters"), "{error}");
        }
    }
}
