//! What this node sees of its replicas, published as one value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thalweg_types::{GroupId, NodeId, SequenceNumber};
use tokio::time::{Instant, MissedTickBehavior};

use super::Host;
use crate::replica::Replica;
use crate::retention;
use crate::traffic::WriteRate;

/// What is known of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaObservation {
    /// The leader it knows.
    pub leader: Option<NodeId>,
    /// Its Raft term.
    pub term: u64,
    /// Whether it leads.
    pub leading: bool,
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
    /// Who only receives.
    pub learners: BTreeSet<NodeId>,
    /// The placement that it brought about and that they came by, if it leads and has seen to it.
    pub placed: Option<u64>,
    /// Whether it leads and can take records as soon as the catalog says so.
    pub ready: bool,
    /// The last sequence number, once the shard is sealed; its starting one if it is empty.
    pub sealed_at: Option<SequenceNumber>,
    /// Whether it is sealed and everything in it is past retention.
    pub expired: bool,
    /// What is written in a second, if it leads and has measured it.
    pub write: Option<WriteRate>,
}

/// Observations of all replicas by group.
pub type Observations = Arc<BTreeMap<GroupId, ReplicaObservation>>;

/// Changes that come this close together are published as one.
const COALESCE: Duration = Duration::from_millis(1);

impl Host {
    pub(super) fn observe(&self, replica: &Replica) {
        let status = replica.status();
        let spec = replica.spec();
        let (sealed, last) = replica.state().with(|state| (state.sealed(), state.last()));
        let now = self.steady_clock.now();
        let observation = ReplicaObservation {
            ready: status.leading && !status.fenced,
            placed: replica.placed().filter(|placed| status.leading && placed.term == status.term).map(|p| p.placement),
            leader: status.leader,
            term: status.term,
            leading: status.leading,
            voters: status.voters,
            learners: status.learners,
            sealed_at: sealed.map(|_| spec.ending(last)),
            expired: now.is_ok_and(|now| retention::is_expired(replica, now)),
            write: replica.write_rate(),
        };
        let mut observed = self.observed.lock();
        if !replica.is_gone() && observed.get(&spec.group) != Some(&observation) {
            observed.insert(spec.group, observation);
            self.observed_changed.notify_one();
        }
    }
}

/// Measures the traffic of all shards that are led here; those whose rate has changed are observed
/// anew. One timer a node, and an idle shard costs two loads of a counter.
pub(super) async fn measure(host: Arc<Host>) {
    let mut ticks = tokio::time::interval(host.node.options.rate_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = ticks.tick().await;
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let took = now - std::mem::replace(&mut before, now);
        let changed = host.replicas().into_iter().filter(|replica| replica.measure(took));
        changed.for_each(|replica| host.observe(&replica));
    }
}

/// Publishes what wardens saw. Copying a thousand observations for each would be waste.
pub(super) async fn publish(host: Arc<Host>) {
    loop {
        host.observed_changed.notified().await;
        tokio::time::sleep(COALESCE).await;
        let observed = Arc::new(host.observed.lock().clone());
        host.observations.send_replace(observed);
    }
}
