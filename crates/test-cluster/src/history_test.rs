//! What the layer over the checker lets pass, and what it does not.

use thalweg_client::{SequenceNumber, UnixMillis};

use super::*;

const CREATED: UnixMillis = UnixMillis(1_000);

fn record(serial: u64, shard: u32, index: u64) -> ConsumedRecord {
    let Record { partition_key, data, .. } = Mark { key: 7, serial }.record(100);
    let sequence_number = SequenceNumber::new(CREATED, ShardId(shard), index, 0, CREATED);
    let (shard, arrived) = (ShardId(shard), CREATED);
    slim(ConsumedRecord { shard, sequence_number, arrived, partition_key, explicit_hash_key: None, data })
}

/// Acknowledged in this order, one after another.
fn written(records: &[ConsumedRecord]) -> Written {
    let mut written = Written::default();
    for record in records {
        let position = RecordPosition { shard: record.shard, sequence_number: record.sequence_number };
        written.note(Mark::of(record).unwrap(), now(), Ok(position));
    }
    written
}

fn complaints(written: &Written, read: &[ConsumedRecord]) -> String {
    check(written, &ReadBack::told(read.to_vec(), &[])).join("\n")
}

#[test]
fn what_was_written_and_read_once_and_in_order_is_no_matter_for_complaint() {
    let records: Vec<_> = (0..5).map(|n| record(n, 0, 10 + n)).collect();
    assert_eq!(complaints(&written(&records), &records), "");
}

#[test]
fn lost_doubled_moved_changed_and_foreign_records_are_complained_of() {
    let records: Vec<_> = (0..5).map(|n| record(n, 0, 10 + n)).collect();
    let written = written(&records);
    let spoiled = |spoil: fn(&mut Vec<ConsumedRecord>)| {
        let mut read = records.clone();
        spoil(&mut read);
        complaints(&written, &read)
    };
    assert!(spoiled(|read| drop(read.remove(2))).contains("lost"));
    assert!(spoiled(|read| drop(read.pop())).contains("4 of 5"));
    assert!(spoiled(|read| read.push(record(2, 0, 20))).contains("duplicated"));
    assert!(spoiled(|read| read[4] = record(4, 0, 20)).contains("moved"));
    assert!(spoiled(|read| read[1].data = "1:1:".into()).contains("changed"));
    assert!(spoiled(|read| read.push(record(9, 0, 20))).contains("phantom"));
    assert!(!spoiled(|read| read.swap(1, 2)).is_empty());
}

#[test]
fn a_refused_record_that_is_read_is_complained_of_and_one_of_unknown_outcome_is_not() {
    let records: Vec<_> = (0..2).map(|n| record(n, 0, 10 + n)).collect();
    let mut refused = written(&records[..1]);
    refused.note(Mark { key: 7, serial: 1 }, now(), Err(ProduceError::Closed));
    assert!(complaints(&refused, &records).contains("phantom"));
    let mut unknown = written(&records[..1]);
    let outcome = ProduceError::OutcomeUnknown { last: String::new() };
    unknown.note(Mark { key: 7, serial: 1 }, now(), Err(outcome));
    assert_eq!(complaints(&unknown, &records), "");
}

#[test]
fn a_record_below_one_that_was_acknowledged_before_it_was_sent_is_complained_of() {
    let records = [record(0, 0, 11), record(1, 0, 10)];
    let read = [records[1].clone(), records[0].clone()];
    assert!(complaints(&written(&records), &read).contains("reordered"));
}
