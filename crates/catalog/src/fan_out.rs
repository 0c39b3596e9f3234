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
/// Clocks of successive controllers are unlikely to differ by more than this.
const RETIRED_MS: u64 = 3_600_000;
/// Names whose last second is remembered at most.
const RETIRED_MAX: usize = 10_000;

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

impl From<&FanOutConsumer> for ConsumerRef {
    /// This registration of the name and no other.
    fn from(consumer: &FanOutConsumer) -> ConsumerRef {
        ConsumerRef { name: consumer.name.clone(), created_second: Some(consumer.created_at.secs()) }
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

/// The seconds of consumers that are gone, for as long as they could be given again; at most
/// [`RETIRED_MAX`] of them: beyond it the oldest are forgotten, so that what is registered then gets
/// a second after theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Retired {
    /// The last second of each name, by stream and name.
    last: BTreeMap<StreamName, BTreeMap<String, u64>>,
    /// The last second of all that were forgotten.
    forgotten: u64,
}

impl Retired {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Retired::default()
    }

    /// Remembers a consumer that is gone.
    pub(crate) fn note(&mut self, stream: &StreamName, consumer: &FanOutConsumer) {
        let seconds = self.last.entry(stream.clone()).or_default();
        let last = seconds.entry(consumer.name.clone()).or_default();
        *last = (*last).max(consumer.created_at.secs());
        if self.last.values().map(BTreeMap::len).sum::<usize>() > RETIRED_MAX
            && let Some(oldest) = self.last.values().flat_map(BTreeMap::values).min().copied()
        {
            self.forget(|second| second <= oldest);
        }
    }

    /// The creation time of a consumer that is registered now: `now`, or the next second that the
    /// name certainly never had.
    pub(crate) fn created_at(&self, stream: &StreamName, name: &str, now: UnixMillis) -> UnixMillis {
        let known = self.last.get(stream).and_then(|seconds| seconds.get(name)).copied();
        let taken = known.unwrap_or(0).max(self.forgotten);
        if now.secs() > taken { now } else { UnixMillis(taken.saturating_add(1).saturating_mul(1000)) }
    }

    /// Forgets seconds that no clock is likely to show again. Should one all the same, what is
    /// registered then gets a second after all that were forgotten.
    pub(crate) fn forget_before(&mut self, now: UnixMillis) {
        let horizon = now.minus_ms(RETIRED_MS).secs();
        self.forget(|second| second < horizon);
    }

    fn forget(&mut self, goes: impl Fn(u64) -> bool) {
        let Retired { last, forgotten } = self;
        last.retain(|_, seconds| {
            seconds.retain(|_, second| {
                let kept = !goes(*second);
                *forgotten = if kept { *forgotten } else { (*forgotten).max(*second) };
                kept
            });
            !seconds.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(name: String, second: u64) -> FanOutConsumer {
        FanOutConsumer { name, created_at: UnixMillis(second * 1000), tags: BTreeMap::new(), policy: None }
    }

    #[test]
    fn consumers_that_are_gone_are_remembered_up_to_a_bound_and_no_second_is_given_twice() {
        let (mut retired, stream) = (Retired::default(), "orders".parse::<StreamName>().unwrap());
        let of = |number: u64| consumer(format!("c{number}"), 1_000 + number / 100);
        let count = RETIRED_MAX as u64 + 5_000;
        (0..count).for_each(|number| retired.note(&stream, &of(number)));
        assert!(retired.last.values().map(BTreeMap::len).sum::<usize>() <= RETIRED_MAX);
        for number in [0, 4_999, 5_000, count - 1] {
            let gone = of(number);
            let again = retired.created_at(&stream, &gone.name, gone.created_at);
            assert!(again.secs() > gone.created_at.secs(), "{}", gone.name);
        }
        let later = UnixMillis(2_000_000);
        assert_eq!(retired.created_at(&stream, "c0", later), later, "what is forgotten holds up nobody later");
    }
}
