//! Writes and reads a stream's records.
//!
//! Record n has key n % [`KEYS`], so the n of a key rises. A shard is read after all of its parents.

use std::collections::{HashMap, HashSet, VecDeque};

use anyhow::{Context, bail, ensure};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::operation::subscribe_to_shard::builders::SubscribeToShardFluentBuilder;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ChildShard, PutRecordsRequestEntry, Record, Shard, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
};

const KEYS: usize = 50;

/// A record as key, data, shard and sequence number.
pub(crate) type Noted = [String; 4];

/// The records of one stream.
pub(crate) struct Records {
    kinesis: Client,
    stream: String,
    pub(crate) written: Vec<Noted>,
}

/// Record `n`.
pub(crate) fn record(n: usize) -> PutRecordsRequestEntry {
    let entry = PutRecordsRequestEntry::builder().partition_key(format!("key-{}", n % KEYS));
    entry.data(Blob::new(format!("{}:{n}:", n % KEYS))).build().expect("data is there")
}

fn text(data: &Blob) -> String {
    String::from_utf8_lossy(data.as_ref()).into_owned()
}

impl Records {
    pub(crate) fn new(kinesis: Client, stream: String) -> Records {
        Records { kinesis, stream, written: Vec::new() }
    }

    pub(crate) async fn put_one(&mut self) -> anyhow::Result<()> {
        let PutRecordsRequestEntry { data, partition_key, .. } = record(self.written.len());
        let key = partition_key.context("records have keys")?;
        let put = self.kinesis.put_record().stream_name(&self.stream).partition_key(&key).data(data.clone());
        let answer = put.send().await?;
        self.written.push([key, text(&data), answer.shard_id, answer.sequence_number]);
        Ok(())
    }

    pub(crate) async fn put_many(&mut self, count: usize) -> anyhow::Result<()> {
        let entries: Vec<_> = (self.written.len()..).take(count).map(record).collect();
        let put = self.kinesis.put_records().stream_name(&self.stream).set_records(Some(entries.clone()));
        let answer = put.send().await?;
        ensure!(answer.failed_record_count == Some(0) && answer.records.len() == count, "{answer:?}");
        for (entry, result) in entries.into_iter().zip(answer.records) {
            let (shard, number) = result.shard_id.zip(result.sequence_number).context("a record without a place")?;
            self.written.push([entry.partition_key.unwrap_or_default(), text(&entry.data), shard, number]);
        }
        Ok(())
    }

    pub(crate) async fn list_shards(&self) -> anyhow::Result<Vec<Shard>> {
        let mut page = self.kinesis.list_shards().stream_name(&self.stream).send().await?;
        let mut shards = page.shards.take().unwrap_or_default();
        while let Some(token) = page.next_token {
            page = self.kinesis.list_shards().next_token(token).send().await?;
            shards.extend(page.shards.take().unwrap_or_default());
        }
        Ok(shards)
    }

    pub(crate) async fn poll_all(&self) -> anyhow::Result<Vec<Noted>> {
        self.read_all(async |shard, open, records| self.poll(shard, open, records).await).await
    }

    pub(crate) async fn fan_out_all(
        &self,
        consumer: &str,
        mut subscriptions: HashMap<String, SubscribeToShardOutput>,
    ) -> anyhow::Result<Vec<Noted>> {
        self.read_all(async |shard, open, records| {
            let subscription = match subscriptions.remove(shard) {
                Some(subscription) => subscription,
                None => self.subscribe(consumer, shard).send().await?,
            };
            fan_out(subscription, shard, open, records).await
        })
        .await
    }

    /// Reads the shards without parents, then whatever children they say they have.
    async fn read_all(
        &self,
        mut read: impl AsyncFnMut(&str, bool, &mut Vec<Noted>) -> anyhow::Result<Vec<ChildShard>>,
    ) -> anyhow::Result<Vec<Noted>> {
        let shards = self.list_shards().await?;
        let open: HashSet<&str> = shards.iter().filter(|shard| is_open(shard)).map(|shard| &*shard.shard_id).collect();
        let roots = shards.iter().filter(|shard| shard.parent_shard_id.is_none());
        let mut queue: VecDeque<String> = roots.map(|shard| shard.shard_id.clone()).collect();
        let (mut done, mut records) = (HashSet::new(), Vec::new());
        while let Some(shard) = queue.pop_front() {
            let children = read(&shard, open.contains(&*shard), &mut records).await?;
            done.insert(shard);
            let ready = children.into_iter().filter(|child| child.parent_shards.iter().all(|id| done.contains(id)));
            queue.extend(ready.map(|child| child.shard_id).filter(|id| !done.contains(id)));
        }
        Ok(records)
    }

    /// Reads a shard to its end, or an open one to its tip; returns the shards that follow.
    async fn poll(&self, shard: &str, open: bool, records: &mut Vec<Noted>) -> anyhow::Result<Vec<ChildShard>> {
        let first = self.kinesis.get_shard_iterator().stream_name(&self.stream).shard_id(shard);
        let first = first.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await?;
        let mut iterator = first.shard_iterator;
        loop {
            let answer = self.kinesis.get_records().set_shard_iterator(iterator).limit(100).send().await?;
            note(records, shard, answer.records);
            iterator = answer.next_shard_iterator;
            if iterator.is_none() {
                return Ok(answer.child_shards.unwrap_or_default());
            }
            if open && answer.millis_behind_latest == Some(0) {
                return Ok(Vec::new());
            }
        }
    }

    pub(crate) fn subscribe(&self, consumer: &str, shard: &str) -> SubscribeToShardFluentBuilder {
        let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build();
        let call = self.kinesis.subscribe_to_shard().consumer_arn(consumer).shard_id(shard);
        call.starting_position(start.expect("the type is there"))
    }
}

/// As [`Records::poll`], by a subscription.
async fn fan_out(
    mut subscription: SubscribeToShardOutput,
    shard: &str,
    open: bool,
    records: &mut Vec<Noted>,
) -> anyhow::Result<Vec<ChildShard>> {
    while let Some(event) = subscription.event_stream.recv().await? {
        let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else { bail!("{event:?}") };
        note(records, shard, event.records);
        // The model says that the number is always there; at the end of a shard it is not, and
        // the SDK shows that as an empty one.
        if event.continuation_sequence_number.is_empty() {
            return Ok(event.child_shards.unwrap_or_default());
        }
        if open && event.millis_behind_latest == 0 {
            return Ok(Vec::new());
        }
    }
    bail!("{shard}: the subscription ended without a word")
}

fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range.as_ref().is_some_and(|range| range.ending_sequence_number.is_none())
}

fn note(records: &mut Vec<Noted>, shard: &str, found: Vec<Record>) {
    for one in found {
        records.push([one.partition_key.unwrap_or_default(), text(&one.data), shard.to_owned(), one.sequence_number]);
    }
}
