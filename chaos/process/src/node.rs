//! One `thalweg server` process in its own namespace and on its own disk.
//!
//! Holds: a node keeps its id, address and disk through all its lives.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use thalweg_client::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::disk::Disk;
use crate::net::{self, Port};
use crate::tools::run;

/// Where every node listens, each at its own address.
const PUBLIC_PORT: u16 = 4567;
const PEER_PORT: u16 = 4568;
const ADMIN_PORT: u16 = 4569;
/// A node asked to end ends within this.
const END_TIMEOUT: Duration = Duration::from_secs(40);
/// A node that answers at all answers within this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a process is looked at; there is nothing to wait on.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The library that lies about the time, below a directory of /usr/lib named for the machine.
const FAKETIME: &str = "faketime/libfaketime.so.1";

/// How nodes are started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// The program.
    pub(crate) binary: PathBuf,
    /// Settings, in the words of the environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Peer addresses to form or join a cluster with.
    pub(crate) seeds: Vec<String>,
    /// Whether its wall clock can be set.
    pub(crate) clock: bool,
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    id: NodeId,
    disk: Disk,
    log: PathBuf,
    clock: PathBuf,
    launch: Launch,
    child: Option<Child>,
    state: SharedState,
}

/// How a node's process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// There is none.
    #[default]
    Down,
    /// It runs.
    Running,
    /// It was stopped by a signal and goes on with another.
    Halted,
    /// It has left the cluster for good.
    Gone,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            State::Down => "down",
            State::Running => "up",
            State::Halted => "halted",
            State::Gone => "gone",
        })
    }
}

/// A node's state for whoever does not hold the node.
pub(crate) type SharedState = Arc<Mutex<State>>;

/// The port of a node.
pub(crate) fn port(id: NodeId) -> Port {
    Port(id.0 as u8)
}

/// Where clients reach a node.
pub(crate) fn public_address(id: NodeId) -> String {
    format!("{}:{PUBLIC_PORT}", net::address(port(id)))
}

/// Where other nodes reach a node.
pub(crate) fn peer_address(id: NodeId) -> String {
    format!("{}:{PEER_PORT}", net::address(port(id)))
}

/// Where its health is told.
pub(crate) fn admin_address(id: NodeId) -> String {
    format!("{}:{ADMIN_PORT}", net::address(port(id)))
}

impl Node {
    /// A node that does not run yet. `logs` is where its log goes.
    pub(crate) fn new(id: NodeId, disk: Disk, logs: &Path, launch: Launch) -> Node {
        let log = logs.join(format!("node-{id}.log"));
        let clock = logs.join(format!("node-{id}.clock"));
        Node { id, disk, log, clock, launch, child: None, state: SharedState::default() }
    }

    /// Its id.
    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    /// How it is, kept up to date.
    pub(crate) fn state(&self) -> SharedState {
        self.state.clone()
    }

    /// Its disk.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Its port on the switch.
    pub(crate) fn port(&self) -> Port {
        port(self.id)
    }

