//! The rates that Kinesis allows a shard, for streams that want them, and its rates of control
//! operations, for accounts that do.
//!
//! Counted by each node for the requests that it fronts: a program that talks to one node meets the
//! service's own limits; one that spreads its requests over n nodes has up to n times as much.
//! Holds: what is remembered has a bound.

mod bucket;
mod control;

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_catalog::{LimitsProfile, ShardLimits, Stream};
use thalweg_kinesis::{ApiError, Struct, texts};
use thalweg_types::{Record, ShardId, StreamId};
use tokio::time::Instant;

use crate::AccountLimits;
use crate::call::Call;
use bucket::Bucket;
use control::ControlRates;

/// Shards whose use is remembered; beyond it those that rest are forgotten, or all if none does.
const SHARDS_REMEMBERED: usize = 50_000;

/// Large records may come in bursts of up to 10 MiB, whatever the rate.
const WRITE_BURST_BYTES: f64 = 10.0 * 1024.0 * 1024.0;

/// Units a second; infinite where there is no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rates {
    write_bytes: f64,
    write_records: f64,
    read_bytes: f64,
    read_calls: f64,
}

fn rates(profile: &LimitsProfile) -> Option<Rates> {
    let limits = match profile {
        LimitsProfile::Unlimited => return None,
        LimitsProfile::Kinesis => ShardLimits::KINESIS,
        LimitsProfile::Custom(limits) => *limits,
    };
    let bytes = |limit: Option<u64>| limit.map_or(f64::INFINITY, |limit| limit as f64);
    let count = |limit: Option<u32>| limit.map_or(f64::INFINITY, f64::from);
    Some(Rates {
        write_bytes: bytes(limits.write_bytes_per_second),
        write_records: count(limits.write_records_per_second),
        read_bytes: bytes(limits.read_bytes_per_second),
        read_calls: count(limits.read_calls_per_second),
    })
}

/// How long a consumer with a rate of its own waits after so many bytes.
pub(crate) fn fan_out_pause(stream: &Stream, bytes: usize) -> Duration {
    let rate = rates(&stream.settings.limits).map_or(f64::INFINITY, |rates| rates.read_bytes);
    Duration::from_secs_f64(bytes as f64 / rate)
}

/// One shard's recent use.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// The limits that the buckets were made for.
    rates: Rates,
    write_bytes: Bucket,
    write_records: Bucket,
    read_bytes: Bucket,
    read_calls: Bucket,
}

impl Usage {
    fn unused(rates: &Rates, now: Instant) -> Usage {
        Usage {
            rates: *rates,
            write_bytes: Bucket::full(WRITE_BURST_BYTES.max(rates.write_bytes), now),
            write_records: Bucket::full(rates.write_records, now),
            read_bytes: Bucket::full(rates.read_bytes, now),
            read_calls: Bucket::full(rates.read_calls, now),
        }
    }
}

impl Usage {
    fn is_rested(&self, now: Instant) -> bool {
        let buckets = [self.write_bytes, self.write_records, self.read_bytes, self.read_calls];
        buckets.iter().all(|bucket| bucket.is_rested(now))
    }
}

/// The use of all shards that this node fronts, and its recent calls.
pub(crate) struct Limits {
    control: Option<ControlRates>,
    shards: Mutex<HashMap<(StreamId, ShardId), Usage>>,
}

impl Limits {
    /// With the service's rates of control operations, or without.
    pub(crate) fn new(account: AccountLimits) -> Limits {
        let control = (account == AccountLimits::Kinesis).then(ControlRates::default);
        Limits { control, shards: Mutex::default() }
    }

    /// Whether an operation may be called now.
    pub(crate) fn admit_call(&self, call: &Call, input: &Struct) -> Result<(), ApiError> {
        self.control.as_ref().map_or(Ok(()), |rates| rates.admit(call, input, Instant::now()))
    }

