//! A load from outside: a program that puts records through an AWS SDK, in place of the built-in
//! client. `tests/clients/load/README.md` says what it is told and what it answers.
//!
//! Holds: nothing is measured before the program has said that it is ready; it counts, and what it
//! counts is taken as it says it. It ends with this value.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thalweg_types::SequenceNumber;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::Target;
use crate::commands::bench::meter::Counts;
use crate::commands::bench::produce::ProduceArgs;
use crate::commands::bench::session::Session;
use crate::host::microseconds;

/// For the program to make its data and reach the cluster.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// For the answers that are open when the measured time is over.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(120);

/// A running program.
pub(super) struct Program {
    path: PathBuf,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    run_timeout: Duration,
    /// What it says of itself.
    pub(super) about: About,
}

/// The program's first line.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct About {
    /// Name and version of its SDK.
    pub(crate) sdk: String,
    /// Of its requests.
    pub(crate) content_type: String,
    /// The version of HTTP that it speaks.
    pub(crate) http: String,
}

/// The line after each measurement.
#[derive(Debug, Deserialize)]
struct Counted {
    records: u64,
    bytes: u64,
    total_bytes: u64,
    failed: u64,
    retried: u64,
    first_error: Option<String>,
    latency_us: Vec<(u64, u64)>,
    sequence_numbers: Vec<String>,
}

impl Program {
    /// Starts it and waits until it is ready.
    pub(super) async fn start(
        path: &Path,
        session: &Session,
        target: &Target,
        args: &ProduceArgs,
    ) -> anyhow::Result<Program> {
        let endpoints: Vec<_> = target.addresses.iter().map(|address| format!("http://{address}")).collect();
        let mut command = Command::new(path);
        command.envs([
            ("LOAD_ENDPOINTS", endpoints.join(",")),
            ("LOAD_STREAM", session.name().to_string()),
            ("LOAD_CALLERS", args.concurrency.to_string()),
            ("LOAD_RECORDS", args.put.batch_records.to_string()),
            ("LOAD_RECORD_BYTES", args.common.record_size.to_string()),
            ("LOAD_WARM_UP_MS", args.common.warm_up.as_millis().to_string()),
            ("LOAD_DURATION_MS", args.common.duration.as_millis().to_string()),
            ("AWS_ACCESS_KEY_ID", target.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", target.secret.clone()),
            ("AWS_REGION", super::connection::REGION.to_owned()),
            // Whatever accounts this person has, the program must not know them.
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]);
        Program::launch(command, path, args.common.warm_up + args.common.duration + ANSWERS_TIMEOUT).await
    }

    async fn launch(mut command: Command, path: &Path, run_timeout: Duration) -> anyhow::Result<Program> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", path.display()))?;
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut program = Program { path: path.to_owned(), child, input, output, run_timeout, about: About::default() };
        program.about = program.line(READY_TIMEOUT).await?;
        Ok(program)
    }

    /// One measurement: what was counted, and in how many batches the records came to lie.
    pub(super) async fn measure(&mut self) -> anyhow::Result<(Counts, u64)> {
        self.input.write_all(b"\n").await.with_context(|| format!("{} takes no input", self.path.display()))?;
        let counted: Counted = self.line(self.run_timeout).await?;
        let records = self.records(&counted)?;
        let batches = (records as f64 * begins_batch(&counted.sequence_numbers)?).round() as u64;
        Ok((counted.into(), batches))
    }

    /// Of the whole run: bytes are counted over all, records only within the measured time.
    fn records(&self, counted: &Counted) -> anyhow::Result<u64> {
        ensure!(counted.records > 0, "{} put nothing: {:?}", self.path.display(), counted.first_error);
        Ok(counted.total_bytes / (counted.bytes / counted.records).max(1))
    }

    async fn line<T: DeserializeOwned>(&mut self, patience: Duration) -> anyhow::Result<T> {
        let path = self.path.display().to_string();
        let line = timeout(patience, self.output.next_line()).await;
        let Some(line) = line.with_context(|| format!("{path} said nothing for {patience:?}"))?? else {
            bail!("{path} ended: {}", self.child.wait().await?)
        };
        serde_json::from_str(&line).with_context(|| format!("{path} said what makes no sense: {line:.200}"))
    }
}

impl From<Counted> for Counts {
    fn from(counted: Counted) -> Counts {
        let mut latencies = microseconds();
        for (us, count) in counted.latency_us {
            latencies.saturating_record_n(us.max(1), count);
        }
        Counts {
            latencies,
            records: counted.records,
            bytes: counted.bytes,
            total_bytes: counted.total_bytes,
            failed: counted.failed,
            retried: counted.retried,
            first_error: counted.first_error,
        }
    }
}

/// Which part of these records are the first of their batch.
fn begins_batch(numbers: &[String]) -> anyhow::Result<f64> {
    let numbers = numbers.iter().map(|number| number.parse::<SequenceNumber>());
    let numbers = numbers.collect::<Result<Vec<_>, _>>().context("what should be a sequence number is none")?;
    let first = numbers.iter().filter(|number| number.record() == 0).count();
    Ok(first as f64 / numbers.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use thalweg_types::{ShardId, UnixMillis};

    use super::*;

    async fn program(script: &str) -> anyhow::Result<Program> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Program::launch(command, Path::new("load"), Duration::from_secs(60)).await
    }

    #[tokio::test]
    async fn a_program_is_asked_for_each_measurement_and_its_counts_are_taken() {
        let number = |record| SequenceNumber::new(UnixMillis(1_000), ShardId(1), 7, record, UnixMillis(2_000));
        let counted = serde_json::json!({
            "records": 80, "bytes": 800, "total_bytes": 1_000, "failed": 2, "retried": 1, "first_error": "why",
            "latency_us": [[900, 3], [1_200, 1]],
            "sequence_numbers": [number(0).to_string(), number(1).to_string(), number(2).to_string(), number(3).to_string()],
        });
        let about = r#"{"sdk":"sdk 1","content_type":"text/plain","http":"HTTP/9"}"#;
        let script = format!("echo '{about}'; while read -r line; do echo '{counted}'; done");
        let mut program = program(&script).await.unwrap();
        assert_eq!(
            (&*program.about.sdk, &*program.about.content_type, &*program.about.http),
            ("sdk 1", "text/plain", "HTTP/9")
        );
        for _ in 0..2 {
            let (counts, batches) = program.measure().await.unwrap();
            assert_eq!((counts.records, counts.bytes, counts.total_bytes, batches), (80, 800, 1_000, 25));
            assert_eq!((counts.failed, counts.retried, counts.first_error.as_deref()), (2, 1, Some("why")));
            assert_eq!((counts.latencies.len(), counts.latencies.value_at_quantile(0.5)), (4, 900));
        }
    }

    #[tokio::test]
    async fn a_program_that_ends_or_talks_nonsense_is_reported() {
        let ended = program("exit 3").await.err().expect("it has ended");
        assert!(ended.to_string().contains("exit status: 3"), "{ended}");
        let nonsense = program("echo hello").await.err().expect("it talks nonsense");
        assert!(nonsense.to_string().contains("hello"), "{nonsense}");
    }
}
