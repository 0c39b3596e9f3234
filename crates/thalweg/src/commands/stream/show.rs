//! Streams and shards, printed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thalweg_client::{
    Distribution, Durability, FanOutConsumer, ShardDescription, ShardId, StreamDescription, StreamMode, StreamSettings,
    StreamStatus,
};

use super::set::said_limits;

use crate::cli::Format;
use crate::human;
use crate::output::{Listing, print_facts};

/// Prints a list of streams.
pub(super) fn streams(streams: &[StreamDescription], format: Format) -> anyhow::Result<()> {
    let mut listing =
        Listing::new(&["STREAM", "STATUS", "SHARDS", "REPLICATION", "RETENTION", "DURABILITY", "CREATED"]);
    for stream in streams {
        let cells = vec![
            stream.name.to_string(),
            status(stream.status).to_owned(),
            stream.open_shard_count.to_string(),
            stream.replication.to_string(),
            human::hours(stream.retention_hours),
            durability(stream.durability).to_owned(),
            human::instant(stream.created),
        ];
        listing.push(cells, stream_object(stream));
    }
    Ok(listing.print(format)?)
}

/// Prints one stream.
pub(super) fn stream(stream: &StreamDescription, format: Format) -> anyhow::Result<()> {
    let mut facts = vec![
        ("stream", stream.name.to_string()),
        ("status", status(stream.status).to_owned()),
        ("open shards", stream.open_shard_count.to_string()),
        ("replication", stream.replication.to_string()),
        ("retention", human::hours(stream.retention_hours)),
        ("durability", said_durability(stream.durability).to_owned()),
        ("largest record", human::bytes(u64::from(stream.record_bytes_max))),
        ("created", human::instant(stream.created)),
        ("id", stream.id.to_string()),
        ("mode", mode(stream.settings.mode).to_owned()),
        ("limits", said_limits(&stream.settings.limits)),
        ("consumers", stream.consumer_count.to_string()),
    ];
    facts.extend(rare_facts(&stream.settings));
    Ok(print_facts(format, &facts, &stream_object(stream))?)
}

/// What most streams have none of.
fn rare_facts(settings: &StreamSettings) -> Vec<(&'static str, String)> {
    let metrics: Vec<_> = settings.monitoring.iter().map(|metric| metric.as_str()).collect();
    let facts = [
        ("tags", (!settings.tags.is_empty()).then(|| tags(&settings.tags))),
        ("distribution", (settings.distribution == Distribution::Auto).then(|| "auto".to_owned())),
        ("warm throughput", settings.warm_mibps.map(|mibps| format!("{mibps} MiB/s"))),
        ("shard metrics", (!metrics.is_empty()).then(|| metrics.join(", "))),
        ("encryption key", settings.encryption_key.clone()),
        ("policy", settings.policy.clone()),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn tags(tags: &BTreeMap<String, String>) -> String {
    tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

fn stream_object(stream: &StreamDescription) -> Value {
    let settings = &stream.settings;
    json!({
        "stream": stream.name.as_str(),
        "id": stream.id.0,
        "status": status(stream.status),
        "open_shards": stream.open_shard_count,
        "replication": stream.replication,
        "retention_hours": stream.retention_hours,
        "durability": durability(stream.durability),
        "record_bytes_max": stream.record_bytes_max,
        "created": human::instant(stream.created),
        "mode": mode(settings.mode),
        "limits": said_limits(&settings.limits),
        "consumers": stream.consumer_count,
        "tags": settings.tags,
        "distribution": match settings.distribution {
            Distribution::UserPartitionKey => "user-partition-key",
            Distribution::Auto => "auto",
        },
        "warm_mibps": settings.warm_mibps,
        "shard_metrics": settings.monitoring.iter().map(|metric| metric.as_str()).collect::<Vec<_>>(),
        "encryption_key": settings.encryption_key,
        "policy": settings.policy,
    })
}

/// Prints fan-out consumers.
pub(super) fn consumers(consumers: &[FanOutConsumer], format: Format) -> anyhow::Result<()> {
    let mut listing = Listing::new(&["CONSUMER", "REGISTERED", "TAGS"]);
    for consumer in consumers {
        let registered = human::instant(consumer.created_at);
        let object = json!({
            "consumer": consumer.name,
            "registered": registered,
            "tags": consumer.tags,
            "policy": consumer.policy,
        });
        listing.push(vec![consumer.name.clone(), registered, tags(&consumer.tags)], object);
    }
    Ok(listing.print(format)?)
}

/// Prints shards with their place in the family.
pub(super) fn shards(shards: &[ShardDescription], format: Format) -> anyhow::Result<()> {
    let mut listing =
        Listing::new(&["SHARD", "STATE", "PARENTS", "LEADER", "REPLICAS", "FIRST HASH KEY", "LAST HASH KEY"]);
    for shard in shards {
        let parents: Vec<_> = shard.parents().map(short).collect();
        let replicas: Vec<_> = shard.replicas.iter().map(ToString::to_string).collect();
        let cells = vec![
            shard.id.to_string(),
            if shard.is_open() { "open" } else { "closed" }.to_owned(),
            parents.join("+"),
            shard.leader.map(|node| node.to_string()).unwrap_or_default(),
            replicas.join(","),
            shard.range.start().to_string(),
            shard.range.end().to_string(),
        ];
        listing.push(cells, shard_object(shard));
    }
    Ok(listing.print(format)?)
}

/// The number of a shard without the zeros.
fn short(shard: ShardId) -> String {
    shard.0.to_string()
}

fn shard_object(shard: &ShardDescription) -> Value {
    json!({
        "shard": shard.id.to_string(),
        "open": shard.is_open(),
        "parent": shard.parent.map(|id| id.to_string()),
        "adjacent_parent": shard.adjacent_parent.map(|id| id.to_string()),
        "starting_hash_key": shard.range.start().to_string(),
        "ending_hash_key": shard.range.end().to_string(),
        "starting_sequence_number": shard.starting.to_string(),
        "ending_sequence_number": shard.ending.map(|number| number.to_string()),
        "created": human::instant(shard.created),
        "closed": shard.closed.map(human::instant),
        "leader": shard.leader.map(|node| node.0),
        "replicas": shard.replicas.iter().map(|node| node.0).collect::<Vec<_>>(),
    })
}

fn mode(mode: StreamMode) -> &'static str {
    match mode {
        StreamMode::Provisioned => "provisioned",
        StreamMode::OnDemand => "on-demand",
    }
}

fn status(status: StreamStatus) -> &'static str {
    match status {
        StreamStatus::Unspecified => "unknown",
        StreamStatus::Creating => "creating",
        StreamStatus::Active => "active",
        StreamStatus::Updating => "updating",
        StreamStatus::Deleting => "deleting",
    }
}

fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Unspecified => "unknown",
        Durability::Fsync => "fsync",
        Durability::Os => "os",
    }
}

fn said_durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Unspecified => "unknown",
        Durability::Fsync => "fsync: acknowledged is on stable storage of a majority",
        Durability::Os => "os: acknowledged is in the page cache of a majority",
    }
}
