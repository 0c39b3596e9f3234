//! `thalweg-check` as other programs meet it: lines in, JSON or a table out, and an exit code.

mod support;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use support::*;
use thalweg_checker::{History, Position, json};
use thalweg_types::{SequenceNumber, ShardId, UnixMillis};

fn judge(arguments: &[&str], lines: &[u8]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_thalweg-check"));
    let mut child = program.args(arguments).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines).unwrap();
    child.wait_with_output().unwrap()
}

fn lines(history: &History) -> Vec<u8> {
    let mut lines = Vec::new();
    json::write(history, &mut lines).unwrap();
    lines
}

#[test]
fn a_clean_history_exits_with_zero_and_prints_json_into_a_pipe() {
    let output = judge(&[], &lines(&split()));
    assert_eq!(output.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["figures"]["acked_read"], 10);
    assert_eq!(report["anomalies"], serde_json::json!([]));
}

#[test]
fn anomalies_exit_with_one_and_are_named() {
    let mut history = ten();
    history.reads[0].records.remove(4);
    let output = judge(&[], &lines(&history));
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["counts"], serde_json::json!({ "lost": 1 }));
    assert_eq!(report["anomalies"][0]["shard"], "shardId-000000000000");
    let table = String::from_utf8(judge(&["--table"], &lines(&history)).stdout).unwrap();
    assert!(table.contains("lost     shardId-000000000000        50  record 5 of key 5 by client 1"), "{table}");
}

#[test]
fn what_is_no_history_exits_with_two() {
    assert_eq!(judge(&[], b"{\"write\":{}}\n").status.code(), Some(2));
    assert_eq!(judge(&["--nonsense"], b"").status.code(), Some(2));
}

/// The example of the module's documentation, as another language would write it.
#[test]
fn fields_may_be_left_out_and_positions_may_be_sequence_numbers() {
    let number = SequenceNumber::new(UnixMillis(5_000), ShardId(0), 3, 7, UnixMillis(9_000));
    let text = format!(
        r#"
        {{"write":{{"client":1,"key":7,"serial":0,"hash":"9ae1","call":10,"done":25,
          "outcome":{{"ok":{{"shard":"shardId-000000000000","position":"{number}"}}}}}}}}
        {{"write":{{"client":1,"key":7,"serial":1,"hash":"9ae2","call":26,"done":27,"outcome":"definite"}}}}
        {{"read":{{"reader":1,"shard":"shardId-000000000000","start":"horizon","call":30,"done":31,
          "records":[["{}","9ae1"]],"fresh":true}}}}"#,
        Position::from(number)
    );
    let one_a_line = text.replace(",\n", ",");
    let history = json::read(one_a_line.as_bytes()).unwrap();
    assert_eq!((history.writes.len(), history.reads.len()), (2, 1));
    assert_eq!(history.reads[0].records[0].position, Position(5 << 64 | 3 << 20 | 7));
    assert_eq!(judge(&[], one_a_line.as_bytes()).status.code(), Some(0));
}
