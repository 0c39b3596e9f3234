//! The AWS SDK for Rust through one stream's life: create, write, reshard, read everything back,
//! delete.
//!
//! Everything about the server comes from the environment that AWS's tools read. The last line of
//! the output is the report that tests/clients/clients.rs checks. Writing and reading: [`records`].

mod records;

use std::collections::HashMap;

use anyhow::{Context, bail};
use aws_config::BehaviorVersion;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ConsumerStatus, Shard, ShardIteratorType, StreamDescriptionSummary, StreamStatus};
use records::{Noted, Records};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let mut story = Story::new(Client::new(&config), std::env::var("STREAM")?);
    story.write().await?;
    let consumer = story.register_consumer().await?;
    let fanned_out = story.reshard_and_read(&consumer).await?;
    story.kinesis.deregister_stream_consumer().consumer_arn(&consumer).send().await?;
    story.settings().await?;
    story.second_stream().await?;
    story.wrong_calls().await?;
    story.report.insert("fanned_out", json!(fanned_out));
    story.report.insert("written", json!(story.records.written));
    story.report.insert("errors", json!(story.errors));
    println!("{}", json!(story.report));
    Ok(())
}

/// What happens to one stream, and what is told about it.
struct Story {
    kinesis: Client,
    stream: String,
    second: String,
    records: Records,
    report: HashMap<&'static str, Value>,
    errors: HashMap<&'static str, (String, String)>,
}

impl Story {
    fn new(kinesis: Client, stream: String) -> Story {
        let second = format!("{stream}-second");
        let records = Records::new(kinesis.clone(), stream.clone());
        let report = HashMap::from([("sdk", json!("aws-sdk-rust"))]);
        Story { kinesis, stream, second, records, report, errors: HashMap::new() }
    }

    /// Notes the error that a wrong call gets.
    fn expect_error<T, E: ProvideErrorMetadata>(
        &mut self,
        name: &'static str,
        result: Result<T, SdkError<E>>,
    ) -> anyhow::Result<()> {
        let Err(error) = result else { bail!("{name}: the call succeeded") };
        let code = error.code().with_context(|| format!("{name}: not an error of the service"))?;
        self.errors.insert(name, (code.to_owned(), error.message().unwrap_or_default().to_owned()));
        Ok(())
    }

    async fn summary(&self, stream: &str) -> anyhow::Result<StreamDescriptionSummary> {
        let answer = self.kinesis.describe_stream_summary().stream_name(stream).send().await?;
        answer.stream_description_summary.context("an answer has a summary")
    }

    /// The SDK's own waiter looks every ten seconds only.
    async fn wait_active(&self, stream: &str) -> anyhow::Result<()> {
        while self.summary(stream).await?.stream_status != StreamStatus::Active {}
        Ok(())
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        let create = self.kinesis.create_stream().stream_name(&self.stream).shard_count(2);
        create.clone().send().await?;
        self.wait_active(&self.stream).await?;
        self.expect_error("duplicate_create", create.send().await)?;
        for _ in 0..3 {
            self.records.put_one().await?;
        }
        self.records.put_many(500).await
    }

    async fn register_consumer(&self) -> anyhow::Result<String> {
        let stream = self.summary(&self.stream).await?.stream_arn;
        let registered =
            self.kinesis.register_stream_consumer().stream_arn(stream).consumer_name("reader").send().await?;
        let arn = registered.consumer.context("an answer has a consumer")?.consumer_arn;
        let describe = self.kinesis.describe_stream_consumer().consumer_arn(&arn);
        loop {
            let description = describe.clone().send().await?.consumer_description;
            if description.is_some_and(|consumer| consumer.consumer_status == ConsumerStatus::Active) {
                return Ok(arn);
            }
        }
    }

    /// Splits the left shard while it is subscribed to, merges its upper half with the right one,
    /// and reads everything in both ways; returns what came by fan-out.
    async fn reshard_and_read(&mut self, consumer: &str) -> anyhow::Result<Vec<Noted>> {
        let shards = self.records.list_shards().await?;
        let left = &shards[0];
        let subscription = self.records.subscribe(consumer, &left.shard_id).send().await?;
        self.expect_error("second_subscription", self.records.subscribe(consumer, &left.shard_id).send().await)?;
        self.reshard(left, &shards[1]).await?;
        let polled = self.records.poll_all().await?;
        self.report.insert("polled", json!(polled));
        let lineage: HashMap<String, Vec<String>> =
            self.records.list_shards().await?.iter().map(|shard| (shard.shard_id.clone(), parents(shard))).collect();
        self.report.insert("lineage", json!(lineage));
        let subscriptions = HashMap::from([(left.shard_id.clone(), subscription)]);
        self.records.fan_out_all(consumer, subscriptions).await
    }

