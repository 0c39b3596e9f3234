//! What the Kinesis front saw of each shard and each fan-out consumer, as labelled metrics.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use thalweg_gateway::{FollowerState, Gateway, ShardCounts, ShardKey};

use super::Encoded;

/// Reads the front's counts at every scrape.
#[derive(Clone)]
pub(super) struct FrontMetrics(pub(super) Gateway);

impl std::fmt::Debug for FrontMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("metrics of the Kinesis front")
    }
}

/// A metric of shards: its name, what it means, and where its value is.
type ShardCounter = (&'static str, &'static str, fn(&ShardCounts) -> u64);

/// Named as CloudWatch names them, in snake case.
const SHARD_COUNTERS: [ShardCounter; 6] = [
    ("incoming_bytes", "Bytes written through this node", |counts| counts.incoming_bytes),
    ("incoming_records", "Records written through this node", |counts| counts.incoming_records),
    ("outgoing_bytes", "Bytes read through this node", |counts| counts.outgoing_bytes),
    ("outgoing_records", "Records read through this node", |counts| counts.outgoing_records),
    ("write_provisioned_throughput_exceeded", "Records refused by the shard's limits", |counts| counts.write_throttled),
    ("read_provisioned_throughput_exceeded", "Reads refused by the shard's limits", |counts| counts.read_throttled),
];

type FollowerGauge = (&'static str, &'static str, fn(&FollowerState) -> u64);

const FOLLOWER_GAUGES: [FollowerGauge; 2] = [
    ("consumer_lag_milliseconds", "How far a consumer is behind the newest record", |state| state.lag_ms),
    ("consumer_expires_in_milliseconds", "Until what it has not read expires", |state| state.expires_in_ms),
];

fn labels((stream, shard): &ShardKey) -> [(&'static str, String); 2] {
    [("stream", stream.to_string()), ("shard", shard.to_string())]
}

impl Collector for FrontMetrics {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Encoded {
        let metrics = self.0.metrics();
        let shards = metrics.shards();
        for (name, help, value) in SHARD_COUNTERS {
            let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (key, counts) in &shards {
                ConstCounter::new(value(counts)).encode(family.encode_family(&labels(key))?)?;
            }
        }
        let help = "How far behind the newest record the last GetRecords was";
        let mut family = to.encode_descriptor("iterator_age_milliseconds", help, None, MetricType::Gauge)?;
        for (key, counts) in &shards {
            ConstGauge::new(counts.iterator_age_ms as i64).encode(family.encode_family(&labels(key))?)?;
        }
        let followers = metrics.followers();
        for (name, help, value) in FOLLOWER_GAUGES {
            let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for ((key, consumer), state) in &followers {
                let [stream, shard] = labels(key);
                let labels = [stream, shard, ("consumer", consumer.clone())];
                ConstGauge::new(value(state) as i64).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
