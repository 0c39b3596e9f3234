//! The Kinesis API as its clients see it: real connections, signed requests, checked answers.
//!
//! ```text
//!   requests (encoded before the clock runs) ──► put ──► connection ══ HTTP ══► the front
//!                                                get ──►     │
//!                        answers decoded, every record's number counted ◄┘
//!   program: an AWS SDK in place of put and connection
//!   compare, native: the native API in turns with it, with the same batches at the same rate
//! ```
//! Holds: what the generator costs is never counted to the servers; an answer that is not a
//! success for every record is a failure.

mod compare;
mod connection;
mod get;
mod native;
mod program;
mod put;
mod requests;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use thalweg_kinesis::Format;
use thalweg_types::SystemClock;

use super::report::Report;
use super::session::Session;
use crate::exit::Failure;

pub(super) use get::catch_up;
use program::About;
pub(super) use put::produce;

/// Records in a request at most.
const BATCH_RECORDS_MAX: u32 = 500;
/// A key that any front takes that does not check signatures.
const ANY_KEY: &str = "thalweg-bench";

/// What speaks to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Api {
    /// gRPC, as the client library speaks it
    Native,
    /// HTTP, as AWS SDKs speak it
    Kinesis,
}

/// How bodies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Encoding {
    /// application/x-amz-json-1.1
    Json,
    /// application/x-amz-cbor-1.1
    Cbor,
}

/// What to measure beside the Kinesis API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Beside {
    /// The native API, in turns
    Native,
}

/// Options of the Kinesis API.
#[derive(Args, Clone, Debug)]
pub(super) struct ApiArgs {
    /// Which API to measure; those below are options of `kinesis`
    #[arg(long, value_enum, default_value = "native", help_heading = "Kinesis API")]
    pub(super) api: Api,
    /// How bodies are written
    #[arg(long, value_enum, default_value = "json", help_heading = "Kinesis API")]
    format: Encoding,
    /// Measure also what the front alone costs: the native API takes turns with it, with batches
    /// as large and as many a second as the front made
    #[arg(long, value_enum, value_name = "API", help_heading = "Kinesis API")]
    compare: Option<Beside>,
    /// Turns of each with --compare
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    #[arg(help_heading = "Kinesis API")]
    turns: u32,
    /// Sign requests with this key
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide_env_values = true, value_name = "ID", requires = "secret_key")]
    #[arg(help_heading = "Kinesis API")]
    access_key: Option<String>,
    /// Its secret
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true, value_name = "SECRET")]
    #[arg(help_heading = "Kinesis API")]
    secret_key: Option<String>,
}

impl ApiArgs {
    pub(super) fn is_kinesis(&self) -> bool {
        self.api == Api::Kinesis
    }

    fn format(&self) -> Format {
        match self.format {
            Encoding::Json => Format::Json,
            Encoding::Cbor => Format::Cbor,
        }
    }

    /// Whether the native API takes turns.
    pub(super) fn compares(&self) -> bool {
        self.compare.is_some()
    }

    /// Says what was called and how; `client` is what made the requests, if not the built-in one.
    pub(super) fn tell(&self, report: &mut Report, operation: &str, client: Option<&About>) {
        let built_in = About {
            sdk: "thalweg bench".to_owned(),
            content_type: self.format().content_type().to_owned(),
            http: "HTTP/1.1".to_owned(),
        };
        let About { sdk, content_type, http } = client.unwrap_or(&built_in);
        report.set("api", "kinesis");
        report.set("operation", operation);
        report.set("format", &**content_type);
        report.set("client", &**sdk);
        report.set("http", &**http);
        report.fact("through", format!("{operation}, {content_type} over {http}"));
        report.fact("client", sdk);
    }

    /// How often the front is measured.
    pub(super) fn turns(&self) -> u32 {
        if self.compare.is_some() { self.turns } else { 1 }
    }
}

/// Options of producing through the Kinesis API.
#[derive(Args, Clone, Debug)]
pub(super) struct PutArgs {
    /// Records in a request; 1 makes it PutRecord, more PutRecords
    #[arg(long, value_name = "N", default_value_t = BATCH_RECORDS_MAX, help_heading = "Kinesis API")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(BATCH_RECORDS_MAX)))]
    batch_records: u32,
    /// A program that makes the requests with an SDK, in place of the built-in client; the SDK
    /// then decides how bodies are written. tests/clients/load has some, and says how they are told
    /// what to do; `make bench` takes `rust` and `java` for those
    #[arg(long, value_name = "PROGRAM", conflicts_with = "format", help_heading = "Kinesis API")]
    client: Option<PathBuf>,
}

/// Where requests go, and how they are written and signed.
struct Target {
    addresses: Vec<String>,
    format: Format,
    access_key: String,
    secret: String,
    clock: SystemClock,
}

impl Target {
    /// The nodes that are there now.
    async fn of(session: &Session, api: &ApiArgs) -> anyhow::Result<Target> {
        let nodes = session.client.cluster().describe().await?.nodes;
        let addresses: Vec<_> =
            nodes.into_iter().filter(|node| node.connected).map(|node| node.public_address).collect();
        if addresses.is_empty() {
            return Err(Failure::usage("no node is connected").into());
        }
        let known = |value: &Option<String>| value.clone().unwrap_or_else(|| ANY_KEY.to_owned());
        let (access_key, secret) = (known(&api.access_key), known(&api.secret_key));
        Ok(Target { addresses, format: api.format(), access_key, secret, clock: SystemClock })
    }
}
