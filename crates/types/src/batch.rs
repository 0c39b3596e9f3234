//! Record batches: how records travel and rest.
//!
//! A batch is packed once, by whoever has the records first (client library or gateway), and
//! from there on the same bytes move through leader, followers, disk and readers. Its header
//! lets a shard judge it without looking inside: how many records, which hash keys, intact or not.
//!
//! ```text
//! header, 64 bytes, little endian
//!   0  magic "TWB1"           16  lowest hash key  (u128)
//!   4  crc32c of bytes 8..    32  highest hash key (u128)
//!   8  length of all bytes    48  reserved, zero
//!  12  record count
//! record: data length u32 │ key length u16 │ flags u8 │ key │ [hash key u128 when flag 1] │ data
//! ```
//! Holds: a [`RecordBatch`] has a correct checksum and well-formed records from the moment it
//! exists; it is never changed. Arrival time and sequence numbers come from the shard's log
//! entry around it, not from the batch.

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, PARTITION_KEY_CHARS_MAX, RECORD_BYTES_MAX};
use crate::{HashKey, HashRange};

const MAGIC: [u8; 4] = *b"TWB1";
const HEADER_BYTES: usize = 64;
const RECORD_HEADER_BYTES: usize = 7;
const FLAG_EXPLICIT_HASH_KEY: u8 = 1;

/// The checksum used on every byte that rests or travels: CRC-32C (Castagnoli).
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// One record as an application sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// 1 to 256 characters; its hash decides the shard unless a hash key is given.
    pub partition_key: String,
    /// Overrides the hash of the partition key.
    pub explicit_hash_key: Option<HashKey>,
    /// The payload, opaque to Thalweg.
    pub data: Bytes,
}

impl Record {
    /// A record placed by its partition key.
    pub fn new(partition_key: impl Into<String>, data: impl Into<Bytes>) -> Record {
        Record { partition_key: partition_key.into(), explicit_hash_key: None, data: data.into() }
    }

    /// Where in the hash space the record belongs.
    pub fn hash_key(&self) -> HashKey {
        self.explicit_hash_key.unwrap_or_else(|| HashKey::of_partition_key(&self.partition_key))
    }

    /// Bytes that count towards size limits: the data and the partition key.
    pub fn counted_bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// Why bytes are no batch, or a record does not fit in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Too short, wrong magic or a length that disagrees.
    #[error("not a record batch: {0}")]
    Malformed(&'static str),
    /// The checksum does not match: a byte changed on its way or at rest.
    #[error("record batch is corrupt: checksum {found:#010x}, expected {expected:#010x}")]
    Corrupt {
        /// Checksum that the header names.
        expected: u32,
        /// Checksum of the bytes as they are.
        found: u32,
    },
    /// A partition key is empty or too long.
    #[error("partition key has {chars} characters; allowed are 1 to 256")]
    PartitionKey {
        /// Characters in the key.
        chars: usize,
    },
    /// A record is larger than any stream allows.
    #[error("record has {bytes} bytes of data and partition key, limit {limit}")]
    RecordTooLarge {
        /// Data and key bytes.
        bytes: usize,
        /// The limit that was passed.
        limit: usize,
    },
    /// The batch has no room for another record.
    #[error("record batch is full: {bytes} bytes, {records} records")]
    Full {
        /// Bytes so far.
        bytes: usize,
        /// Records so far.
        records: usize,
    },
}

/// Packs records into a batch. Bytes of each record are copied once, here.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: BytesMut,
    count: usize,
    low: HashKey,
    high: HashKey,
}

impl BatchBuilder {
    /// An empty batch with room for `capacity` bytes before it has to grow.
    pub fn with_capacity(capacity: usize) -> BatchBuilder {
        let mut bytes = BytesMut::with_capacity(capacity.max(HEADER_BYTES));
        bytes.put_bytes(0, HEADER_BYTES);
        BatchBuilder { bytes, count: 0, low: HashKey::MAX, high: HashKey::MIN }
    }

    /// Records so far.
    pub fn record_count(&self) -> usize {
        self.count
    }

    /// Bytes so far, header included.
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a record whose hash key is `hash_key` (so that routing need not hash twice).
    pub fn push_hashed(&mut self, record: &Record, hash_key: HashKey) -> Result<(), BatchError> {
        check_record(record)?;
        let explicit = if record.explicit_hash_key.is_some() { 16 } else { 0 };
        let size = RECORD_HEADER_BYTES + record.counted_bytes() + explicit;
        if self.bytes.len() + size > BATCH_BYTES_MAX || self.count == BATCH_RECORDS_MAX {
            return Err(BatchError::Full { bytes: self.bytes.len(), records: self.count });
        }
        self.bytes.reserve(size);
        self.bytes.put_u32_le(record.data.len() as u32);
        self.bytes.put_u16_le(record.partition_key.len() as u16);
        self.bytes.put_u8(if explicit > 0 { FLAG_EXPLICIT_HASH_KEY } else { 0 });
        self.bytes.put_slice(record.partition_key.as_bytes());
        if let Some(key) = record.explicit_hash_key {
            self.bytes.put_u128_le(key.0);
        }
        self.bytes.put_slice(&record.data);
        self.count += 1;
        self.low = self.low.min(hash_key);
        self.high = self.high.max(hash_key);
        Ok(())
    }

