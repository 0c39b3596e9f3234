//! Finding batches by arrival time: a binary search over the log, whose arrivals never fall.

use thalweg_types::UnixMillis;

use super::data::DataEntry;
use super::{ReadError, data_from};
use crate::command::EntryFacts;
use crate::replica::Replica;

/// The index at which to read from to get everything that arrived at `time` or later.
pub(crate) async fn first_since(replica: &Replica, time: UnixMillis) -> Result<u64, ReadError> {
    let (last, horizon) = replica.state().with(|state| (state.last(), state.horizon()));
    if last.is_none_or(|last| last.arrived < time) {
        return Ok(replica.applied() + 1);
    }
    Ok(last_before(replica, time).await?.map_or(horizon, |before| before.index + 1))
}

/// The newest retained batch that arrived before `time`.
pub(crate) async fn last_before(replica: &Replica, time: UnixMillis) -> Result<Option<EntryFacts>, ReadError> {
    let (last, horizon) = replica.state().with(|state| (state.last(), state.horizon()));
    let Some(last) = last.filter(|last| last.index >= horizon) else { return Ok(None) };
    if last.arrived < time {
        return Ok(Some(last));
    }
    let mut before: Option<EntryFacts> = None;
    let (mut low, mut high) = (horizon, last.index);
    // Batches below `low` arrived before `time`, `before` being their newest; those from `high` on did not.
    while low < high {
        let middle = low + (high - low) / 2;
        match first_from(replica, middle).await? {
            Some(found) if found.facts.index < high && found.facts.arrived < time => {
                low = found.facts.index + 1;
                before = Some(found.facts);
            }
            _ => high = middle,
        }
    }
    Ok(before)
}

async fn first_from(replica: &Replica, index: u64) -> Result<Option<DataEntry>, ReadError> {
    Ok(data_from(replica, index, 1).await?.entries.into_iter().next())
}
