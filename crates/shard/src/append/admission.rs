//! The rules a batch must meet before anything is done with it. Pure.
//!
//! Hashing every key again would cost more than the append, so the header's range, which the
//! checksum covers, is believed for hashed keys; explicit hash keys are compared one by one.

use thalweg_types::planted::{Planted, planted};
use thalweg_types::{HashKey, HashRange, RecordBatch};

use super::AppendError;
use crate::spec::ReplicaSpec;

/// Whether the shard takes the batch, as far as the batch itself tells.
pub(crate) fn admit(batch: &RecordBatch, spec: &ReplicaSpec) -> Result<(), AppendError> {
    let wrong = |keys| AppendError::WrongShard { keys, range: spec.range };
    if planted(Planted::RangeNotChecked) {
        return Ok(());
    }
    if !spec.range.covers(&batch.hash_range()) {
        return Err(wrong(batch.hash_range()));
    }
    if let Some(key) = explicit_key_outside(batch, &spec.range) {
        return Err(wrong(HashRange::new(key, key).expect("one key is a range")));
    }
    let (bytes, limit) = (batch.largest_record_bytes(), spec.record_bytes_max);
    if bytes > limit { Err(AppendError::RecordTooLarge { bytes, limit }) } else { Ok(()) }
}

fn explicit_key_outside(batch: &RecordBatch, range: &HashRange) -> Option<HashKey> {
    if *range == HashRange::FULL {
        return None;
    }
    batch.records().filter_map(|record| record.explicit_hash_key).find(|key| !range.contains(*key))
}

#[cfg(test)]
mod tests {
    use thalweg_types::{BatchBuilder, Record};

    use super::*;
    use crate::testing::spec;

    fn refusal(record: Record, change: impl FnOnce(&mut ReplicaSpec)) -> String {
        let mut builder = BatchBuilder::with_capacity(0);
        builder.push(&record).unwrap();
        let mut spec = spec(1);
        change(&mut spec);
        match admit(&builder.finish().unwrap(), &spec) {
            Ok(()) => "taken".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_batch_within_range_and_limit_is_taken() {
        assert_eq!(refusal(Record::new("a", "data"), |_| {}), "taken");
        let at_limit = Record::new("key", vec![0; 7]);
        assert_eq!(refusal(at_limit, |spec| spec.record_bytes_max = 10), "taken");
    }

    #[test]
    fn refusals_say_what_is_wrong_and_what_is_allowed() {
        let outside = Record { explicit_hash_key: Some(HashKey(5)), ..Record::new("a", "data") };
        let narrow = |spec: &mut ReplicaSpec| spec.range = HashRange::new(HashKey(6), HashKey(9)).unwrap();
        assert_eq!(
            refusal(outside, narrow),
            "hash keys 5..=5 lie outside the shard's range 6..=9: refresh the routing"
        );
        let large = Record::new("key", vec![0; 8]);
        assert_eq!(
            refusal(large, |spec| spec.record_bytes_max = 10),
            "record has 11 bytes of data and partition key, the stream allows 10"
        );
    }

    #[test]
    fn an_explicit_key_is_compared_even_if_the_header_hides_it() {
        let record = Record { explicit_hash_key: Some(HashKey(50)), ..Record::new("a", "data") };
        let mut builder = BatchBuilder::with_capacity(0);
        builder.push_hashed(&record, HashKey(7)).unwrap();
        let batch = builder.finish().unwrap();
        let mut spec = spec(1);
        spec.range = HashRange::new(HashKey(6), HashKey(9)).unwrap();
        assert!(matches!(admit(&batch, &spec), Err(AppendError::WrongShard { .. })));
    }
}
