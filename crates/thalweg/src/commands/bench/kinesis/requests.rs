//! Put requests, encoded before the clock runs, and what their answers say.

use rand::rngs::StdRng;
use thalweg_kinesis::{Operation, Struct, Value};
use thalweg_types::{SequenceNumber, StreamName};

use super::Target;
use super::connection::Prepared;
use crate::commands::bench::load::{self, Payloads};

/// Different requests at most, and their bytes.
const REQUESTS_MAX: usize = 4_096;
const REQUEST_POOL_BYTES_MAX: usize = 96 * 1024 * 1024;

/// Requests, used in turn.
pub(super) struct Requests {
    prepared: Vec<Prepared>,
    /// Records in each.
    pub(super) records: usize,
    /// Bytes of data in each.
    pub(super) data_bytes: u64,
}

impl Requests {
    /// Encodes requests of `records` records each, with random keys over all shards.
    pub(super) fn encode(
        target: &Target,
        stream: &StreamName,
        payloads: &Payloads,
        (records, record_bytes): (usize, usize),
        random: &mut StdRng,
    ) -> Requests {
        let count = (REQUEST_POOL_BYTES_MAX / (records * (record_bytes + 64)).max(1)).clamp(1, REQUESTS_MAX);
        let request = |_| match records {
            1 => {
                let input = record(payloads, random).with("StreamName", stream.as_str());
                Prepared::new(target, Operation::PutRecord, &input)
            }
            _ => {
                let entries: Value = (0..records).map(|_| record(payloads, random)).collect();
                let input = Struct::new().with("StreamName", stream.as_str()).with("Records", entries);
                Prepared::new(target, Operation::PutRecords, &input)
            }
        };
        let prepared = (0..count).map(request).collect();
        Requests { prepared, records, data_bytes: (records * record_bytes) as u64 }
    }

    /// The request to send as the `nth`.
    pub(super) fn get(&self, nth: usize) -> &Prepared {
        &self.prepared[nth % self.prepared.len()]
    }

    /// How many batches began with a record of this answer, or why the answer is no success: each
    /// batch has one first record, so over all answers that is the number of batches.
    pub(super) fn batches_begun(&self, answer: &Struct) -> Result<u64, String> {
        if self.records == 1 {
            return begins_batch(answer).map(u64::from);
        }
        let (failed, entries) = (answer.int("FailedRecordCount").unwrap_or(-1), answer.list("Records"));
        if failed != 0 || entries.len() != self.records {
            let first = entries.iter().find(|entry| matches!(entry, Value::Struct(e) if e.text("ErrorCode").is_some()));
            return Err(format!("{failed} of {} records failed, the first: {first:?}", entries.len()));
        }
        let entries = entries.iter().map(|entry| match entry {
            Value::Struct(entry) => begins_batch(entry),
            _ => Err("an entry is no structure".to_owned()),
        });
        entries.map(|begins| begins.map(u64::from)).sum()
    }
}

fn record(payloads: &Payloads, random: &mut StdRng) -> Struct {
    Struct::new().with("Data", payloads.next(random)).with("PartitionKey", load::key(random))
}

fn begins_batch(entry: &Struct) -> Result<bool, String> {
    let number = entry.text("SequenceNumber").ok_or("a record has no sequence number")?;
    let number: SequenceNumber = number.parse().map_err(|error| format!("{error}"))?;
    Ok(number.record() == 0)
}

#[cfg(test)]
mod tests {
    use thalweg_types::{ShardId, UnixMillis};

    use super::*;

    fn entry(record: u32) -> Struct {
        let number = SequenceNumber::new(UnixMillis(1_000), ShardId(1), 7, record, UnixMillis(2_000));
        Struct::new().with("SequenceNumber", number.to_string()).with("ShardId", "shardId-000000000001")
    }

    fn requests(records: usize) -> Requests {
        Requests { prepared: Vec::new(), records, data_bytes: 0 }
    }

    #[test]
    fn an_answer_counts_the_batches_that_begin_in_it() {
        let entries: Value = [entry(0), entry(1), entry(0)].into_iter().collect();
        let answer = Struct::new().with("FailedRecordCount", 0i64).with("Records", entries);
        assert_eq!(requests(3).batches_begun(&answer), Ok(2));
        assert_eq!(requests(1).batches_begun(&entry(4)), Ok(0));
    }

    #[test]
    fn an_answer_with_a_failed_or_missing_record_is_no_success() {
        let failed = Struct::new().with("ErrorCode", "InternalFailure");
        let entries: Value = [entry(0), failed].into_iter().collect();
        let answer = Struct::new().with("FailedRecordCount", 1i64).with("Records", entries);
        assert!(requests(2).batches_begun(&answer).unwrap_err().contains("InternalFailure"));
        let short = Struct::new().with("FailedRecordCount", 0i64).with("Records", vec![Value::from(entry(0))]);
        assert!(requests(2).batches_begun(&short).is_err());
        assert!(requests(1).batches_begun(&Struct::new()).is_err());
    }
}
