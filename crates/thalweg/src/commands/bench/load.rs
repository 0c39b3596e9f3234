//! What is sent: payloads half of which is random, keys that are random, batches packed in advance.
//!
//! Holds: nothing here runs while the clock does, except handing out what was made before.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use thalweg_client::{HashKey, HashRange, Image, Record, ShardId};
use thalweg_types::{BatchBuilder, RecordBatch};

/// Payloads are cut from this much data.
const POOL_BYTES: usize = 8 * 1024 * 1024;
/// Random and constant bytes alternate in runs of this length.
const RUN_BYTES: usize = 32;
/// Batches of one shard, at most, and of all, as far as every shard has one.
const BATCHES_PER_SHARD_MAX: usize = 8;
const BATCH_POOL_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Data from which records are cut.
#[derive(Clone)]
pub(super) struct Payloads {
    pool: Bytes,
    record_bytes: usize,
}

impl Payloads {
    /// Payloads of that size.
    pub(super) fn new(record_bytes: usize, random: &mut StdRng) -> Payloads {
        let mut pool = vec![b'.'; POOL_BYTES + record_bytes];
        for run in pool.chunks_mut(2 * RUN_BYTES) {
            let half = run.len() / 2;
            random.fill_bytes(&mut run[..half]);
        }
        Payloads { pool: pool.into(), record_bytes }
    }

    /// The data of one record; shares memory with others.
    pub(super) fn next(&self, random: &mut StdRng) -> Bytes {
        let at = random.random_range(0..POOL_BYTES);
        self.pool.slice(at..at + self.record_bytes)
    }
}

/// A random partition key.
pub(super) fn key(random: &mut StdRng) -> String {
    format!("{:016x}", random.random::<u64>())
}

/// Packed batches for each shard, used in turn.
pub(super) struct Batches {
    by_shard: Vec<(ShardId, Vec<RecordBatch>)>,
    /// Records in each batch.
    pub(super) records: u64,
    /// Bytes of data in each batch.
    pub(super) data_bytes: u64,
}

impl Batches {
    /// Packs batches of `records` records for every open shard.
    pub(super) fn pack(image: &Image, payloads: &Payloads, records: usize, random: &mut StdRng) -> Arc<Batches> {
        let shards: Vec<_> = image.open_shards().map(|shard| (shard.id, shard.range)).collect();
        let batch_bytes = records * (payloads.record_bytes + 32);
        let each = (BATCH_POOL_BYTES_MAX / batch_bytes.max(1) / shards.len().max(1)).clamp(1, BATCHES_PER_SHARD_MAX);
        let mut keys = keys_by_shard(image, &shards, records, random);
        let by_shard = shards
            .into_iter()
            .map(|(shard, range)| {
                let keys = keys.remove(&shard).unwrap_or_default();
                let batches = (0..each).map(|_| pack(&keys, range, payloads, records, random)).collect();
                (shard, batches)
            })
            .collect();
        Arc::new(Batches { by_shard, records: records as u64, data_bytes: (records * payloads.record_bytes) as u64 })
    }

    /// How many shards there are batches for.
    pub(super) fn shard_count(&self) -> usize {
        self.by_shard.len()
    }

    /// The batch to send as the `nth`, to the shard in that place.
    pub(super) fn get(&self, place: usize, nth: usize) -> (ShardId, &RecordBatch) {
        let (shard, batches) = &self.by_shard[place];
        (*shard, &batches[nth % batches.len()])
    }
}

/// Random keys, sorted by the shard that they hash to; a narrow shard may get none.
fn keys_by_shard(
    image: &Image,
    shards: &[(ShardId, HashRange)],
    records: usize,
    random: &mut StdRng,
) -> HashMap<ShardId, Vec<String>> {
    let mut keys: HashMap<ShardId, Vec<String>> = HashMap::new();
    for _ in 0..records * shards.len() * 2 {
        let key = key(random);
        if let Some(shard) = image.shard_for(HashKey::of_partition_key(&key)) {
            keys.entry(shard.id).or_default().push(key);
        }
    }
    keys
}

fn pack(keys: &[String], range: HashRange, payloads: &Payloads, records: usize, random: &mut StdRng) -> RecordBatch {
    let mut builder = BatchBuilder::with_capacity(records * (payloads.record_bytes + 32));
    for _ in 0..records {
        let data = payloads.next(random);
        let record = match keys.len() {
            0 => Record { partition_key: key(random), explicit_hash_key: Some(range.start()), data },
            count => Record::new(keys[random.random_range(0..count)].clone(), data),
        };
        builder.push(&record).expect("the sizes were checked when the arguments were read");
    }
    builder.finish().expect("a batch has at least one record")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn half_of_a_payload_is_random() {
        let mut random = StdRng::seed_from_u64(1);
        let payloads = Payloads::new(1024, &mut random);
        let data = payloads.next(&mut random);
        let constant = data.iter().filter(|byte| **byte == b'.').count();
        assert_eq!(data.len(), 1024);
        assert!((480..=560).contains(&constant), "{constant}");
    }

    #[test]
    fn a_batch_lies_within_the_range_of_its_shard_with_and_without_keys() {
        let mut random = StdRng::seed_from_u64(1);
        let payloads = Payloads::new(10, &mut random);
        let range = HashRange::new(HashKey(5), HashKey(9)).unwrap();
        let batch = pack(&[], range, &payloads, 3, &mut random);
        assert!(range.covers(&batch.hash_range()));
        assert_eq!(batch.record_count(), 3);
    }
}
