//! Keys of the record store.
//!
//! ```text
//! column family `log`   group u64 BE │ index u64 BE  →  value.rs
//! column family `meta`  group u64 BE                 →  ../group_meta.rs
//!                       "node"                       →  ../node_meta.rs
//! ```
//! Big-endian, so that byte order is log order and a group is one range.

use thalweg_types::GroupId;

/// Bytes of a log key.
pub(super) const LOG_KEY_BYTES: usize = 16;

/// The key of an entry.
pub(super) fn log_key(group: GroupId, index: u64) -> [u8; LOG_KEY_BYTES] {
    let mut key = [0; LOG_KEY_BYTES];
    key[..8].copy_from_slice(&group.0.to_be_bytes());
    key[8..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The entry of a key, unless the key is none of ours.
pub(super) fn parse_log_key(key: &[u8]) -> Option<(GroupId, u64)> {
    let key: &[u8; LOG_KEY_BYTES] = key.try_into().ok()?;
    let (group, index) = key.split_at(8);
    let word = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("half of sixteen bytes"));
    Some((GroupId(word(group)), word(index)))
}

/// The key of the node's metadata. No group's key is as short.
pub(super) const NODE_KEY: &[u8] = b"node";

/// The key of a group's metadata.
pub(super) fn meta_key(group: GroupId) -> [u8; 8] {
    group.0.to_be_bytes()
}

/// The group of a metadata key, unless the key is none of ours.
pub(super) fn parse_meta_key(key: &[u8]) -> Option<GroupId> {
    Some(GroupId(u64::from_be_bytes(key.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_read_back_and_order_as_group_and_index(a: (u64, u64), b: (u64, u64)) {
            let key = |(group, index)| log_key(GroupId(group), index);
            prop_assert_eq!(parse_log_key(&key(a)), Some((GroupId(a.0), a.1)));
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
            prop_assert_eq!(parse_meta_key(&meta_key(GroupId(a.0))), Some(GroupId(a.0)));
        }
    }
}