    /// Adds a record, hashing its partition key if it names no hash key.
    pub fn push(&mut self, record: &Record) -> Result<(), BatchError> {
        self.push_hashed(record, record.hash_key())
    }

    /// The finished batch; nothing when no record was added.
    pub fn finish(mut self) -> Option<RecordBatch> {
        if self.count == 0 {
            return None;
        }
        let length = self.bytes.len() as u32;
        let header = &mut self.bytes[..HEADER_BYTES];
        header[0..4].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&length.to_le_bytes());
        header[12..16].copy_from_slice(&(self.count as u32).to_le_bytes());
        header[16..32].copy_from_slice(&self.low.0.to_le_bytes());
        header[32..48].copy_from_slice(&self.high.0.to_le_bytes());
        let checksum = crc32c(&self.bytes[8..]);
        self.bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        Some(RecordBatch { bytes: self.bytes.freeze() })
    }
}

/// Whether a record may enter any batch: key length and the largest size a stream may allow.
fn check_record(record: &Record) -> Result<(), BatchError> {
    let chars = record.partition_key.chars().count();
    if chars == 0 || chars > PARTITION_KEY_CHARS_MAX {
        return Err(BatchError::PartitionKey { chars });
    }
    let bytes = record.counted_bytes();
    if bytes > RECORD_BYTES_MAX {
        return Err(BatchError::RecordTooLarge { bytes, limit: RECORD_BYTES_MAX });
    }
    Ok(())
}

/// An intact batch of one or more records. Cheap to clone: clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBatch {
    bytes: Bytes,
}

impl RecordBatch {
    /// Takes bytes as a batch after checking the header, the checksum and every record's frame.
    pub fn parse(bytes: Bytes) -> Result<RecordBatch, BatchError> {
        check_header(&bytes)?;
        let batch = RecordBatch { bytes };
        let expected = u32::from_le_bytes(batch.array(4));
        let found = crc32c(&batch.bytes[8..]);
        if expected != found {
            return Err(BatchError::Corrupt { expected, found });
        }
        batch.check_records()?;
        Ok(batch)
    }

    fn check_records(&self) -> Result<(), BatchError> {
        let mut rest = &self.bytes[HEADER_BYTES..];
        for _ in 0..self.record_count() {
            let frame = Frame::read(rest).ok_or(BatchError::Malformed("a record ends past the batch"))?;
            let key = std::str::from_utf8(&rest[frame.key()])
                .map_err(|_| BatchError::Malformed("a partition key is not UTF-8"))?;
            let chars = key.chars().count();
            if chars == 0 || chars > PARTITION_KEY_CHARS_MAX {
                return Err(BatchError::PartitionKey { chars });
            }
            rest = &rest[frame.end()..];
        }
        if rest.is_empty() { Ok(()) } else { Err(BatchError::Malformed("bytes follow the last record")) }
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..at + N].try_into().expect("the header was checked to be complete")
    }

    /// Records in the batch, at least one.
    pub fn record_count(&self) -> usize {
        u32::from_le_bytes(self.array(12)) as usize
    }

    /// The narrowest range that holds the hash keys of all records.
    pub fn hash_range(&self) -> HashRange {
        let low = HashKey(u128::from_le_bytes(self.array(16)));
        let high = HashKey(u128::from_le_bytes(self.array(32)));
        HashRange::new(low, high).expect("the header was checked to have low <= high")
    }

    /// The bytes as they travel and rest.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Size of the largest record, data and partition key together.
    pub fn largest_record_bytes(&self) -> usize {
        self.frames().map(|(_, frame)| frame.data_len + frame.key_len).max().unwrap_or(0)
    }

    /// The records in order; their data shares the batch's bytes.
    pub fn records(&self) -> Records<'_> {
        Records { batch: self, at: HEADER_BYTES }
    }

    fn frames(&self) -> impl Iterator<Item = (usize, Frame)> + '_ {
        let mut at = HEADER_BYTES;
        std::iter::from_fn(move || {
            let frame = Frame::read(self.bytes.get(at..)?)?;
            let start = at;
            at += frame.end();
            Some((start, frame))
        })
    }
}

