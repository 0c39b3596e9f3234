//! The rates that Kinesis allows a shard, for streams that want them, and its rates of control
//! operations, for accounts that do.
//!
//! Rates of shards are counted where each shard is led, so they hold for the cluster: this front asks
//! there before it writes or reads. Rates of control operations are counted here, for this node.
//! Holds: a leader that does not answer holds up nobody for long. Whether a record can be written
//! without it, the write itself finds out.

mod control;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use thalweg_catalog::{LimitsProfile, ShardLimits, Stream};
use thalweg_client::{Charge, Charged};
use thalweg_kinesis::{ApiError, Struct, texts};
use thalweg_types::{Record, ShardId};
use tokio::time::Instant;

use crate::call::Call;
use crate::{AccountLimits, Gateway};
use control::ControlRates;

/// For the answer of a shard's leader. It has nothing to do but to count.
const CHARGE_TIMEOUT: Duration = Duration::from_millis(500);

/// What a stream's shards may take and give; nothing where there is no limit.
fn limits_of(stream: &Stream) -> Option<ShardLimits> {
    match stream.settings.limits {
        LimitsProfile::Unlimited => None,
        LimitsProfile::Kinesis | LimitsProfile::Custom(_) => Some(stream.settings.limits.shard_limits()),
    }
}

/// How many bytes a second a consumer with a rate of its own is pushed.
pub(crate) fn fan_out_rate(stream: &Stream) -> Option<u64> {
    limits_of(stream)?.read_bytes_per_second
}

/// Whether operations may be called now.
pub(crate) struct Limits {
    control: Option<ControlRates>,
}

impl Limits {
    /// With the service's rates of control operations, or without.
    pub(crate) fn new(account: AccountLimits) -> Limits {
        Limits { control: (account == AccountLimits::Kinesis).then(ControlRates::default) }
    }

    /// Whether an operation may be called now.
    pub(crate) fn admit_call(&self, call: &Call, input: &Struct) -> Result<(), ApiError> {
        self.control.as_ref().map_or(Ok(()), |rates| rates.admit(call, input, Instant::now()))
    }
}

/// Counts records that are to be written; the places, and the shards, of those for which there is no
/// room.
pub(crate) async fn admit_writes(gateway: &Gateway, stream: &Stream, records: &[Record]) -> BTreeMap<usize, ShardId> {
    let Some(limits) = limits_of(stream).filter(limits_writes) else { return BTreeMap::new() };
    let mut by_shard: BTreeMap<ShardId, Vec<usize>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        if let Some(shard) = stream.shard_for(record.hash_key()) {
            by_shard.entry(shard.id).or_default().push(place);
        }
    }
    let charges = by_shard.into_iter().map(|(shard, places)| async move {
        let bytes = |place: &usize| u32::try_from(records[*place].counted_bytes()).unwrap_or(u32::MAX);
        let charge = Charge { records: places.iter().map(bytes).collect(), ..Charge::default() };
        let refused = charged(gateway, stream, shard, &limits, charge).await.refused_records.into_iter();
        refused.filter_map(|at| Some((*places.get(at as usize)?, shard))).collect::<Vec<_>>()
    });
    futures::future::join_all(charges).await.into_iter().flatten().collect()
}

/// Whether a shard may be read now: a page larger than the rate has to be paid off first.
pub(crate) async fn admit_read(
    gateway: &Gateway,
    call: &Call,
    stream: &Stream,
    shard: ShardId,
) -> Result<(), ApiError> {
    let Some(limits) = limits_of(stream).filter(limits_reads) else { return Ok(()) };
    let charge = Charge { reads: true, ..Charge::default() };
    match charged(gateway, stream, shard, &limits, charge).await.read_refused {
        true => Err(texts::read_throttled(shard, &stream.name, &call.account)),
        false => Ok(()),
    }
}

/// A page of so many bytes was read.
pub(crate) async fn note_read(gateway: &Gateway, stream: &Stream, shard: ShardId, bytes: usize) {
    let Some(limits) = limits_of(stream).filter(|limits| limits.read_bytes_per_second.is_some()) else { return };
    if bytes > 0 {
        let charge = Charge { bytes_read: bytes as u64, ..Charge::default() };
        charged(gateway, stream, shard, &limits, charge).await;
    }
}

fn limits_writes(limits: &ShardLimits) -> bool {
    limits.write_bytes_per_second.is_some() || limits.write_records_per_second.is_some()
}

fn limits_reads(limits: &ShardLimits) -> bool {
    limits.read_bytes_per_second.is_some() || limits.read_calls_per_second.is_some()
}

/// The leader's word; without one there is room.
async fn charged(gateway: &Gateway, stream: &Stream, shard: ShardId, limits: &ShardLimits, charge: Charge) -> Charged {
    let answered = gateway.client().charge(&stream.name, shard, limits, charge, CHARGE_TIMEOUT).await;
    answered.unwrap_or_else(|error| {
        tracing::debug!(stream = %stream.name, %shard, %error, "the limits were not asked for");
        Charged::default()
    })
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
    use super::*;

    #[test]
    fn room_is_made_though_nothing_rests() {
        let mut known: HashMap<u32, bool> = (0..100).map(|key| (key, key >= 50)).collect();
        make_room(&mut known, |rests| *rests);
        assert_eq!(known.len(), 50);
        make_room(&mut known, |rests| *rests);
        assert_eq!(known.len(), 0);
    }
}