    async fn reshard(&mut self, left: &Shard, right: &Shard) -> anyhow::Result<()> {
        let split = self.kinesis.split_shard().stream_name(&self.stream).shard_to_split(&left.shard_id);
        self.expect_error("bad_split_key", split.clone().new_starting_hash_key("0").send().await)?;
        // The middle of the lower one of two equal shards.
        let split = split.new_starting_hash_key((1_u128 << 126).to_string());
        split.clone().send().await?;
        self.wait_active(&self.stream).await?;
        self.expect_error("closed_shard", split.send().await)?;
        self.records.put_many(100).await?;
        let mut halves = self.records.list_shards().await?;
        halves.retain(|shard| shard.parent_shard_id.as_ref() == Some(&left.shard_id));
        let merge = self.kinesis.merge_shards().stream_name(&self.stream).adjacent_shard_to_merge(&right.shard_id);
        self.expect_error("not_adjacent", merge.clone().shard_to_merge(&halves[0].shard_id).send().await)?;
        merge.shard_to_merge(&halves[1].shard_id).send().await?;
        self.wait_active(&self.stream).await?;
        self.records.put_many(100).await
    }

    async fn settings(&mut self) -> anyhow::Result<()> {
        let (kinesis, stream) = (&self.kinesis, &self.stream);
        kinesis.increase_stream_retention_period().stream_name(stream).retention_period_hours(48).send().await?;
        kinesis.decrease_stream_retention_period().stream_name(stream).retention_period_hours(36).send().await?;
        kinesis.add_tags_to_stream().stream_name(stream).tags("team", "river").tags("phase", "draft").send().await?;
        kinesis.remove_tags_from_stream().stream_name(stream).tag_keys("phase").send().await?;
        let tags = kinesis.list_tags_for_stream().stream_name(stream).send().await?.tags;
        let tags: HashMap<String, Option<String>> = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
        let retention = self.summary(stream).await?.retention_period_hours;
        self.report.extend([("retention_hours", json!(retention)), ("tags", json!(tags))]);
        Ok(())
    }

    /// LATEST means the moment of the call, bytes are kept as they are, and a stream goes.
    async fn second_stream(&mut self) -> anyhow::Result<()> {
        let (kinesis, second) = (&self.kinesis, &self.second);
        kinesis.create_stream().stream_name(second).shard_count(1).send().await?;
        self.wait_active(second).await?;
        let mut pages = kinesis.list_streams().into_paginator().send();
        let mut listed = Vec::new();
        while let Some(page) = pages.try_next().await? {
            listed.extend(page.stream_names.into_iter().filter(|name| name.starts_with(&self.stream)));
        }
        let latest = kinesis.get_shard_iterator().stream_name(second).shard_id("shardId-000000000000");
        let latest = latest.shard_iterator_type(ShardIteratorType::Latest).send().await?.shard_iterator;
        let data: Vec<u8> = (0..=255).collect();
        kinesis.put_record().stream_name(second).partition_key("ключ").data(Blob::new(data)).send().await?;
        let read = kinesis.get_records().set_shard_iterator(latest).send().await?.records;
        let echo: Vec<_> = read.iter().map(|one| (&one.partition_key, hex(one.data.as_ref()))).collect();
        self.report.extend([("listed", json!(listed)), ("echo", json!(echo))]);
        kinesis.delete_stream().stream_name(second).send().await?;
        while kinesis.describe_stream_summary().stream_name(second).send().await.is_ok() {}
        Ok(())
    }

    async fn wrong_calls(&mut self) -> anyhow::Result<()> {
        let kinesis = self.kinesis.clone();
        let gone = kinesis.describe_stream_summary().stream_name(&self.second).send().await;
        self.expect_error("unknown_stream", gone)?;
        self.expect_error("bad_iterator", kinesis.get_records().shard_iterator("nonsense").send().await)?;
        let many = (0..501).map(records::record).collect();
        let many = kinesis.put_records().stream_name(&self.stream).set_records(Some(many)).send().await;
        self.expect_error("too_many_records", many)?;
        let large = Blob::new(vec![0; 1024 * 1024]);
        let large = kinesis.put_record().stream_name(&self.stream).partition_key("k").data(large).send().await;
        self.expect_error("oversize_record", large)?;
        let invalid = kinesis.create_stream().stream_name("not/a/name").shard_count(1).send().await;
        self.expect_error("validation", invalid)
    }
}

fn parents(shard: &Shard) -> Vec<String> {
    [&shard.parent_shard_id, &shard.adjacent_parent_shard_id].into_iter().flatten().cloned().collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
