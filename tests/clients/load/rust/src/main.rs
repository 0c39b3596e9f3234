//! The AWS SDK for Rust as a load: as many callers as told, each with one put in flight.
//!
//! What it is told and what it answers: ../README.md. Data is made before anything is measured;
//! what is not acknowledged at the end of a measurement is waited for.

mod counts;
mod sent;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use aws_config::BehaviorVersion;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use counts::Counts;
use sent::Sent;
use serde_json::json;

/// Bytes of data made in advance, at most.
const POOL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the environment says.
struct Settings {
    endpoints: Vec<String>,
    stream: String,
    callers: usize,
    records: usize,
    record_bytes: usize,
    warm_up: Duration,
    duration: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let load = Arc::new(Load::prepare(Settings::read()?).await?);
    let [content_type, http] = load.sent.form().context("no request was sent")?;
    let sdk = format!("aws-sdk-rust {}", aws_sdk_kinesis::meta::PKG_VERSION);
    println!("{}", json!({ "sdk": sdk, "content_type": content_type, "http": http }));
    for line in std::io::stdin().lines() {
        line?;
        println!("{}", load.measure().await?);
    }
    Ok(())
}

impl Settings {
    fn read() -> anyhow::Result<Settings> {
        Ok(Settings {
            endpoints: text("LOAD_ENDPOINTS")?.split(',').map(str::to_owned).collect(),
            stream: text("LOAD_STREAM")?,
            callers: number("LOAD_CALLERS")? as usize,
            records: number("LOAD_RECORDS")? as usize,
            record_bytes: number("LOAD_RECORD_BYTES")? as usize,
            warm_up: Duration::from_millis(number("LOAD_WARM_UP_MS")?),
            duration: Duration::from_millis(number("LOAD_DURATION_MS")?),
        })
    }
}

fn text(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

fn number(name: &str) -> anyhow::Result<u64> {
    text(name)?.parse().with_context(|| format!("{name} is no number"))
}

/// Everything that callers share.
struct Load {
    settings: Settings,
    clients: Vec<Client>,
    requests: Vec<Vec<PutRecordsRequestEntry>>,
    sent: Sent,
}

impl Load {
    async fn prepare(settings: Settings) -> anyhow::Result<Load> {
        let shared = aws_config::load_defaults(BehaviorVersion::latest()).await;
        let sent = Sent::default();
        let client = |endpoint: &String| {
            let config = Builder::from(&shared).endpoint_url(endpoint).interceptor(sent.clone());
            Client::from_conf(config.build())
        };
        let clients: Vec<Client> = settings.endpoints.iter().map(client).collect();
        for client in &clients {
            client.describe_stream_summary().stream_name(&settings.stream).send().await?;
        }
        let count = (POOL_BYTES_MAX / (settings.records * settings.record_bytes).max(1)).clamp(1, 4_096);
        let requests = (0..count).map(|_| request(&settings)).collect();
        Ok(Load { settings, clients, requests, sent })
    }

    /// One measurement; what was counted.
    async fn measure(self: &Arc<Self>) -> anyhow::Result<serde_json::Value> {
        let from = Instant::now() + self.settings.warm_up;
        let counts = Arc::new(Mutex::new(Counts::new(from, from + self.settings.duration)));
        let before = self.sent.attempts();
        let callers: Vec<_> =
            (0..self.settings.callers).map(|nth| tokio::spawn(self.clone().call(nth, counts.clone()))).collect();
        let mut requests = 0;
        for caller in callers {
            requests += caller.await?;
        }
        let retried = self.sent.attempts() - before - requests;
        let told = counts.lock().expect("nothing panics while it counts").tell(retried);
        Ok(told)
    }

    /// Puts until the measured time is over; how many requests that were.
    async fn call(self: Arc<Self>, caller: usize, counts: Arc<Mutex<Counts>>) -> u64 {
        let client = &self.clients[caller % self.clients.len()];
        let until = counts.lock().expect("nothing panics while it counts").until;
        let (mut nth, mut requests) = (caller, 0);
        while Instant::now() < until {
            let begun = Instant::now();
            let outcome = self.put(client, &self.requests[nth % self.requests.len()]).await;
            let bytes = self.settings.records * self.settings.record_bytes;
            counts.lock().expect("nothing panics while it counts").note(begun, bytes as u64, outcome);
            nth += self.settings.callers;
            requests += 1;
        }
        requests
    }

    /// The sequence numbers of the records, or why not all were taken.
    async fn put(&self, client: &Client, entries: &[PutRecordsRequestEntry]) -> Result<Vec<String>, String> {
        if let [entry] = entries {
            let put = client.put_record().stream_name(&self.settings.stream);
            let put = put.set_partition_key(entry.partition_key.clone()).data(entry.data.clone());
            return put.send().await.map(|answer| vec![answer.sequence_number]).map_err(|error| said(&error));
        }
        let put = client.put_records().stream_name(&self.settings.stream).set_records(Some(entries.to_vec()));
        let answer = put.send().await.map_err(|error| said(&error))?;
        let failed = answer.failed_record_count.unwrap_or_default();
        let first = answer.records.iter().find_map(|record| record.error_message.clone());
        let numbers: Vec<_> = answer.records.into_iter().filter_map(|record| record.sequence_number).collect();
        let whole = failed == 0 && numbers.len() == entries.len();
        if whole { Ok(numbers) } else { Err(format!("{failed} records failed, the first: {first:?}")) }
    }
}

fn said<E: std::error::Error>(error: &E) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn request(settings: &Settings) -> Vec<PutRecordsRequestEntry> {
    let entry = |_| {
        let data: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(settings.record_bytes).collect();
        let entry = PutRecordsRequestEntry::builder().partition_key(format!("{:016x}", fastrand::u64(..)));
        entry.data(Blob::new(data)).build().expect("key and data are there")
    };
    (0..settings.records).map(entry).collect()
}
