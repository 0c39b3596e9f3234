//! Streams and shards, printed.

use serde_json::{Value, json};
use thalweg_client::{Durability, ShardDescription, ShardId, StreamDescription, StreamStatus};

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
    let facts = [
        ("stream", stream.name.to_string()),
        ("status", status(stream.status).to_owned()),
        ("open shards", stream.open_shard_count.to_string()),
        ("replication", stream.replication.to_string()),
        ("retention", human::hours(stream.retention_hours)),
        ("durability", said_durability(stream.durability).to_owned()),
        ("largest record", human::bytes(u64::from(stream.record_bytes_max))),
        ("created", human::instant(stream.created)),
        ("id", stream.id.to_string()),
    ];
    Ok(print_facts(format, &facts, &stream_object(stream))?)
}

fn stream_object(stream: &StreamDescription) -> Value {
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
    })
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
