//! Every figure of a node as Prometheus metrics, read when asked for.

mod front;

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use thalweg_controller::{Image, Membership};
use thalweg_gateway::Gateway;
use thalweg_raft::Groups;
use thalweg_shard::ShardHost;
use thalweg_storage::{Health, NodeLog};
use thalweg_types::NodeId;
use tokio::sync::watch;

use front::FrontMetrics;

/// What the figures are read from.
pub(crate) struct Sources {
    pub(crate) node: NodeId,
    pub(crate) log: NodeLog,
    pub(crate) groups: Groups,
    pub(crate) host: ShardHost,
    pub(crate) image: watch::Receiver<Arc<Image>>,
    pub(crate) membership: watch::Receiver<Membership>,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "metrics of node {}", self.node)
    }
}

/// A registry that reads `sources` at every scrape.
pub(crate) fn registry(sources: Sources, front: Gateway) -> Registry {
    let mut registry = Registry::with_prefix("thalweg");
    registry.register_collector(Box::new(sources));
    registry.sub_registry_with_prefix("kinesis").register_collector(Box::new(FrontMetrics(front)));
    registry
}

/// The first bucket of sync durations that is told by itself: below 64 microseconds.
const FIRST_SYNC_BUCKET: usize = 6;

type Encoded = Result<(), std::fmt::Error>;

fn counter(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> Encoded {
    let metric = ConstCounter::new(value);
    metric.encode(to.encode_descriptor(name, help, unit, metric.metric_type())?)
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: i64) -> Encoded {
    let metric = ConstGauge::new(value);
    metric.encode(to.encode_descriptor(name, help, unit, metric.metric_type())?)
}

impl Collector for Sources {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Encoded {
        self.encode_storage(&mut to)?;
        self.encode_shards(&mut to)?;
        self.encode_cluster(&mut to)
    }
}

impl Sources {
    fn encode_storage(&self, to: &mut DescriptorEncoder<'_>) -> Encoded {
        let (stats, bytes) = (self.log.stats(), Some(&Unit::Bytes));
        counter(to, "wal_appended", "Payload written to the write-ahead log", bytes, stats.appended_bytes)?;
        counter(to, "wal_blocks", "Group commits written", None, stats.blocks)?;
        counter(to, "wal_syncs", "Syncs of the write-ahead log", None, stats.syncs)?;
        counter(to, "store_moved", "Payload moved to the record store", bytes, stats.moved_bytes)?;
        counter(to, "store_moves", "Rounds of the mover", None, stats.moves)?;
        counter(to, "corrupt_entries", "Entries found corrupt", None, stats.corrupt_entries)?;
        let gauges = [
            ("wal_queued", "Payload waiting for the writer", stats.queued_bytes),
            ("wal_hot_tail", "Payload not yet in the record store", stats.hot_tail_bytes),
            ("wal", "Write-ahead log on disk", stats.wal_bytes),
            ("cache", "Recent entries in memory", stats.cache_bytes),
            ("store", "Record store on disk", stats.store_bytes),
        ];
        for (name, help, value) in gauges {
            gauge(to, name, help, bytes, value as i64)?;
        }
        let takes_writes = i64::from(*self.log.health().borrow() == Health::Ok);
        gauge(to, "disk_takes_writes", "1 while the log takes writes, 0 when full or failed", None, takes_writes)?;
        self.encode_sync_latency(to, &stats.sync_micros)
    }

    fn encode_sync_latency(&self, to: &mut DescriptorEncoder<'_>, buckets: &[u64]) -> Encoded {
        // Bucket i counts syncs below 2^i microseconds: for the sum they are told as its upper half's middle.
        let seconds = |i: usize| (1u64 << i) as f64 / 1e6;
        let (fast, slow) = buckets.split_at(FIRST_SYNC_BUCKET + 1);
        let slow = slow.iter().zip(FIRST_SYNC_BUCKET + 1..).map(|(count, i)| (seconds(i), *count));
        let first = (seconds(FIRST_SYNC_BUCKET), fast.iter().sum());
        let bounds: Vec<(f64, u64)> = std::iter::once(first).chain(slow).chain([(f64::INFINITY, 0)]).collect();
        let sum = buckets.iter().enumerate().map(|(i, count)| 0.75 * seconds(i) * *count as f64).sum();
        let help = "Duration of syncs of the write-ahead log";
        let mut metric = to.encode_descriptor("wal_sync", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum, buckets.iter().sum(), &bounds, None)
    }

    fn encode_shards(&self, to: &mut DescriptorEncoder<'_>) -> Encoded {
        let (shards, bytes) = (self.host.metrics(), Some(&Unit::Bytes));
        counter(to, "appends", "Batches acknowledged", None, shards.appends.get())?;
        counter(to, "append_duplicates", "Batches acknowledged as retries", None, shards.duplicates.get())?;
        counter(to, "append_records", "Records acknowledged", None, shards.append_records.get())?;
        counter(to, "append", "Batches acknowledged", bytes, shards.append_bytes.get())?;
        counter(to, "read_pages", "Pages served", None, shards.read_pages.get())?;
        counter(to, "read", "Batches served", bytes, shards.read_bytes.get())?;
        gauge(to, "tail_readers", "Tail calls open now", None, shards.tail_readers())?;
        gauge(to, "subscriptions", "Named tail calls open now", None, shards.subscriptions())?;
        let errors = Family::<Vec<(String, String)>, prometheus_client::metrics::counter::Counter>::default();
        for (reason, count) in shards.errors() {
            errors.get_or_create(&vec![("reason".to_owned(), reason.to_string())]).inc_by(count);
        }
        errors.encode(to.encode_descriptor("errors", "Calls answered with an error", None, errors.metric_type())?)
    }

    fn encode_cluster(&self, to: &mut DescriptorEncoder<'_>) -> Encoded {
        let observed = self.host.observe().borrow().clone();
        let count = |which: fn(&thalweg_shard::ReplicaObservation) -> bool| {
            observed.values().filter(|replica| which(replica)).count() as i64
        };
        gauge(to, "replicas", "Shard replicas on this node", None, observed.len() as i64)?;
        gauge(to, "replicas_leading", "Shard replicas that lead", None, count(|replica| replica.leading))?;
        gauge(to, "replicas_leaderless", "Shard replicas that know no leader", None, count(|r| r.leader.is_none()))?;
        let behind = observed.keys().filter_map(|group| self.groups.get(*group)?.entries_behind()).max();
        let help = "Committed entries that the replica furthest behind has yet to apply";
        gauge(to, "replica_entries_behind", help, None, behind.unwrap_or(0) as i64)?;
        gauge(to, "groups_awake", "Raft groups whose timers run", None, self.groups.awake_count() as i64)?;
        gauge(to, "peers_up", "Other nodes that answer", None, self.groups.peers_up().borrow().len() as i64)?;
        let repairs = self.groups.repair_counts();
        counter(to, "repairs", "Damaged entries replaced by another node's copy", None, repairs.repaired)?;
        let help = "Times that no node had an intact copy of a damaged entry";
        counter(to, "repairs_failed", help, None, repairs.failed)?;
        let help = "Raft groups closed or fenced here until another node gives a damaged entry back";
        gauge(to, "groups_damaged", help, None, repairs.waiting as i64)?;
        let joined = i64::from(*self.membership.borrow() == Membership::Joined);
        gauge(to, "joined", "1 once this node belongs to its cluster", None, joined)?;
        gauge(
            to,
            "catalog_revision",
            "Revision of the catalog here",
            None,
            self.image.borrow().catalog.revision() as i64,
        )
    }
}
