//! GetRecords: a backlog read from its oldest record, each shard by a caller of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_client::{SequenceNumber, ShardId};
use thalweg_kinesis::{Operation, Struct, Value};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection::{Connection, RequestError};
use super::{ApiArgs, Target};
use crate::commands::bench::consume::Read;
use crate::commands::bench::session::Session;

/// A call that may be made again is, after this and so often.
const RETRY_AFTER: Duration = Duration::from_millis(100);
const RETRIES_MAX: u32 = 100;

/// Reads every shard up to its end as it was, `readers` times; tells what was read and how long it took.
pub(crate) async fn catch_up(
    session: &Session,
    api: &ApiArgs,
    readers: u32,
    ends: &[(ShardId, u64)],
) -> anyhow::Result<(Read, Duration)> {
    let target = Arc::new(Target::of(session, api).await?);
    let stream = session.name().as_str();
    let begun = Instant::now();
    let mut shards = JoinSet::new();
    for (nth, (shard, end)) in (0..readers).flat_map(|_| ends.iter().copied()).enumerate() {
        let mut caller = Connection::new(target.clone(), nth);
        let stream = stream.to_owned();
        shards.spawn(async move { read_shard(&mut caller, &stream, shard, end).await });
    }
    let mut sum = Read::default();
    while let Some(read) = shards.join_next().await {
        let read = read??;
        sum = Read { records: sum.records + read.records, bytes: sum.bytes + read.bytes };
    }
    Ok((sum, begun.elapsed()))
}

/// Reads one shard up to the index where it ended.
async fn read_shard(caller: &mut Connection, stream: &str, shard: ShardId, end: u64) -> anyhow::Result<Read> {
    let from = Struct::new()
        .with("StreamName", stream)
        .with("ShardId", shard.to_string())
        .with("ShardIteratorType", "TRIM_HORIZON");
    let mut answer = ask(caller, Operation::GetShardIterator, &from).await?;
    let mut iterator = taken(&mut answer, "ShardIterator")?;
    let mut read = Read::default();
    loop {
        let input = Struct::new().with("ShardIterator", iterator);
        let mut page = ask(caller, Operation::GetRecords, &input).await?;
        let mut last = None;
        for record in page.list("Records") {
            let Value::Struct(record) = record else { continue };
            read.records += 1;
            read.bytes += record.blob("Data").map_or(0, |data| data.len() as u64);
            last = record.text("SequenceNumber");
        }
        let last = last.map(str::parse::<SequenceNumber>).transpose()?.map(SequenceNumber::raft_index);
        if last.is_some_and(|at| at + 1 >= end) {
            return Ok(read);
        }
        iterator = taken(&mut page, "NextShardIterator")?;
    }
}

fn taken(answer: &mut Struct, name: &'static str) -> anyhow::Result<String> {
    match answer.take(name) {
        Some(Value::Text(text)) => Ok(text),
        _ => anyhow::bail!("an answer has no {name}"),
    }
}

async fn ask(caller: &mut Connection, operation: Operation, input: &Struct) -> anyhow::Result<Struct> {
    let mut tries = 0;
    loop {
        match caller.ask(operation, input).await {
            Ok(answer) => return Ok(answer),
            Err(RequestError::Again(_)) if tries < RETRIES_MAX => tries += 1,
            Err(error) => return Err(error.into()),
        }
        sleep(RETRY_AFTER).await;
    }
}
