//! The words every other crate speaks: names, ids, positions, records, batches, limits, time.
//!
//! Owns values and their rules, nothing else: no I/O, no async, no protobuf, no configuration.
//! Every type here checks itself when it is made, so that holding one means it is valid.
//!
//! Read in this order: [`StreamName`] and [`ShardId`] (who), [`HashKey`] and [`HashRange`]
//! (where a key lives), [`SequenceNumber`] (where a record lies), [`RecordBatch`] (how records
//! travel and rest), [`Clock`] (the only way time enters).

mod batch;
mod bucket;
mod clock;
mod hash_key;
mod ids;
pub mod limits;
pub mod planted;
mod sequence_number;
mod serde_text;
mod shard_id;
mod stream_name;

pub use batch::{BatchBuilder, BatchError, Record, RecordBatch, Records, crc32c};
pub use bucket::Bucket;
pub use clock::{Agreement, Clock, ManualClock, SystemClock, UnixMillis};
pub use hash_key::{HashKey, HashKeyError, HashRange};
pub use ids::{GroupId, Incarnation, NodeId, ProducerId, ProducerIdError, StreamId};
pub use sequence_number::{SequenceNumber, SequenceNumberError};
pub use shard_id::{ShardId, ShardIdError};
pub use stream_name::{StreamName, StreamNameError};
