//! `thalweg dev` as a person starts it: three nodes in one process.
//!
//! Holds: tests of one process that run at the same time share one cluster; it ends with the last
//! of them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use tempfile::TempDir;
use thalweg_client::{Client, Options};
use thalweg_test_cluster::eventually;
use tokio::sync::Mutex;

use crate::thalweg_binary;

/// Machines that test are busy; alone it takes a fifth of a second.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Lines of its log shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// A running `thalweg dev`.
#[derive(Debug)]
pub struct DevCluster {
    child: Child,
    endpoints: Vec<String>,
    dir: TempDir,
}

/// The line that `--ready-file` gets.
#[derive(Deserialize)]
struct Ready {
    endpoints: Vec<String>,
}

impl DevCluster {
    /// The cluster of this process.
    pub async fn shared() -> anyhow::Result<Arc<DevCluster>> {
        static SHARED: Mutex<Weak<DevCluster>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(DevCluster::start().await?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    async fn start() -> anyhow::Result<DevCluster> {
        let dir = tempfile::Builder::new().prefix("thalweg-clients-").tempdir()?;
        let binary = thalweg_binary();
        let mut command = Command::new(&binary);
        command.args(["dev", "--port", "0", "--ready-file"]).arg(dir.path().join("ready"));
        command.arg("--data-dir").arg(dir.path().join("data"));
        // A setting of the person who runs the tests is none of the cluster's.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("THALWEG_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(dir.path().join("log"))?);
        let child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        let mut cluster = DevCluster { child, endpoints: Vec::new(), dir };
        let path = cluster.dir.path().join("ready");
        let line = eventually("`thalweg dev` is ready", READY_TIMEOUT, async || std::fs::read_to_string(&path).ok());
        cluster.endpoints = serde_json::from_str::<Ready>(&line.await?)?.endpoints;
        Ok(cluster)
    }

    /// Where the programs go: any node answers any request.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The native client, which sees the same streams.
    pub fn client(&self) -> Client {
        Client::connect(Options::new(self.endpoints.clone())).expect("the endpoints are addresses")
    }

    /// Whatever its process has logged.
    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

impl Drop for DevCluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "--- the cluster logged last:\n{}",
                lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
            );
        }
    }
}
