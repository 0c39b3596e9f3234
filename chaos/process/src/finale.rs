//! The end of a run: everything healed, every shard alive, every replica read to its end.
//!
//! ```text
//!   heal ─► nodes ready ─► each open shard takes a record and gives it back ─► writers finish
//!        ─► every replica of every shard is read to its end, from the node that has it
//! ```
//! Holds: what is not alive, or not equal, within its time is a violation, not a reason to wait.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use thalweg_checker::{Hash, Outcome, Place, Position, Producer, Read, Seen, Start, Write};
use thalweg_client::{
    Client, ListShards, NodeId, Position as At, ReadOptions, Record, ShardDescription, ShardId, StreamName,
};
use thalweg_proto::convert::to_shard_ref;
use thalweg_proto::v1::record_service_client::RecordServiceClient;
use thalweg_proto::v1::{ReadRequest, ReadResponse, position};
use thalweg_types::{RecordBatch, SequenceNumber, StreamId, UnixMillis};
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::node::public_address;
use crate::record::Recorder;

/// Within this every replica has what its leader has.
const EQUALITY: Duration = Duration::from_secs(90);
/// Between two looks at a replica that is behind.
const PAUSE: Duration = Duration::from_millis(200);
/// Readers of the end are numbered from here, by node.
const FINAL_READERS: u32 = 4_000_000_000;
/// Who writes the probes.
const PROBING_CLIENT: u32 = 1_000_000;
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// For one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes to and reads from every open shard; how long it took until the last one did both.
pub(crate) async fn liveness(
    client: &Client,
    stream: &StreamName,
    recorder: &Recorder,
    within: Duration,
) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let alive = async {
        let shards = list(client, stream).await?;
        let open = shards.iter().filter(|shard| shard.is_open());
        futures::future::join_all(open.map(|shard| probe(client, stream, shard, recorder))).await;
        anyhow::Ok(())
    };
    match tokio::time::timeout(within, alive).await {
        Ok(Ok(())) => Ok(begun.elapsed()),
        Ok(Err(error)) => Err(error.context("a shard is not alive")),
        Err(_) => bail!("not every shard took and gave back a record within {within:?}"),
    }
}

/// Writes into a shard until it works, and reads back what it wrote.
async fn probe(client: &Client, stream: &StreamName, shard: &ShardDescription, recorder: &Recorder) {
    for serial in 0.. {
        let mut record = Record::new(format!("probe-{}", shard.id), format!("alive? {serial} at {}", recorder.now()));
        record.explicit_hash_key = Some(shard.range.start());
        let call = recorder.now();
        let appended = client.append(stream, vec![record.clone()]).await;
        let outcome = match &appended {
            Ok(positions) => Outcome::Ok(Place {
                shard: positions[0].shard,
                position: Position::from(positions[0].sequence_number),
                arrived_ms: 0,
            }),
            Err(error) if error.perhaps_applied() => Outcome::Indefinite,
            Err(_) => Outcome::Definite,
        };
        let (hash, hash_key) = (Hash::of(&record.partition_key, &record.data), Some(record.hash_key()));
        let (client_id, key, done) = (PROBING_CLIENT, u64::from(shard.id.0), recorder.now());
        let producer = Producer::Idempotent;
        let write =
            Write { client: client_id, key, serial, hash, hash_key, producer, attempts: 1, call, done, outcome };
        recorder.write(write, record.counted_bytes());
        let Ok(positions) = appended else { continue };
        let options = ReadOptions { wait: Duration::from_secs(1), ..ReadOptions::default() };
        let at = At::At(positions[0].sequence_number);
        let page = client.read_page(stream, positions[0].shard, at, options).await;
        if page.is_ok_and(|page| page.records.first().is_some_and(|got| got.data == record.data)) {
            return;
        }
    }
}

async fn list(client: &Client, stream: &StreamName) -> anyhow::Result<Vec<ShardDescription>> {
    loop {
        match client.streams().list_shards(stream, ListShards::default()).await {
            Ok(shards) => return Ok(shards),
            Err(error) if error.reason().is_none() => return Err(error.into()),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Reads every shard to its end through each of its replicas.
pub(crate) async fn read_replicas(
    client: &Client,
    stream: &StreamName,
    recorder: &Arc<Recorder>,
) -> anyhow::Result<usize> {
    let id = client.streams().describe(stream).await?.id;
    let shards = client.streams().list_shards(stream, ListShards::default()).await?;
    let mut replicas = 0;
    let deadline = Instant::now() + EQUALITY;
    for shard in &shards {
        for node in &shard.replicas {
            replicas += 1;
            if let Err(error) = read_replica(id, shard.id, *node, recorder, deadline).await {
                recorder.violation(format!("the replica of {} on node {node} is not whole: {error:#}", shard.id));
            }
        }
    }
    anyhow::ensure!(replicas > 0, "no shard has a replica");
    Ok(replicas)
}

async fn read_replica(
    stream: StreamId,
    shard: ShardId,
    node: NodeId,
    recorder: &Recorder,
    deadline: Instant,
) -> anyhow::Result<()> {
    let mut channel = None;
    let (mut next, mut start) = (None, Start::Horizon);
    loop {
        let call = recorder.now();
        let page = match page(&mut channel, stream, shard, node, next).await {
            Ok(page) => page,
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => {
                channel = None;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let records = decode(shard, &page)?;
        let end = page.end.is_some();
        let last = end || (records.is_empty() && page.millis_behind_latest == 0);
        let silent = records.is_empty() && !last;
        next = Some(page.next_index);
        let (reader, done) = (FINAL_READERS + node.0 as u32, recorder.now());
        recorder.read(Read { reader, shard, call, done, start, records, end, fresh: last, last });
        start = Start::Continue;
        if last {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "it is {} ms behind", page.millis_behind_latest);
        if silent {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn page(
    channel: &mut Option<Channel>,
    stream: StreamId,
    shard: ShardId,
    node: NodeId,
    next: Option<u64>,
) -> anyhow::Result<ReadResponse> {
    if channel.is_none() {
        let endpoint = Endpoint::new(format!("http://{}", public_address(node)))?;
        *channel = Some(endpoint.connect_timeout(PAGE_TIMEOUT).connect().await.context("cannot connect")?);
    }
    let channel = channel.clone().context("it was just opened")?;
    let at = next.map_or(position::At::TrimHorizon(true), position::At::AtIndex);
    let position = Some(thalweg_proto::v1::Position { at: Some(at) });
    let request = ReadRequest { shard: Some(to_shard_ref(stream, shard)), position, max_bytes: 4 << 20, wait_ms: 0 };
    let mut service = RecordServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let answer = tokio::time::timeout(PAGE_TIMEOUT, service.read(request)).await.context("no page in time")?;
    Ok(answer.map_err(|status| anyhow::anyhow!("{}: {}", status.code(), status.message()))?.into_inner())
}

/// The records of a page as the client library would give them.
fn decode(shard: ShardId, page: &ReadResponse) -> anyhow::Result<Vec<Seen>> {
    let created = UnixMillis(page.shard_created_ms);
    let mut records = Vec::new();
    for stored in &page.batches {
        let batch = RecordBatch::parse(stored.batch.clone())?;
        for (place, record) in (0u32..).zip(batch.records()).skip(stored.skip_records as usize) {
            let arrived = UnixMillis(stored.arrived_ms);
            records.push(Seen {
                position: Position::from(SequenceNumber::new(created, shard, stored.index, place, arrived)),
                hash: Hash::of(&record.partition_key, &record.data),
                arrived_ms: stored.arrived_ms,
            });
        }
    }
    Ok(records)
}
