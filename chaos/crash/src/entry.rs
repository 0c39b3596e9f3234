//! Entries that tell by themselves who they are, so that one wrong byte is noticed.
//!
//! Holds: the bytes of an entry follow from its [`EntryId`] alone, and the id is in its head. No two
//! appends of a run have the same id, because each carries the number of its call.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};
use thalweg_storage::LogEntry;

/// What an entry is, and with it every byte that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EntryId {
    /// The group it was appended to.
    pub group: u64,
    /// Its index.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The call that appended it.
    pub call: u64,
    /// Bytes of its body.
    pub body_bytes: u32,
}

impl EntryId {
    /// The entry, whole.
    pub fn entry(&self) -> LogEntry {
        let head = serde_json::to_vec(self).expect("plain numbers become JSON");
        LogEntry { index: self.index, term: self.term, head: head.into(), body: self.body() }
    }

    fn body(&self) -> Bytes {
        let seed = self.group ^ self.index.rotate_left(16) ^ self.term.rotate_left(32) ^ self.call.rotate_left(48);
        let mut body = vec![0; self.body_bytes as usize];
        StdRng::seed_from_u64(seed).fill_bytes(&mut body);
        body.into()
    }

    /// Who an entry is; nothing if any byte of it is not what was appended.
    pub fn of(group: u64, entry: &LogEntry) -> Option<EntryId> {
        let id: EntryId = serde_json::from_slice(&entry.head).ok()?;
        (id.group == group && id.entry() == *entry).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_tells_who_it_is_and_no_changed_byte_goes_unnoticed() {
        let id = EntryId { group: 3, index: 9, term: 2, call: 77, body_bytes: 300 };
        let entry = id.entry();
        assert_eq!(EntryId::of(3, &entry), Some(id));
        assert_eq!(EntryId::of(4, &entry), None, "of another group");
        for at in 0..entry.body.len() {
            let mut body = entry.body.to_vec();
            body[at] ^= 1;
            assert_eq!(EntryId::of(3, &LogEntry { body: body.into(), ..entry.clone() }), None);
        }
        assert_eq!(EntryId::of(3, &LogEntry { index: 10, ..entry }), None);
    }
}
