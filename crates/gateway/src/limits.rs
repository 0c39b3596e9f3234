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

/// Shards whose use is remembered; beyond it those that rest are forgotten.
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
    write_bytes: Bucket,
    write_records: Bucket,
    read_bytes: Bucket,
    read_calls: Bucket,
}

impl Usage {
    fn unused(rates: &Rates, now: Instant) -> Usage {
        Usage {
            write_bytes: Bucket::full(WRITE_BURST_BYTES.max(rates.write_bytes), now),
            write_records: Bucket::full(rates.write_records, now),
            read_bytes: Bucket::full(rates.read_bytes, now),
            read_calls: Bucket::full(rates.read_calls, now),
        }
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
            shards.retain(|_, usage| !usage.write_bytes.is_rested(now));
        }
        change(shards.entry((stream.id, shard)).or_insert_with(|| Usage::unused(rates, now)))
    }
}
