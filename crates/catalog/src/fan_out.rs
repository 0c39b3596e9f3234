//! Fan-out consumers: readers that are registered with a stream and get what it holds pushed.
//!
//! Holds: the pair of name and creation second names one registration for ever. Whoever registers
//! a name again within the second in which it was last registered gets a later second, also when
//! the stream was deleted and created in between; see [`Retired`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thalweg_types::{StreamName, UnixMillis};

use crate::{Edit, Refusal, tags};

/// Consumers of one stream at most.
pub const CONSUMERS_MAX: usize = 20;
/// The same of an on-demand stream while the account's commitment is enabled.
pub const CONSUMERS_COMMITTED_MAX: usize = 50;
/// Characters of a consumer's name at most; at least one.
pub const CONSUMER_NAME_CHARS_MAX: usize = 128;
/// Clocks of successive controllers differ by less than this.
const RETIRED_MS: u64 = 3_600_000;

/// A registered consumer of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOutConsumer {
    /// 1 to 128 characters of `[a-zA-Z0-9_.-]`, one of its kind in the stream.
    pub name: String,
    /// When it was registered; no other consumer of this stream and name has this second.
    pub created_at: UnixMillis,
    /// The user's own labels; at most 50.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Resource policy, as its writer gave it.
    #[serde(default)]
    pub policy: Option<String>,
}

/// Names a consumer, and which registration of the name is meant where that is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConsumerRef {
    /// Its name.
    pub name: String,
    /// The second since the epoch in which it was registered; any registration unless given.
    #[serde(default)]
    pub created_second: Option<u64>,
}

impl From<&str> for ConsumerRef {
    fn from(name: &str) -> ConsumerRef {
        ConsumerRef { name: name.to_owned(), created_second: None }
    }
}

impl ConsumerRef {
    /// Whether this registration is meant.
    pub fn names(&self, consumer: &FanOutConsumer) -> bool {
        let second = self.created_second.is_none_or(|second| second == consumer.created_at.secs());
        second && self.name == consumer.name
    }
}

/// A wish to change a consumer; what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerPatch {
    /// Tags to set, after the others were removed.
    pub set_tags: BTreeMap<String, String>,
    /// Keys of tags to remove; unknown ones are ignored.
    pub remove_tags: BTreeSet<String>,
    /// Another resource policy, or none.
    pub policy: Edit<String>,
}

/// Whether this may be a consumer's name.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let good = (1..=CONSUMER_NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(allowed);
    if good { Ok(()) } else { Err(Refusal::ConsumerName { name: tags::shown(name) }) }
}

/// The seconds of consumers that are gone, for as long as they could be given again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retired(BTreeMap<StreamName, BTreeMap<String, u64>>);

impl Retired {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Remembers a consumer that is gone.
    pub(crate) fn note(&mut self, stream: &StreamName, consumer: &FanOutConsumer) {
        let second = consumer.created_at.secs();
        let seconds = self.0.entry(stream.clone()).or_default();
        let last = seconds.entry(consumer.name.clone()).or_default();
        *last = (*last).max(second);
    }

    /// The creation time of a consumer that is registered now: `now`, or the next second that the
    /// name never had.
    pub(crate) fn created_at(&self, stream: &StreamName, name: &str, now: UnixMillis) -> UnixMillis {
        let last = self.0.get(stream).and_then(|seconds| seconds.get(name));
        let free = last.map_or(0, |second| second.saturating_add(1).saturating_mul(1000));
        UnixMillis(now.0.max(free))
    }

    /// Forgets seconds that no clock will show again.
    pub(crate) fn forget_before(&mut self, now: UnixMillis) {
        let horizon = now.minus_ms(RETIRED_MS).secs();
        self.0.retain(|_, seconds| {
            seconds.retain(|_, second| *second >= horizon);
            !seconds.is_empty()
        });
    }
}
