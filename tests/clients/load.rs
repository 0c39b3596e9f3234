//! The SDK loads of `thalweg bench` and `bench` itself understand each other: each program builds,
//! is told what to do, puts, and what it counted comes out in the report.

use std::process::Command;

use client_tests::{DevCluster, Program, thalweg_binary};
use serde_json::Value;

const RUST: Program = Program { folder: "load/rust", tools: &["cargo"], install: "./build", run: "exec ./run" };

const JAVA: Program =
    Program { folder: "load/java", tools: &["java", "javac", "mvn"], install: "./build", run: "exec ./run" };

#[tokio::test]
async fn the_rust_sdk_is_a_load() {
    is_a_load(RUST, "aws-sdk-rust", "application/x-amz-json-1.1").await;
}

#[tokio::test]
async fn the_java_sdk_is_a_load() {
    is_a_load(JAVA, "aws-sdk-java-v2", "application/x-amz-cbor-1.1").await;
}

async fn is_a_load(program: Program, sdk: &str, format: &str) {
    if !program.can_run() {
        return;
    }
    program.install().await.unwrap();
    let cluster = DevCluster::shared().await.unwrap();
    for records in [1, 20] {
        let report = bench(&program, &cluster, records).await;
        let text = |name: &str| report[name].as_str().unwrap_or_default().to_owned();
        assert!(text("client").starts_with(sdk), "{report}");
        let operation = if records == 1 { "PutRecord" } else { "PutRecords" };
        assert_eq!((&*text("operation"), &*text("format")), (operation, format), "{report}");
        assert_eq!((&report["failed_calls"], &report["first_error"]), (&Value::from(0), &Value::Null), "{report}");
        let [counted, calls] = [&report["records"], &report["ack_latency_us"]["count"]].map(|count| count.as_u64());
        assert!(counted > Some(0) && calls > Some(0), "{report}");
        // Callers wait for each other's records only a little: no batch has more than all of them send.
        let a_batch = report["records_per_batch"].as_f64().unwrap();
        assert!((1.0..=f64::from(4 * records)).contains(&a_batch), "{report}");
    }
}

/// The report of a short run with four callers.
async fn bench(program: &Program, cluster: &DevCluster, records: u32) -> Value {
    let mut command = Command::new(thalweg_binary());
    command.args(["bench", "produce", "--api", "kinesis", "--client"]).arg(program.sources().join("run"));
    command.args(["--batch-records", &records.to_string(), "--concurrency", "4", "--shards", "2"]);
    command.args(["--warm-up", "1s", "--duration", "2s", "--settle", "0s", "--no-host", "--json"]);
    command.env("THALWEG_ENDPOINT", &cluster.endpoints()[0]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let (told, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {complaints}", output.status);
    serde_json::from_str(&told).unwrap_or_else(|_| panic!("no report: {told}{complaints}"))
}
