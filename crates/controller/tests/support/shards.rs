//! Plays the shard host: whatever the catalog wants of this node's replicas is so at once.
//!
//! The first running node of a shard's replicas leads it while a majority of them runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_catalog::{ReplicaSpec, desired_replicas};
use thalweg_controller::{Image, ReplicaReport, Reports};
use thalweg_types::{NodeId, SequenceNumber, UnixMillis};
use tokio::sync::watch;

type RunningNodes = watch::Receiver<(u64, BTreeSet<NodeId>)>;

/// Reports replicas as the newest image wants them, until dropped.
pub async fn play(
    me: NodeId,
    mut image: watch::Receiver<Arc<Image>>,
    mut running: RunningNodes,
    reports: watch::Sender<Arc<Reports>>,
) {
    loop {
        let specs = desired_replicas(&image.borrow_and_update().catalog, me);
        let (term, up) = running.borrow_and_update().clone();
        let now: Reports = specs.iter().map(|spec| (spec.group, report(me, spec, term, &up))).collect();
        reports.send_if_modified(|known| {
            let news = **known != now;
            *known = Arc::new(now);
            news
        });
        tokio::select! {
            changed = image.changed() => if changed.is_err() { return },
            changed = running.changed() => if changed.is_err() { return },
        }
    }
}

fn report(me: NodeId, spec: &ReplicaSpec, term: u64, up: &BTreeSet<NodeId>) -> ReplicaReport {
    let alive: Vec<NodeId> = spec.replicas.iter().copied().filter(|node| up.contains(node)).collect();
    let leader = alive.first().copied().filter(|_| alive.len() * 2 > spec.replicas.len());
    if leader != Some(me) {
        return ReplicaReport { leader, term, ..ReplicaReport::default() };
    }
    let last = SequenceNumber::new(spec.created_at, spec.shard, 42, 0, UnixMillis(spec.created_at.0 + 1));
    ReplicaReport {
        leader,
        term,
        voters: spec.replicas.iter().copied().collect(),
        learners: BTreeSet::new(),
        placed: Some(spec.placement),
        ready: true,
        sealed_at: (spec.seal || spec.closed).then_some(last),
        expired: false,
        write: None,
    }
}