    /// Whether a record may be written now.
    pub(crate) fn admit_write(&self, call: &Call, stream: &Stream, record: &Record) -> Result<(), ApiError> {
        let Some(rates) = rates(&stream.settings.limits) else { return Ok(()) };
        let Some(shard) = stream.shard_for(record.hash_key()).map(|shard| shard.id) else { return Ok(()) };
        let now = Instant::now();
        let admitted = self.with(stream, shard, &rates, now, |usage| {
            let bytes = record.counted_bytes() as f64;
            let fits = usage.write_records.has(1.0, rates.write_records, now)
                && usage.write_bytes.has(bytes, rates.write_bytes, now);
            if fits {
                usage.write_records.take(1.0);
                usage.write_bytes.take(bytes);
            }
            fits
        });
        if admitted { Ok(()) } else { Err(texts::write_throttled(shard, &stream.name, &call.account)) }
    }

    /// Whether a shard may be read now: a page larger than the rate has to be paid off first.
    pub(crate) fn admit_read(&self, call: &Call, stream: &Stream, shard: ShardId) -> Result<(), ApiError> {
        let Some(rates) = rates(&stream.settings.limits) else { return Ok(()) };
        let now = Instant::now();
        let admitted = self.with(stream, shard, &rates, now, |usage| {
            let fits =
                usage.read_calls.has(1.0, rates.read_calls, now) && usage.read_bytes.has(0.0, rates.read_bytes, now);
            if fits {
                usage.read_calls.take(1.0);
            }
            fits
        });
        if admitted { Ok(()) } else { Err(texts::read_throttled(shard, &stream.name, &call.account)) }
    }

    /// A page of so many bytes was read.
    pub(crate) fn note_read(&self, stream: &Stream, shard: ShardId, bytes: usize) {
        if let Some(rates) = rates(&stream.settings.limits) {
            self.with(stream, shard, &rates, Instant::now(), |usage| usage.read_bytes.take(bytes as f64));
        }
    }

    fn with<T>(
        &self,
        stream: &Stream,
        shard: ShardId,
        rates: &Rates,
        now: Instant,
        change: impl FnOnce(&mut Usage) -> T,
    ) -> T {
        let mut shards = self.shards.lock();
        if shards.len() >= SHARDS_REMEMBERED {
            make_room(&mut shards, |usage| usage.is_rested(now));
        }
        let usage = shards.entry((stream.id, shard)).or_insert_with(|| Usage::unused(rates, now));
        if usage.rates != *rates {
            *usage = Usage::unused(rates, now);
        }
        change(usage)
    }
}

/// Forgets what rests; if that leaves no quarter free, all of it, so that looking for room is rare.
fn make_room<K, V>(known: &mut HashMap<K, V>, rests: impl Fn(&V) -> bool) {
    let before = known.len();
    known.retain(|_, value| !rests(value));
    if known.len() > before - before / 4 {
        known.clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    fn stream(limits: serde_json::Value) -> Stream {
        let catalog = testing::catalog(None, None, limits);
        Stream::clone(catalog.streams().next().expect("one stream"))
    }

    fn admitted(limits: &Limits, stream: &Stream) -> usize {
        let call = testing::call("GetRecords", "us-east-1");
        (0..100).filter(|_| limits.admit_read(&call, stream, ShardId(0)).is_ok()).count()
    }

    #[test]
    fn limits_that_change_hold_at_once() {
        let limits = Limits::new(AccountLimits::Unlimited);
        let few = stream(json!("kinesis"));
        assert_eq!(admitted(&limits, &few), 5);
        let many = stream(json!({ "custom": { "read_calls_per_second": 60 } }));
        assert_eq!(admitted(&limits, &many), 60);
        let only_writes = stream(json!({ "custom": { "write_records_per_second": 1 } }));
        assert_eq!(admitted(&limits, &only_writes), 100);
        assert_eq!(admitted(&limits, &few), 5, "what was without limit before has one now");
    }

    #[test]
    fn room_is_made_though_nothing_rests() {
        let mut known: HashMap<u32, bool> = (0..100).map(|key| (key, key >= 50)).collect();
        make_room(&mut known, |rests| *rests);
        assert_eq!(known.len(), 50);
        make_room(&mut known, |rests| *rests);
        assert_eq!(known.len(), 0);
    }
}
