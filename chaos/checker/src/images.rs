//! Images: the open shards of each tile the hash space, revisions rise for each observer, one
//! revision has one content, and a closed shard stays closed.

use std::collections::HashMap;

use thalweg_types::HashKey;

use crate::anomaly::{Findings, Kind};
use crate::history::{History, Image};

/// Judges all images.
pub(crate) fn check(history: &History, findings: &mut Findings) {
    let mut newest: HashMap<u32, u64> = HashMap::new();
    for image in &history.images {
        let before = newest.insert(image.observer, image.revision).unwrap_or(0);
        if before > image.revision {
            findings.add_of_stream(Kind::Back, || {
                format!("observer {} saw revision {} after {before}", image.observer, image.revision)
            });
        }
    }
    let mut images: Vec<&Image> = history.images.iter().collect();
    images.sort_by_key(|image| image.revision);
    for same in images.chunk_by(|a, b| a.revision == b.revision) {
        if same.iter().any(|image| sorted(image) != sorted(same[0])) {
            let what = || format!("revision {} has two contents", same[0].revision);
            findings.add_of_stream(Kind::Changed, what);
        }
        if let Some(flaw) = flaw(same[0]) {
            findings.add_of_stream(Kind::Tiling, || format!("revision {}: {flaw}", same[0].revision));
        }
    }
    reopened(&images, findings);
}

fn sorted(image: &Image) -> Vec<(thalweg_types::ShardId, thalweg_types::HashRange, bool)> {
    let mut shards: Vec<_> = image.shards.iter().map(|shard| (shard.id, shard.range, shard.open)).collect();
    shards.sort_unstable();
    shards
}

/// Where the open shards leave a hole or overlap.
fn flaw(image: &Image) -> Option<String> {
    let mut open: Vec<_> =
        image.shards.iter().filter(|shard| shard.open).map(|shard| (shard.range, shard.id)).collect();
    open.sort_unstable();
    let mut next = Some(HashKey::MIN);
    for (range, id) in open {
        match next {
            Some(next) if range.start() == next => {}
            Some(next) if range.start() > next => return Some(format!("nobody owns {next} up to {id}")),
            _ => return Some(format!("{id} overlaps its neighbour")),
        }
        next = range.end().0.checked_add(1).map(HashKey);
    }
    next.map(|next| format!("nobody owns {next} and above"))
}

fn reopened(images: &[&Image], findings: &mut Findings) {
    let mut closed = HashMap::new();
    for image in images {
        for shard in &image.shards {
            if !shard.open {
                closed.entry(shard.id).or_insert(image.revision);
            } else if let Some(revision) = closed.get(&shard.id).filter(|revision| **revision < image.revision) {
                findings.add(Kind::Lineage, shard.id, None, || {
                    format!("closed in revision {revision} and open in {}", image.revision)
                });
            }
        }
    }
}
