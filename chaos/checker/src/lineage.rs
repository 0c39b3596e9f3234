//! Parents and children: a shard's range never changes, children share out exactly what their
//! parents had, and begin where the parents end.

use std::collections::{BTreeMap, HashMap, HashSet};

use thalweg_types::{HashRange, ShardId};

use crate::anomaly::{Findings, Kind};
use crate::history::{History, Position, Reshard};
use crate::log::{Logs, NEVER, NONE, ShardLog};

/// The family of all shards.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    parents: BTreeMap<ShardId, Vec<ShardId>>,
    ranges: HashMap<ShardId, HashRange>,
    /// Shards of which two ranges were told.
    ambiguous: Vec<(ShardId, HashRange, HashRange)>,
}

impl Lineage {
    pub(crate) fn of(history: &History) -> Lineage {
        let mut lineage = Lineage::default();
        for shard in history.images.iter().flat_map(|image| &image.shards) {
            lineage.learn(shard.id, shard.range);
        }
        for reshard in &history.reshards {
            for (child, range) in &reshard.children {
                lineage.learn(*child, *range);
                let parents = lineage.parents.entry(*child).or_default();
                parents.extend(reshard.parents.iter().map(|parent| parent.id));
                parents.sort_unstable();
                parents.dedup();
            }
        }
        lineage
    }

    fn learn(&mut self, shard: ShardId, range: HashRange) {
        let known = *self.ranges.entry(shard).or_insert(range);
        if known != range && !self.ambiguous.iter().any(|(told, ..)| *told == shard) {
            self.ambiguous.push((shard, known, range));
        }
    }

    pub(crate) fn parents(&self, shard: ShardId) -> &[ShardId] {
        self.parents.get(&shard).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn range(&self, shard: ShardId) -> Option<HashRange> {
        self.ranges.get(&shard).copied()
    }

    /// Whether `ancestor` is a parent of `shard`, or a parent's parent, and so on.
    pub(crate) fn descends(&self, shard: ShardId, ancestor: ShardId) -> bool {
        let mut met = HashSet::new();
        let mut next = self.parents(shard).to_vec();
        while let Some(shard) = next.pop() {
            if shard == ancestor {
                return true;
            }
            if met.insert(shard) {
                next.extend(self.parents(shard));
            }
        }
        false
    }
}

/// Judges the family, and the records in it.
pub(crate) fn check(history: &History, logs: &Logs, lineage: &Lineage, findings: &mut Findings) {
    for (shard, one, other) in &lineage.ambiguous {
        findings.add(Kind::Lineage, *shard, None, || format!("had the range {one:?} and then {other:?}"));
    }
    for shard in lineage.parents.keys().filter(|shard| lineage.descends(**shard, **shard)) {
        findings.add(Kind::Lineage, *shard, None, || "is its own ancestor".to_owned());
    }
    twice(history, findings);
    for reshard in &history.reshards {
        shares(reshard, lineage, findings);
        parents_end(history, logs, reshard, findings);
    }
}

/// A shard is closed once and opened once.
fn twice(history: &History, findings: &mut Findings) {
    let (mut closed, mut opened) = (HashSet::new(), HashSet::new());
    for reshard in &history.reshards {
        for parent in reshard.parents.iter().filter(|parent| !closed.insert(parent.id)) {
            findings.add(Kind::Lineage, parent.id, None, || "was closed by two reshards".to_owned());
        }
        for (child, _) in reshard.children.iter().filter(|(child, _)| !opened.insert(*child)) {
            findings.add(Kind::Lineage, *child, None, || "was opened by two reshards".to_owned());
        }
    }
}

/// The children's ranges are disjoint and together what the parents' were.
fn shares(reshard: &Reshard, lineage: &Lineage, findings: &mut Findings) {
    let parents: Option<Vec<HashRange>> = reshard.parents.iter().map(|parent| lineage.range(parent.id)).collect();
    let Some(parents) = parents else { return };
    let children = reshard.children.iter().map(|(_, range)| *range).collect();
    if union(parents).is_none_or(|parents| union(children) != Some(parents)) {
        findings.add_of_stream(Kind::Lineage, || {
            format!("the reshard called at {} does not share out exactly the parents' ranges", reshard.call)
        });
    }
}

/// The runs of keys that some ranges cover; nothing when two of them overlap.
fn union(mut ranges: Vec<HashRange>) -> Option<Vec<HashRange>> {
    ranges.sort_unstable();
    let mut runs: Vec<HashRange> = Vec::new();
    for range in ranges {
        match runs.last_mut() {
            Some(last) if last.overlaps(&range) => return None,
            Some(last) if last.touches(&range) => *last = last.merged_with(&range)?,
            _ => runs.push(range),
        }
    }
    Some(runs)
}

/// Nothing is in a parent beyond its end, or from after the reshard, or above its children.
fn parents_end(history: &History, logs: &Logs, reshard: &Reshard, findings: &mut Findings) {
    let logs_of_children: Vec<&ShardLog> =
        reshard.children.iter().filter_map(|(child, _)| logs.of_shard(*child)).collect();
    let sound =
        |log: &ShardLog| log.entries.iter().copied().filter(|entry| !entry.changed && !entry.moved).collect::<Vec<_>>();
    let mut first = u128::MAX;
    let mut closed = reshard.done;
    for entry in logs_of_children.iter().flat_map(|log| sound(log)) {
        first = first.min(entry.position);
        closed = closed.min(entry.known());
    }
    for parent in &reshard.parents {
        let Some(log) = logs.of_shard(parent.id) else { continue };
        let last = parent.last.map_or(u128::MAX, |last| last.0);
        if parent.last.is_some() && first <= last {
            findings.add(Kind::Lineage, parent.id, Some(Position(last)), || {
                format!("a child begins at {first}, not above this end")
            });
            continue;
        }
        for entry in sound(log) {
            let call = if entry.write == NONE { 0 } else { history.writes[entry.write as usize].call };
            let why = match () {
                () if entry.position > last => format!("lies above the shard's last position {last}"),
                () if call > closed && entry.known() != NEVER => {
                    format!("was sent at {call}, after its children were open at {closed}")
                }
                () if entry.position >= first => format!("lies above its child's first position {first}"),
                () => continue,
            };
            findings.add(Kind::Lineage, log.id, entry.at(), || why);
        }
    }
}
