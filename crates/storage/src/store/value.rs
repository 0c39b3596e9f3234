//! The value of an entry in the record store.
//!
//! ```text
//! crc32c u32 │ term u64 │ head length u32 │ head │ body          (little endian)
//! ```
//! The checksum covers everything behind it and, mixed in, the key: a value that was changed or
//! sits under another key does not decode.

use bytes::{Buf, BufMut, Bytes};
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{GroupId, crc32c};

use super::keys::log_key;
use crate::LogEntry;

/// Bytes in front of the head.
const HEADER_BYTES: usize = 16;

/// Encodes an entry into `value`, which is emptied first.
pub(super) fn encode(group: GroupId, entry: &LogEntry, value: &mut Vec<u8>) {
    value.clear();
    value.reserve(HEADER_BYTES + entry.byte_count());
    value.put_u32_le(0);
    value.put_u64_le(entry.term);
    value.put_u32_le(entry.head.len() as u32);
    value.put_slice(&entry.head);
    value.put_slice(&entry.body);
    let checksum = checksum(group, entry.index, &value[4..]);
    value[..4].copy_from_slice(&checksum.to_le_bytes());
}

/// Decodes and verifies an entry; nothing if it is damaged. Its head and body share `value`.
pub(super) fn decode(group: GroupId, index: u64, value: Bytes) -> Option<LogEntry> {
    let mut header = value.get(..HEADER_BYTES)?;
    let expected = header.get_u32_le();
    let term = header.get_u64_le();
    let head_len = header.get_u32_le() as usize;
    let intact = checksum(group, index, &value[4..]) == expected || planted(Planted::StoreChecksumIgnored);
    if !intact || value.len() - HEADER_BYTES < head_len {
        return None;
    }
    let body_at = HEADER_BYTES + head_len;
    Some(LogEntry { index, term, head: value.slice(HEADER_BYTES..body_at), body: value.slice(body_at..) })
}

fn checksum(group: GroupId, index: u64, bytes: &[u8]) -> u32 {
    crc32c(bytes) ^ crc32c(&log_key(group, index))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_read_back_and_no_changed_byte_or_key_passes(
            group: u64, index: u64, term: u64, head: Vec<u8>, body: Vec<u8>, at: prop::sample::Index, bit in 0u8..8,
        ) {
            let entry = LogEntry { index, term, head: head.into(), body: body.into() };
            let mut value = Vec::new();
            encode(GroupId(group), &entry, &mut value);
            prop_assert_eq!(decode(GroupId(group), index, value.clone().into()), Some(entry));
            prop_assert_eq!(decode(GroupId(group), index ^ 1, value.clone().into()), None);
            let at = at.index(value.len());
            value[at] ^= 1 << bit;
            prop_assert_eq!(decode(GroupId(group), index, value.into()), None);
        }
    }
}
