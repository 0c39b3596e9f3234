//! Positions of tokens as positions of the client.

use thalweg_catalog::Shard;
use thalweg_client::{ConsumedRecord, Position};
use thalweg_kinesis::token::TokenPosition;
use thalweg_types::SequenceNumber;

/// Where in a shard a token stands.
pub(crate) fn position(shard: &Shard, position: TokenPosition) -> Position {
    match position {
        TokenPosition::TrimHorizon => Position::TrimHorizon,
        TokenPosition::AtTime(time) => Position::AtTime(time),
        TokenPosition::AtCounter { index, record: 0 } => Position::Index(index),
        TokenPosition::AtCounter { index, record } => {
            let created = shard.created_at;
            Position::At(SequenceNumber::new(created, shard.id, index, record, created))
        }
    }
}

/// Data and partition keys of records.
pub(crate) fn bytes(records: &[ConsumedRecord]) -> usize {
    records.iter().map(|record| record.data.len() + record.partition_key.len()).sum()
}
