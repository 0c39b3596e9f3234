//! What a program says it wrote, read and met, and whether that is right.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::Context;
use serde::Deserialize;
use thalweg_client::{Client, ConsumedRecord, ListShards, RecordPosition, StreamName};
use thalweg_test_cluster::{Mark, ReadBack, Written, history, read_all};
use thalweg_types::UnixMillis;

/// A record as partition key, data, shard and sequence number.
pub type Noted = (String, String, String, String);

/// The last line of a program's output.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// Which client it was.
    pub sdk: String,
    /// In the order of writing.
    pub written: Vec<Noted>,
    /// By GetRecords, in the order of reading.
    pub polled: Vec<Noted>,
    /// By SubscribeToShard.
    pub fanned_out: Option<Vec<Noted>>,
    /// By SubscribeToShard over HTTP/1.1, where the SDK can do both.
    pub fanned_out_http1: Option<Vec<Noted>>,
    /// The parents of each shard.
    pub lineage: BTreeMap<String, Vec<String>>,
    /// After an increase to 48 and a decrease to 36.
    pub retention_hours: u32,
    /// After two were added and one was removed.
    pub tags: BTreeMap<String, String>,
    /// Streams whose names begin with the program's, while there were two.
    pub listed: Vec<String>,
    /// Key and bytes, in hexadecimal digits, of what a LATEST iterator read after one put.
    pub echo: Vec<(String, String)>,
    /// Code and message of each error, by the name of the wrong call.
    pub errors: BTreeMap<String, (String, String)>,
}

/// Every program writes so many records: three, one by one, then 500 and twice 100.
const RECORDS: usize = 703;

/// The wrong calls, the code of their error, and a part of its message.
const ERRORS: &[(&str, &str, &str)] = &[
    ("bad_iterator", "InvalidArgumentException", "Invalid ShardIterator."),
    ("bad_split_key", "InvalidArgumentException", "is not both greater than one plus the shard's StartingHashKey"),
    ("closed_shard", "InvalidArgumentException", "has already been merged or split"),
    ("duplicate_create", "ResourceInUseException", "already exists."),
    ("not_adjacent", "InvalidArgumentException", "are not an adjacent pair of shards eligible for merging"),
    ("oversize_record", "ValidationException", "1048576"),
    ("too_many_records", "ValidationException", "'records' failed to satisfy constraint: Member must have length less"),
    ("unknown_stream", "ResourceNotFoundException", "not found."),
    ("validation", "ValidationException", "1 validation error detected: Value 'not/a/name' at 'streamName' failed"),
];
/// The one that only a client with fan-out can make.
const SECOND_SUBSCRIPTION: (&str, &str, &str) =
    ("second_subscription", "ResourceInUseException", "Another active subscription exists for this consumer:");

/// Complaints about a program that wrote to `stream`; empty when all is right.
pub async fn check(report: &Report, stream: &StreamName, client: &Client) -> anyhow::Result<Vec<String>> {
    let written = written(&report.written)?;
    let mut complaints = Vec::new();
    if written.acked.len() != RECORDS {
        complaints.push(format!("wrote {} records, not {RECORDS}", written.acked.len()));
    }
    let native = read_all(client, stream, &written).await?;
    complaints.extend(told("read natively", history::check(&written, &native)));
    let shards = client.streams().list_shards(stream, ListShards::default()).await?;
    let read_back = |noted: &[Noted]| anyhow::Ok(ReadBack::told(read(noted)?, &shards));
    complaints.extend(told("polled", history::check(&written, &read_back(&report.polled)?)));
    for fanned_out in [&report.fanned_out, &report.fanned_out_http1].into_iter().flatten() {
        complaints.extend(told("fanned out", history::check(&written, &read_back(fanned_out)?)));
    }
    complaints.extend(told("lineage", lineage(report, stream, client).await?));
    complaints.extend(told("errors", errors(report)));
    complaints.extend(told("settings", settings(report, stream)));
    Ok(complaints)
}

fn told(about: &str, complaints: Vec<String>) -> impl Iterator<Item = String> {
    complaints.into_iter().map(move |complaint| format!("{about}: {complaint}"))
}

/// Records as the native client would have read them.
pub fn read(noted: &[Noted]) -> anyhow::Result<Vec<ConsumedRecord>> {
    let record = |(key, data, shard, number): &Noted| {
        Ok(ConsumedRecord {
            shard: shard.parse()?,
            sequence_number: number.parse()?,
            arrived: UnixMillis(0),
            partition_key: key.clone(),
            explicit_hash_key: None,
            data: data.clone().into_bytes().into(),
        })
    };
    noted.iter().map(record).collect()
}

/// What was acknowledged.
pub fn written(noted: &[Noted]) -> anyhow::Result<Written> {
    let mut written = Written::default();
    for record in read(noted)? {
        let mark = Mark::of(&record).with_context(|| format!("a record without a mark: {record:?}"))?;
        let place = RecordPosition { shard: record.shard, sequence_number: record.sequence_number };
        anyhow::ensure!(written.acked.insert(mark, place).is_none(), "wrote {mark:?} twice");
    }
    Ok(written)
}

/// Two shards, of which one was split and its upper half merged with the other; each got records.
async fn lineage(report: &Report, stream: &StreamName, client: &Client) -> anyhow::Result<Vec<String>> {
    let parents: Vec<usize> = report.lineage.values().map(Vec::len).collect();
    let mut complaints = Vec::new();
    if parents != [0, 0, 1, 1, 2] {
        complaints.push(format!("not what a split and a merge leave: {:?}", report.lineage));
    }
    let written_to: BTreeSet<&String> = report.written.iter().map(|(_, _, shard, _)| shard).collect();
    if !written_to.iter().copied().eq(report.lineage.keys()) {
        complaints.push(format!("only {written_to:?} of {:?} got records", report.lineage.keys()));
    }
    let native = client.streams().list_shards(stream, ListShards::default()).await?;
    let native: HashSet<String> = native.iter().map(|shard| shard.id.to_string()).collect();
    if native != report.lineage.keys().cloned().collect() {
        complaints.push(format!("natively the shards are {native:?}"));
    }
    Ok(complaints)
}

fn errors(report: &Report) -> Vec<String> {
    let fan_out = report.fanned_out.as_ref().map(|_| &SECOND_SUBSCRIPTION);
    let wrong = ERRORS.iter().chain(fan_out).filter_map(|(call, code, text)| match report.errors.get(*call) {
        Some((met, said)) if met == code && said.contains(text) => None,
        met => Some(format!("{call}: expected {code} with `{text}`, met {met:?}")),
    });
    wrong.collect()
}

fn settings(report: &Report, stream: &StreamName) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut expect = |what: &str, is: bool, met: String| {
        if !is {
            complaints.push(format!("{what}: {met}"));
        }
    };
    expect("retention", report.retention_hours == 36, report.retention_hours.to_string());
    let tags = BTreeMap::from([("team".to_owned(), "river".to_owned())]);
    expect("tags", report.tags == tags, format!("{:?}", report.tags));
    let streams = [stream.to_string(), format!("{stream}-second")];
    expect("listed", report.listed == streams, format!("{:?}", report.listed));
    let every_byte: String = (0..=255).map(|byte| format!("{byte:02x}")).collect();
    expect("echo", report.echo == [("ключ".to_owned(), every_byte)], format!("{:?}", report.echo));
    complaints
}
