//! Unmodified AWS clients against `thalweg dev`: each creates a stream, writes, reads by polling
//! and by fan-out through a split and a merge, changes settings, deletes, and makes wrong calls.
//!
//! The programs are in a folder a language, the client libraries come from their registries in
//! the versions that the folder pins. One by itself, against any server:
//! `STREAM=trial AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:4567 python3 tests/clients/python/client.py`.

use client_tests::{DevCluster, Program, Server, report};
use thalweg_client::StreamName;

const CLI: Program = Program {
    folder: "cli",
    tools: &["python3", "jq"],
    install: "python3 -m venv $OUT/venv && $OUT/venv/bin/pip install -q -r requirements.txt",
    run: "PATH=$OUT/venv/bin:$PATH exec ./client.sh",
};

const JAVASCRIPT: Program = Program {
    folder: "javascript",
    tools: &["node", "npm"],
    // Modules are looked for beside the program, so it is run from where they are.
    install: "cp package.json package-lock.json client.mjs $OUT && cd $OUT && npm ci --silent",
    run: "exec node $OUT/client.mjs",
};

const GO: Program =
    Program { folder: "go", tools: &["go"], install: "go build -o $OUT/client .", run: "exec $OUT/client" };

const JAVA: Program = Program {
    folder: "java",
    tools: &["java", "javac", "mvn"],
    install: "mvn -q -B compile dependency:copy-dependencies",
    // One short run: the compiler that starts sooner. Netty warns of every subscription that is cancelled.
    run: "exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.log.io.netty=error \
          -cp \"$OUT/classes:$OUT/dependency/*\" Client",
};

const RUST: Program = Program {
    folder: "rust",
    tools: &["cargo"],
    install: "cargo build --locked --target-dir $OUT",
    run: "exec $OUT/debug/client-test",
};

#[tokio::test]
async fn boto3_works_unmodified() {
    works_unmodified(Program::BOTO3, FanOut::Yes).await;
}

#[tokio::test]
async fn the_aws_cli_works_unmodified() {
    works_unmodified(CLI, FanOut::No).await;
}

#[tokio::test]
async fn the_javascript_sdk_works_unmodified() {
    works_unmodified(JAVASCRIPT, FanOut::OverHttp1Too).await;
}

#[tokio::test]
async fn the_go_sdk_works_unmodified() {
    works_unmodified(GO, FanOut::Yes).await;
}

#[tokio::test]
async fn the_java_sdk_works_unmodified() {
    works_unmodified(JAVA, FanOut::Yes).await;
}

#[tokio::test]
async fn the_rust_sdk_works_unmodified() {
    works_unmodified(RUST, FanOut::Yes).await;
}

/// How a client reads besides polling.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FanOut {
    No,
    Yes,
    OverHttp1Too,
}

async fn works_unmodified(program: Program, fan_out: FanOut) {
    if !program.can_run() {
        return;
    }
    program.install().await.unwrap();
    let cluster = DevCluster::shared().await.unwrap();
    let stream: StreamName = format!("{}-stream", program.folder).parse().unwrap();
    let server = Server { endpoint: cluster.endpoints()[0].clone(), stream: stream.to_string() };
    let report = program.report(&server).await.unwrap();
    assert_eq!(report.fanned_out.is_some(), fan_out != FanOut::No, "{}", report.sdk);
    assert_eq!(report.fanned_out_http1.is_some(), fan_out == FanOut::OverHttp1Too, "{}", report.sdk);
    let complaints = report::check(&report, &stream, &cluster.client()).await.unwrap();
    assert!(complaints.is_empty(), "{}:\n  {}", report.sdk, complaints.join("\n  "));
}
