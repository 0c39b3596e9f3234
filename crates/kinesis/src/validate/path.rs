//! Where in a request a value lies: `records.1.member.partitionKey`.
//!
//! A path is a chain of borrowed steps on the stack, written out only for an error.

use std::fmt;

/// A place in a request.
pub(super) enum Path<'a> {
    /// The request itself.
    Root,
    /// A member of a structure.
    Member(&'a Path<'a>, &'static str),
    /// An element of a list, counted from 0; printed from 1.
    Element(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Member(parent, name) => {
                write!(f, "{parent}")?;
                if !matches!(parent, Path::Root) {
                    f.write_str(".")?;
                }
                let (first, rest) = name.split_at(1);
                write!(f, "{}{rest}", first.to_ascii_lowercase())
            }
            Path::Element(parent, at) => write!(f, "{parent}.{}.member", at + 1),
        }
    }
}
