//! The binary as a shell sees it, without a cluster: help, exit codes, messages, streams.

use std::process::{Command, Output, Stdio};

/// Runs the binary with nothing to connect to.
fn thalweg(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    let command = command.args(arguments).env("THALWEG_ENDPOINT", "127.0.0.1:1").env("COLUMNS", "100");
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn help_is_what_was_agreed() {
    let help = thalweg(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let path = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this"))
        .join("tests/golden/help.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &help.stdout).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(text(&help.stdout), golden, "when this is intended: UPDATE_GOLDEN=1 cargo test -p thalweg");
}

#[test]
fn a_cluster_that_is_not_there_is_exit_code_6_and_names_the_next_step() {
    let output = thalweg(&["stream", "ls", "--timeout", "300ms"]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    assert!(text(&output.stderr).contains("thalweg dev"), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn wrong_arguments_are_exit_code_2() {
    for arguments in
        [&["stream"][..], &["put"], &["tail", "orders", "--from", "yesterday"], &["server", "--node-id", "0"]]
    {
        assert_eq!(thalweg(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn deleting_without_a_terminal_needs_yes() {
    let output = thalweg(&["stream", "delete", "orders"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--yes"), "{output:?}");
}

#[test]
fn a_server_without_an_id_says_which_setting_is_missing() {
    let output = thalweg(&["server", "--data-dir", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--node-id"), "{output:?}");
}

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = thalweg(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(text(&output.stdout).contains("transfer-leader"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    let mut child =
        command.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn doctor_in_a_pipe_prints_one_object_a_check() {
    let dir = tempfile::tempdir().unwrap();
    let output = thalweg(&["doctor", "--data-dir", dir.path().to_str().unwrap(), "--port", "0"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 9, "{output:?}");
    assert!(lines.iter().all(|line| line["check"].is_string() && line["verdict"].is_string()));
}
