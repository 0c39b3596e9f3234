//! What is logged besides entries, and how it lies in a record of the write-ahead log.
//!
//! | kind     | index                | term | head                          | body          |
//! |----------|----------------------|------|-------------------------------|---------------|
//! | vote     |                      |      | the vote                      |               |
//! | truncate | last index that stays|      |                               |               |
//! | trim     | last trimmed index   | its  | applied index u64 LE, or none | the checkpoint|
//! | destroy  | the life that ends   |      |                               |               |

use bytes::Bytes;
use thalweg_types::GroupId;
use thalweg_wal::{Kind, Record};

fn mark(group: GroupId, kind: Kind, index: u64) -> Record {
    Record { group, kind, index, term: 0, head: Bytes::new(), body: Bytes::new() }
}

pub(crate) fn vote(group: GroupId, vote: Bytes) -> Record {
    Record { head: vote, ..mark(group, Kind::Vote, 0) }
}

pub(crate) fn truncate(group: GroupId, keep: u64) -> Record {
    mark(group, Kind::Truncate, keep)
}

pub(crate) fn destroy(group: GroupId, life: u64) -> Record {
    mark(group, Kind::Destroy, life)
}

/// A trim, with the checkpoint that stands for what is trimmed unless an older record has it.
pub(crate) fn trim(group: GroupId, index: u64, term: u64, checkpoint: &Option<(u64, Bytes)>) -> Record {
    let mut record = Record { term, ..mark(group, Kind::Trim, index) };
    if let Some((applied, state)) = checkpoint {
        record.head = Bytes::copy_from_slice(&applied.to_le_bytes());
        record.body = state.clone();
    }
    record
}

/// The checkpoint in the record of a trim. Copied, so that it does not keep the record alive.
pub(crate) fn checkpoint_of(trim: &Record) -> Option<(u64, Bytes)> {
    let applied = trim.head.as_ref().try_into().ok().map(u64::from_le_bytes)?;
    Some((applied, Bytes::copy_from_slice(&trim.body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trim_carries_its_checkpoint_even_an_empty_one() {
        for checkpoint in [None, Some((9, Bytes::new())), Some((u64::MAX, Bytes::from_static(b"state")))] {
            let record = trim(GroupId(1), 7, 2, &checkpoint);
            assert_eq!((record.index, record.term), (7, 2));
            assert_eq!(checkpoint_of(&record), checkpoint);
        }
    }
}
