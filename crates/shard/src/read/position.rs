//! From what a caller names to a place in the log.

use thalweg_types::{SequenceNumber, UnixMillis};

use super::{Cursor, ReadError, search};
use crate::replica::Replica;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartPosition {
    /// The oldest record that is retained.
    TrimHorizon,
    /// After the newest record that is committed now.
    Latest,
    /// At the record with this number.
    At(SequenceNumber),
    /// After the record with this number.
    After(SequenceNumber),
    /// At the first record that arrived then or later.
    AtTime(UnixMillis),
    /// At an index of the log.
    AtIndex(u64),
}

/// The place in the log. What a position names is pinned now, whatever is appended later.
pub(crate) async fn resolve(replica: &Replica, position: StartPosition) -> Result<Cursor, ReadError> {
    match position {
        StartPosition::TrimHorizon => Ok(Cursor::at(replica.state().with(|state| state.horizon()))),
        StartPosition::Latest => Ok(Cursor::at(replica.read_barrier().await? + 1)),
        StartPosition::At(number) => at_number(replica, number, 0).await,
        StartPosition::After(number) => at_number(replica, number, 1).await,
        StartPosition::AtTime(time) => Ok(Cursor::at(search::first_since(replica, time).await?)),
        StartPosition::AtIndex(index) => Ok(Cursor::at(index)),
    }
}

async fn at_number(replica: &Replica, number: SequenceNumber, past: u32) -> Result<Cursor, ReadError> {
    let spec = replica.spec();
    if number.shard() != spec.shard || number.created_secs() != spec.created.secs() {
        return Err(ReadError::ForeignNumber { number });
    }
    let index = number.raft_index();
    let behind = || index > replica.applied();
    // A number that was given out is committed, though perhaps not here yet.
    if behind() {
        replica.read_barrier().await?;
    }
    if behind() {
        return Err(ReadError::BeyondEnd { number });
    }
    // The shard's own start has index 0, where no record is.
    Ok(Cursor { index, skip_records: number.record() + past })
}
