//! One node as a process, and what can be done to it.
//!
//! Holds: a node keeps its id, addresses and data directory through all its lives; its process
//! ends with this value.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use thalweg_client::NodeId;
use tokio::time::Instant;

use crate::admin_port;
use crate::ports::free_port;

/// A node that is not ready by then is broken. Generous: machines that test are busy.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// A node asked to end ends within this.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a process or its admin port is looked at; there is nothing to wait on.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Lines of a node's log shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// A node of a [`crate::TestCluster`].
#[derive(Debug)]
pub struct TestNode {
    id: NodeId,
    dir: PathBuf,
    public: SocketAddr,
    peer: SocketAddr,
    admin: SocketAddr,
    launch: Launch,
    child: Option<Child>,
}

/// How its process is started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) binary: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

impl TestNode {
    /// A node that is not running yet; its data and log lie under `dir`.
    pub(crate) fn new(id: NodeId, dir: PathBuf, launch: Launch) -> anyhow::Result<TestNode> {
        std::fs::create_dir_all(&dir)?;
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        Ok(TestNode { id, dir, public: address(), peer: address(), admin: address(), launch, child: None })
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Where clients reach it.
    pub fn public_address(&self) -> String {
        self.public.to_string()
    }

    /// Where other nodes reach it.
    pub fn peer_address(&self) -> String {
        self.peer.to_string()
    }

    /// Where its data lies.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The id of its process.
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Changes a setting, in the words of the environment, from its next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.launch.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Gives it further seeds.
    pub(crate) fn set_seeds(&mut self, seeds: &[String]) {
        self.launch.arguments.extend(["--seeds".to_owned(), seeds.join(",")]);
    }

    /// Starts its process and returns at once.
    pub fn start(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.child.is_none(), "node {} runs already", self.id);
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let binary = &self.launch.binary;
        let mut command = Command::new(binary);
        command.arg("server").args(self.own_arguments()).args(&self.launch.arguments);
        // A setting of the person who runs the tests is none of the node's.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("THALWEG_")) {
            command.env_remove(name);
        }
        command.envs(self.launch.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(log));
        self.child = Some(command.spawn().with_context(|| format!("cannot start {}", binary.display()))?);
        Ok(())
    }

    fn own_arguments(&self) -> Vec<String> {
        let pairs = [
            ("--node-id", self.id.to_string()),
            ("--data-dir", self.data_dir().display().to_string()),
            ("--public-address", self.public.to_string()),
            ("--peer-address", self.peer.to_string()),
            ("--admin-address", self.admin.to_string()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// Starts it and waits until it can serve.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.start()?;
        self.wait_ready().await
    }

    /// Whether it says it can serve; else what it says instead.
    pub async fn ready(&self) -> Result<(), String> {
        match admin_port::get(self.admin, "/readyz").await {
            Ok((200, _)) => Ok(()),
            Ok((_, reason)) => Err(reason.trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Waits until it can serve.
    pub async fn wait_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let Err(reason) = self.ready().await else { return Ok(()) };
            if let Some(status) = self.child.as_mut().context("not running")?.try_wait()? {
                self.child = None;
                bail!("node {} ended with {status} instead of becoming ready:\n{}", self.id, self.log_end());
            }
            anyhow::ensure!(Instant::now() < deadline, "node {} is not ready: {reason}", self.id);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The text of its metrics.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        Ok(admin_port::get(self.admin, "/metrics").await?.1)
    }

    /// Ends it at once, as a crash of the process would: SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        self.reap()
    }

    /// Sends a signal to its process.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().with_context(|| format!("node {} does not run", self.id))?;
        let pid = Pid::from_raw(child.id() as i32).context("a process has an id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits for a process that was killed.
    pub fn reap(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }

    /// Halts it as it is; its connections stay open: SIGSTOP.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on: SIGCONT.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end in order, and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_ended().await
    }

    /// Waits until it ends by itself.
    pub async fn wait_ended(&mut self) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + END_TIMEOUT;
        let child = self.child.as_mut().with_context(|| format!("node {} does not run", self.id))?;
        loop {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            anyhow::ensure!(Instant::now() < deadline, "node {} did not end", self.id);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Takes its disk away: the data directory is removed.
    pub fn wipe(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.child.is_none(), "node {} still runs", self.id);
        Ok(std::fs::remove_dir_all(self.data_dir())?)
    }

    /// Everything its processes have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The end of its log.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// A file beside its data for whatever a test needs.
    pub fn scratch_path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Opens one of its data files for writing, to damage it.
    pub fn open_for_damage(&self, path: &Path) -> anyhow::Result<File> {
        anyhow::ensure!(self.child.is_none(), "node {} still runs", self.id);
        Ok(OpenOptions::new().read(true).write(true).open(path)?)
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- node {} logged last:\n{}", self.id, self.log_end());
        }
    }
}
