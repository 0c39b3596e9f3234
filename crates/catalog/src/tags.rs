//! Labels that users put on streams and consumers: how many, how long, of which characters.

use std::collections::{BTreeMap, BTreeSet};

use crate::Refusal;

/// Tags on one thing at most.
pub const TAGS_MAX: usize = 50;
/// Characters of a tag's key at most; at least one.
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value at most; it may be empty.
pub const TAG_VALUE_CHARS_MAX: usize = 256;

/// Whether these may stand on one thing together.
pub(crate) fn check(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (key, value) in tags {
        if !(1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count()) || !key.chars().all(is_allowed) {
            return Err(Refusal::TagKey { key: shown(key) });
        }
        if value.chars().count() > TAG_VALUE_CHARS_MAX || !value.chars().all(is_allowed) {
            return Err(Refusal::TagValue { key: shown(key), value: shown(value) });
        }
    }
    if tags.len() > TAGS_MAX { Err(Refusal::TooManyTags { given: tags.len() }) } else { Ok(()) }
}

/// The tags after some were removed and then some set, if they may stand.
pub(crate) fn changed(
    current: &BTreeMap<String, String>,
    set: &BTreeMap<String, String>,
    remove: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut next = current.clone();
    next.retain(|key, _| !remove.contains(key));
    next.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
    check(&next).map(|()| next)
}

/// Letters and digits of any script, white space, and `_ . / = + - % @ :`.
fn is_allowed(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() || "_./=+-%@:".contains(c)
}

/// What an error shows of something that may be of any length.
pub(crate) fn shown(given: &str) -> String {
    given.chars().take(TAG_VALUE_CHARS_MAX).collect()
}