    /// Starts its process and returns at once.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.child.is_none(), "node {} runs already", self.id);
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", net::namespace(self.port()))).arg("--");
        command.arg(&self.launch.binary).arg("server").args(self.arguments());
        // A setting of the person who runs this is none of the node's.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("THALWEG_")) {
            command.env_remove(name);
        }
        command.envs(self.launch.environment.iter().cloned());
        if self.launch.clock {
            self.give_clock(&mut command)?;
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(log));
        self.child = Some(command.spawn().context("cannot start nsenter")?);
        *self.state.lock() = State::Running;
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        let pairs = [
            ("--node-id", self.id.to_string()),
            ("--data-dir", self.disk.data_dir().display().to_string()),
            ("--public-address", public_address(self.id)),
            ("--peer-address", peer_address(self.id)),
            ("--admin-address", admin_address(self.id)),
            ("--zone", format!("zone-{}", self.id)),
            ("--seeds", self.launch.seeds.join(",")),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    fn give_clock(&self, command: &mut Command) -> anyhow::Result<()> {
        if !self.clock.exists() {
            std::fs::write(&self.clock, "+0\n")?;
        }
        let library = faketime().context("clocks cannot be set: libfaketime is missing")?;
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &self.clock);
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("FAKETIME_CACHE_DURATION", "1");
        Ok(())
    }

    /// Whether clocks can be set here at all.
    pub(crate) fn has_faketime() -> bool {
        faketime().is_some()
    }

    /// Sets its wall clock: so many seconds ahead of the machine's, or behind, and running at so
    /// many times its speed.
    pub(crate) fn set_clock(&self, ahead_secs: i64, speed: f64) -> anyhow::Result<()> {
        let speed = if speed == 1.0 { String::new() } else { format!(" x{speed}") };
        Ok(std::fs::write(&self.clock, format!("{ahead_secs:+}{speed}\n"))?)
    }

    /// Stops its wall clock where the machine's is now.
    pub(crate) fn stop_clock(&self) -> anyhow::Result<()> {
        let now = run("date +%Y-%m-%d_%H:%M:%S")?;
        Ok(std::fs::write(&self.clock, now.replace('_', " "))?)
    }

    /// Whether it has a process, halted or not.
    pub(crate) fn has_process(&self) -> bool {
        self.child.is_some()
    }

    /// The id of its process.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().with_context(|| format!("node {} does not run", self.id))?;
        kill_process(Pid::from_child(child), signal)?;
        match signal {
            Signal::STOP => *self.state.lock() = State::Halted,
            Signal::CONT => *self.state.lock() = State::Running,
            _ => {}
        }
        Ok(())
    }

    /// Ends its process as a crash would, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        self.wait_ended().await.map(drop)
    }

    /// Asks it to end in order, and waits until it has.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_ended().await
    }

    /// How its process ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let Some(child) = self.child.as_mut() else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
            *self.state.lock() = State::Down;
        }
        Ok(status)
    }

    /// Waits until its process has ended.
    pub(crate) async fn wait_ended(&mut self) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + END_TIMEOUT;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            anyhow::ensure!(self.child.is_some(), "node {} does not run", self.id);
            anyhow::ensure!(Instant::now() < deadline, "node {} did not end within {END_TIMEOUT:?}", self.id);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until it can serve.
    pub(crate) async fn wait_ready(&mut self, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            anyhow::ensure!(self.child.is_some(), "node {} does not run", self.id);
            if let Some(status) = self.ended()? {
                anyhow::bail!("node {} ended instead of getting ready ({status}):\n{}", self.id, self.log_end());
            }
            let answer = get(self.id, "/readyz").await;
            // One that is being drained does all that it is there for.
            if answer.as_ref().is_some_and(|(status, why)| *status == 200 || why.trim() == "draining") {
                return Ok(());
            }
            let why = || answer.as_ref().map_or("no answer".to_owned(), |(_, why)| why.trim().to_owned());
            anyhow::ensure!(Instant::now() < deadline, "node {} is not ready within {within:?}: {}", self.id, why());
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The last lines of its log.
    pub(crate) fn log_end(&self) -> String {
        const LINES: usize = 12;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn faketime() -> Option<PathBuf> {
    let dirs = std::fs::read_dir("/usr/lib").ok()?.flatten();
    dirs.map(|dir| dir.path().join(FAKETIME)).find(|path| path.exists())
}

/// A figure among a node's metrics.
pub(crate) async fn metric(id: NodeId, name: &str) -> Option<f64> {
    let (_, body) = get(id, "/metrics").await?;
    let line = body.lines().find(|line| line.split([' ', '{']).next() == Some(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

async fn get(id: NodeId, path: &str) -> Option<(u16, String)> {
    let address = admin_address(id);
    let asked = async {
        let mut connection = TcpStream::connect(&address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(ANSWER_TIMEOUT, asked).await.ok()?.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
