//! Runs a Python script of this folder's tests against botocore, which is installed if it is not.
//!
//! Holds: where it cannot be had the test says so and passes, except in CI, where it fails.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::{env, fs};

/// The version that the scripts were written for.
const BOTOCORE: &str = "botocore==1.44.5";

/// What a script printed; `None` if there is no botocore here.
pub(crate) fn run(script: &str, input: &[u8]) -> Option<String> {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            assert!(env::var_os("CI").is_none(), "{BOTOCORE} is needed in CI: {reason}");
            // Not `eprintln!`, which the test runner hides when a test passes.
            let _ = writeln!(std::io::stderr(), "SKIPPED {script}: no {BOTOCORE}: {reason}");
            return None;
        }
    };
    let script =
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this")).join("tests").join(script);
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the interpreter of a virtual environment runs");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input).expect("the script reads all its input before it prints");
    drop(stdin);
    let output = child.wait_with_output().expect("the script ends");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("the script prints UTF-8"))
}

/// The interpreter of a virtual environment that has botocore.
fn python() -> Result<PathBuf, String> {
    let home = env::var_os("HOME").map_or_else(env::temp_dir, PathBuf::from);
    let cache = home.join(".cache/thalweg");
    let explain = |error: std::io::Error| error.to_string();
    fs::create_dir_all(&cache).map_err(explain)?;
    // Test programs may run side by side, and share this environment.
    let lock = File::create(cache.join("venv.lock")).map_err(explain)?;
    lock.lock().map_err(explain)?;
    let (venv, python) = (cache.join("venv"), cache.join("venv/bin/python"));
    if succeeds(Command::new(&python).args(["-c", "import botocore"])).is_err() {
        succeeds(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", BOTOCORE];
        succeeds(Command::new(&python).args(install))?;
    }
    Ok(python)
}

fn succeeds(command: &mut Command) -> Result<(), String> {
    let Output { status, stderr, .. } = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&stderr);
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}: {}", said.trim())) }
}