fn check_header(bytes: &[u8]) -> Result<(), BatchError> {
    if bytes.len() < HEADER_BYTES || bytes[0..4] != MAGIC {
        return Err(BatchError::Malformed("no batch header"));
    }
    if bytes.len() > BATCH_BYTES_MAX {
        return Err(BatchError::Malformed("longer than any batch may be"));
    }
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let wide = |at: usize| u128::from_le_bytes(bytes[at..at + 16].try_into().expect("sixteen bytes"));
    if word(8) as usize != bytes.len() {
        return Err(BatchError::Malformed("its length disagrees with the bytes received"));
    }
    if word(12) == 0 || word(12) as usize > BATCH_RECORDS_MAX {
        return Err(BatchError::Malformed("its record count is out of range"));
    }
    if wide(16) > wide(32) {
        return Err(BatchError::Malformed("its hash range is empty"));
    }
    Ok(())
}

/// Where the parts of one record lie, relative to its first byte.
struct Frame {
    data_len: usize,
    key_len: usize,
    explicit: bool,
}

impl Frame {
    fn read(bytes: &[u8]) -> Option<Frame> {
        let header = bytes.get(..RECORD_HEADER_BYTES)?;
        let data_len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let key_len = u16::from_le_bytes([header[4], header[5]]) as usize;
        let frame = Frame { data_len, key_len, explicit: header[6] & FLAG_EXPLICIT_HASH_KEY != 0 };
        (header[6] <= FLAG_EXPLICIT_HASH_KEY && frame.end() <= bytes.len()).then_some(frame)
    }

    fn key(&self) -> std::ops::Range<usize> {
        RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + self.key_len
    }

    fn data(&self) -> std::ops::Range<usize> {
        let start = self.key().end + if self.explicit { 16 } else { 0 };
        start..start + self.data_len
    }

    fn end(&self) -> usize {
        self.data().end
    }
}

/// Iterates over the records of a batch.
#[derive(Debug)]
pub struct Records<'a> {
    batch: &'a RecordBatch,
    at: usize,
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let bytes = self.batch.bytes.slice(self.at..);
        let frame = Frame::read(&bytes)?;
        self.at += frame.end();
        let key = &bytes[frame.key()];
        let explicit_hash_key = frame.explicit.then(|| {
            let at = frame.key().end;
            HashKey(u128::from_le_bytes(bytes[at..at + 16].try_into().expect("the frame was checked")))
        });
        Some(Record {
            partition_key: std::str::from_utf8(key).expect("keys were checked to be UTF-8").to_owned(),
            explicit_hash_key,
            data: bytes.slice(frame.data()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn packed(records: &[Record]) -> RecordBatch {
        let mut builder = BatchBuilder::with_capacity(0);
        records.iter().for_each(|record| builder.push(record).unwrap());
        builder.finish().unwrap()
    }

    prop_compose! {
        fn any_record()(key in ".{1,20}", hash in proptest::option::of(any::<u128>()), data in vec(any::<u8>(), 0..200)) -> Record {
            Record { partition_key: key, explicit_hash_key: hash.map(HashKey), data: data.into() }
        }
    }

    proptest! {
        #[test]
        fn records_read_back_from_the_bytes(records in vec(any_record(), 1..20)) {
            let batch = RecordBatch::parse(packed(&records).bytes().clone()).unwrap();
            prop_assert_eq!(batch.records().collect::<Vec<_>>(), records.clone());
            prop_assert_eq!(batch.record_count(), records.len());
            prop_assert!(records.iter().all(|record| batch.hash_range().contains(record.hash_key())));
            prop_assert_eq!(Some(batch.largest_record_bytes()), records.iter().map(Record::counted_bytes).max());
        }

        #[test]
        fn any_flipped_bit_is_detected(records in vec(any_record(), 1..5), at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = packed(&records).bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(RecordBatch::parse(bytes.into()).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in vec(any::<u8>(), 0..300), valid_header: bool) {
            if valid_header && bytes.len() >= HEADER_BYTES {
                let length = bytes.len() as u32;
                bytes[0..4].copy_from_slice(&MAGIC);
                bytes[8..12].copy_from_slice(&length.to_le_bytes());
                let checksum = crc32c(&bytes[8..]);
                bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
            }
            let _ = RecordBatch::parse(bytes.into());
        }
    }

    #[test]
    fn keys_and_sizes_out_of_bounds_are_refused() {
        let mut builder = BatchBuilder::with_capacity(0);
        assert_eq!(builder.push(&Record::new("", "x")), Err(BatchError::PartitionKey { chars: 0 }));
        assert_eq!(builder.push(&Record::new("k".repeat(257), "x")), Err(BatchError::PartitionKey { chars: 257 }));
        assert_eq!(builder.push(&Record::new("ä".repeat(256), "x")), Ok(()));
        let large = Record::new("k", vec![0; RECORD_BYTES_MAX]);
        assert!(matches!(builder.push(&large), Err(BatchError::RecordTooLarge { .. })));
    }
}
