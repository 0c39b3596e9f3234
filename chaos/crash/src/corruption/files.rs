//! The kinds of files in a data directory, and the places in them that matter.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::settings::{STORE, WAL};

/// Alignment of blocks in a segment of the write-ahead log.
pub const PAGE_BYTES: u64 = 4096;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FileKind {
    /// A segment of the write-ahead log that is in use.
    Segment,
    /// A segment file kept for reuse.
    Spare,
    /// The fence of the write-ahead log.
    Fence,
    /// A sorted table of the record store.
    Table,
    /// A blob file of the record store.
    Blob,
    /// The record store's list of files.
    Manifest,
    /// The record store's pointer to that list.
    Current,
    /// The record store's settings.
    Settings,
    /// The record store's own identity.
    StoreIdentity,
    /// The whole write-ahead log.
    WalDir,
    /// The whole record store.
    StoreDir,
}

impl FileKind {
    /// All of them.
    pub const ALL: [FileKind; 11] = [
        FileKind::Segment,
        FileKind::Spare,
        FileKind::Fence,
        FileKind::Table,
        FileKind::Blob,
        FileKind::Manifest,
        FileKind::Current,
        FileKind::Settings,
        FileKind::StoreIdentity,
        FileKind::WalDir,
        FileKind::StoreDir,
    ];

    /// Whether it is a directory.
    pub fn is_dir(self) -> bool {
        matches!(self, FileKind::WalDir | FileKind::StoreDir)
    }

    fn of(path: &Path) -> Option<FileKind> {
        let name = path.file_name()?.to_str()?;
        let starts = |prefix: &str| name.starts_with(prefix);
        if path.starts_with(WAL) {
            return match name {
                "fence" => Some(FileKind::Fence),
                _ if starts("wal-") => Some(FileKind::Segment),
                _ if starts("spare-") => Some(FileKind::Spare),
                _ => None,
            };
        }
        match name {
            "CURRENT" => Some(FileKind::Current),
            "IDENTITY" => Some(FileKind::StoreIdentity),
            _ if starts("MANIFEST-") => Some(FileKind::Manifest),
            _ if starts("OPTIONS-") => Some(FileKind::Settings),
            _ if name.ends_with(".sst") => Some(FileKind::Table),
            _ if name.ends_with(".blob") => Some(FileKind::Blob),
            _ => None,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FileKind::Segment => "wal segment",
            FileKind::Spare => "wal spare file",
            FileKind::Fence => "wal fence",
            FileKind::Table => "store SST",
            FileKind::Blob => "store blob",
            FileKind::Manifest => "store MANIFEST",
            FileKind::Current => "store CURRENT",
            FileKind::Settings => "store OPTIONS",
            FileKind::StoreIdentity => "store IDENTITY",
            FileKind::WalDir => "whole wal",
            FileKind::StoreDir => "whole store",
        })
    }
}

/// The files of a data directory by kind, each kind sorted, as paths below it.
pub fn list(data: &Path) -> std::io::Result<Vec<(FileKind, PathBuf)>> {
    let mut files = vec![(FileKind::WalDir, PathBuf::from(WAL)), (FileKind::StoreDir, PathBuf::from(STORE))];
    for dir in [WAL, STORE] {
        for entry in std::fs::read_dir(data.join(dir))? {
            let path = Path::new(dir).join(entry?.file_name());
            files.extend(FileKind::of(&path).map(|kind| (kind, path)));
        }
    }
    files.sort();
    Ok(files)
}

/// Where in a file to do damage: a name for the place and an offset.
pub fn places(kind: FileKind, data: &Path, path: &Path) -> std::io::Result<Vec<(&'static str, u64)>> {
    let bytes = std::fs::read(data.join(path))?;
    let len = bytes.len() as u64;
    if len == 0 {
        return Ok(Vec::new());
    }
    Ok(match kind {
        FileKind::Segment => segment_places(&bytes, path),
        FileKind::Fence => vec![("first slot", 40), ("second slot", PAGE_BYTES + 40), ("padding", 2000)],
        FileKind::Spare => vec![("start", 8), ("middle", len / 2)],
        _ => vec![
            ("start", len / 97),
            ("early", len / 5),
            ("middle", len / 2),
            ("late", len * 4 / 5),
            ("end", len.saturating_sub(30)),
        ],
    })
}

/// Header, and the first, a middle and the last block: their headers, frames, payloads.
fn segment_places(bytes: &[u8], path: &Path) -> Vec<(&'static str, u64)> {
    let blocks = blocks(bytes, path);
    let mut places = vec![("header", 20), ("header padding", 300)];
    if let (Some(first), Some(last)) = (blocks.first(), blocks.last()) {
        let middle = &blocks[blocks.len() / 2];
        let names: [(&'static str, &'static str, &'static str, &(u64, u64)); 3] = [
            ("first block's header", "first block's frame", "first block's payload", first),
            ("middle block's header", "middle block's frame", "middle block's payload", middle),
            ("last block's header", "last block's frame", "last block's payload", last),
        ];
        for (header, frame, payload, (offset, len)) in names {
            places.extend([(header, offset + 30), (frame, offset + 64 + 20), (payload, offset + 64 + (len - 64) / 2)]);
        }
        let end = last.0 + last.1.div_ceil(PAGE_BYTES) * PAGE_BYTES;
        places.extend((end < bytes.len() as u64).then_some(("behind the end", end + 10)));
    }
    places
}

/// Offset and length of every block of the segment that `path` names.
pub fn blocks(bytes: &[u8], path: &Path) -> Vec<(u64, u64)> {
    let digits = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.strip_prefix("wal-"));
    let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(u64::MAX);
    let block = |(at, page): (usize, &[u8])| {
        let ours = page.len() >= 64 && page[..4] == *b"TWLB" && page[16..24] == number.to_le_bytes();
        let len = |page: &[u8]| u32::from_le_bytes(page[40..44].try_into().expect("four bytes"));
        ours.then(|| (at as u64 * PAGE_BYTES, u64::from(len(page))))
    };
    bytes.chunks(PAGE_BYTES as usize).enumerate().filter_map(block).collect()
}
