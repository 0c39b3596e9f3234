//! A look at RocksDB's list of files (`MANIFEST`) before RocksDB reads it.
//!
//! ```text
//! blocks of 32 KiB, each of records:  crc u32 │ length u16 │ type u8 │ payload      (little endian)
//! ```
//! A record whose type is that of a recycled log, which no list of files is, makes RocksDB 11.8 read it
//! again and again for ever: one flipped bit, and the start would stand still. Everything else that
//! is wrong in the list RocksDB reports by itself.

use std::path::Path;

use crate::StoreError;

const BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
/// Types of records in recycled logs.
const RECYCLED: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// Refuses a list of files that RocksDB would read for ever.
pub(super) fn check(dir: &Path) -> Result<(), StoreError> {
    // Without a pointer to a list, or without the list, RocksDB knows what to say.
    let Ok(current) = std::fs::read_to_string(dir.join("CURRENT")) else { return Ok(()) };
    let name = current.trim_end();
    let Ok(bytes) = std::fs::read(dir.join(name)) else { return Ok(()) };
    if name.is_empty() || !bytes.chunks(BLOCK_BYTES).any(has_recycled_record) {
        return Ok(());
    }
    Err(StoreError::Failed(format!("Corruption: the list of files `{name}` has a record of an impossible type")))
}

fn has_recycled_record(mut block: &[u8]) -> bool {
    while block.len() >= HEADER_BYTES {
        let end = HEADER_BYTES + usize::from(u16::from_le_bytes([block[4], block[5]]));
        if RECYCLED.contains(&block[6]) {
            return true;
        }
        let Some(record) = block.get(..end).filter(|record| is_intact(record)) else { return false };
        block = &block[record.len()..];
    }
    false
}

/// Whether the checksum fits; RocksDB rotates it and adds a constant.
fn is_intact(record: &[u8]) -> bool {
    let stored = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
    let crc = stored.wrapping_sub(0xa282_ead8).rotate_left(15);
    crc == thalweg_types::crc32c(&record[6..])
}
