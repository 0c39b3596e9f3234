//! Disks that lose power, fill up, stall, fail and lie.
//!
//! Holds: of the faults that take away what was acknowledged, one happens at a time, and it is
//! over only when the node has everything again.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::Signal;

use super::arena::{Arena, Happening, Hold, named};
use super::{Kind, operations};
use crate::node::Node;

/// What a full disk has left.
const LEFT_KIB: u64 = 256;
/// Writes a second of a slow disk.
const SLOW_IOPS: u32 = 20;
/// A stalled disk is found stalled, not slow.
const STALL_MAX: Duration = Duration::from_secs(12);
/// Where limits of block devices are set.
const BLKIO: &str = "/sys/fs/cgroup/blkio";

/// What a node says that ends because its files make no sense.
const CANNOT_OPEN: &str = "cannot open the data";

const NO_NODE: Happening = Happening::NotNow("no node is free");
const DISKS_TAKEN: Happening = Happening::NotNow("another disk is being repaired");

/// A fault of a disk.
pub(super) async fn happen(
    kind: Kind,
    arena: &Arena,
    lasts: Duration,
    random: &mut StdRng,
) -> anyhow::Result<Happening> {
    match kind {
        Kind::PowerCut => power_cut(arena, lasts, random).await,
        Kind::PowerCutAll => power_cut_all(arena, lasts).await,
        Kind::SyncError | Kind::WriteError => failing_calls(kind, arena, lasts, random).await,
        Kind::DiskFull | Kind::StalledDisk | Kind::SlowDisk => hinder(kind, arena, lasts, random).await,
        Kind::ReadOnly => read_only(arena, lasts, random).await,
        Kind::Wipe => operations::wipe(arena, random).await,
        _ => damage(kind, arena, lasts, random).await,
    }
}

async fn power_cut(arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(mut node) = arena.any_node(random, |_| true) else { return Ok(NO_NODE) };
    lose_power(&node)?;
    node.wait_ended().await?;
    tokio::time::sleep(lasts).await;
    node.disk().restore().await?;
    arena.restart(&mut node).await?;
    Ok(Happening::Happened(named(&[node.id()])))
}

/// At one moment: the process does not see its disk go.
fn lose_power(node: &Node) -> anyhow::Result<()> {
    node.signal(Signal::STOP)?;
    node.disk().cut_power()?;
    node.signal(Signal::KILL)
}

async fn power_cut_all(arena: &Arena, lasts: Duration) -> anyhow::Result<Happening> {
    let Some(mut nodes) = arena.all_nodes() else { return Ok(Happening::NotNow("not all nodes are free")) };
    nodes.iter().try_for_each(|node| node.signal(Signal::STOP))?;
    nodes.iter().try_for_each(|node| node.disk().cut_power())?;
    nodes.iter().try_for_each(|node| node.signal(Signal::KILL))?;
    for node in &mut nodes {
        node.wait_ended().await?;
    }
    tokio::time::sleep(lasts).await;
    for node in &nodes {
        node.disk().restore().await?;
    }
    arena.restart_all(&mut nodes).await?;
    Ok(Happening::Happened("all nodes".to_owned()))
}

async fn failing_calls(kind: Kind, arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(mut node) = arena.any_node(random, |_| true) else { return Ok(NO_NODE) };
    let calls = if kind == Kind::WriteError { "pwrite64,pwritev" } else { "fdatasync" };
    let mut strace = fail(&node, calls)?;
    let ended = node.wait_ended().await;
    let _ = strace.kill();
    strace.wait()?;
    let status = ended.with_context(|| format!("a node went on whose {calls} failed"))?;
    if status.success() {
        arena.recorder.violation(format!("node {}: {calls} failed and it ended as if all were well", node.id()));
    }
    tokio::time::sleep(lasts).await;
    arena.restart(&mut node).await?;
    Ok(Happening::Happened(named(&[node.id()])))
}

/// Makes some of its system calls fail with an I/O error.
fn fail(node: &Node, calls: &str) -> anyhow::Result<Child> {
    let process = node.process_id().context("the node does not run")?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-p", &process.to_string()]);
    strace.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error=EIO")]);
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    strace.spawn().context("cannot start strace")
}

async fn hinder(kind: Kind, arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(node) = arena.any_node(random, |_| true) else { return Ok(NO_NODE) };
    match kind {
        Kind::DiskFull => {
            node.disk().fill(LEFT_KIB).await?;
            tokio::time::sleep(lasts).await;
            node.disk().empty()?;
        }
        Kind::StalledDisk => {
            node.disk().freeze().await?;
            tokio::time::sleep(lasts.min(STALL_MAX)).await;
            node.disk().thaw().await?;
        }
        _ => {
            let Some(slow) = SlowDisk::of(&node)? else { return Ok(Happening::NotNow("no limits of devices here")) };
            tokio::time::sleep(lasts).await;
            drop(slow);
        }
    }
    Ok(Happening::Happened(named(&[node.id()])))
}

/// A control group in which a device does few writes; gone with this value.
struct SlowDisk {
    group: PathBuf,
    process: u32,
}

impl SlowDisk {
    fn of(node: &Node) -> anyhow::Result<Option<SlowDisk>> {
        let Some(process) = node.process_id() else { return Ok(None) };
        let group = Path::new(BLKIO).join(format!("thalweg-chaos-{}", node.id()));
        if !Path::new(BLKIO).join("cgroup.procs").exists() {
            return Ok(None);
        }
        std::fs::create_dir_all(&group)?;
        let slow = SlowDisk { group, process };
        let limit = format!("{} {SLOW_IOPS}", node.disk().device()?);
        std::fs::write(slow.group.join("blkio.throttle.write_iops_device"), limit)?;
        std::fs::write(slow.group.join("cgroup.procs"), process.to_string())?;
        Ok(Some(slow))
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // The process may have ended; then the group is empty.
        let _ = std::fs::write(Path::new(BLKIO).join("cgroup.procs"), self.process.to_string());
        let _ = std::fs::remove_dir(&self.group);
    }
}

async fn read_only(arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    // Nodes take turns between file systems by their ids; see `Disk`.
    let Some(mut node) = arena.any_node(random, |id| id.0 % 2 == 1) else { return Ok(NO_NODE) };
    node.disk().turn_read_only()?;
    tokio::time::sleep(lasts).await;
    // It may have ended by itself, which is right, or not have noticed yet.
    if node.ended()?.is_none() && node.has_process() {
        node.kill().await?;
    }
    node.disk().restore().await?;
    arena.restart(&mut node).await?;
    Ok(Happening::Happened(named(&[node.id()])))
}

async fn damage(kind: Kind, arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let Some(_damage) = arena.try_hold(Hold::Damage) else { return Ok(DISKS_TAKEN) };
    // A node whose store cannot be opened is replaced.
    let catalog = (kind == Kind::StoreFlip).then(|| arena.try_hold(Hold::Catalog));
    if matches!(catalog, Some(None)) {
        return Ok(Happening::NotNow("the catalog is being changed"));
    }
    let Some(mut node) = arena.any_node(random, |_| true) else { return Ok(NO_NODE) };
    node.kill().await?;
    let done = damage_files(kind, &node.disk().data_dir(), random);
    tokio::time::sleep(lasts).await;
    let restarted = arena.restart(&mut node).await;
    let Some(what) = done? else {
        return restarted.map(|()| Happening::NotNow("there is no such file yet"));
    };
    let id = node.id();
    match restarted {
        Ok(()) => arena.wait_repaired(id).await?,
        // It has noticed, and says that it cannot go on with what it has.
        Err(_) if kind == Kind::StoreFlip && !node.has_process() && node.log_end().contains(CANNOT_OPEN) => {
            let new = operations::replace(arena, id).await?;
            return Ok(Happening::Happened(format!("node {id}: {what}; it refused to start, replaced by {new}")));
        }
        Err(error) => return Err(error.context(what)),
    }
    Ok(Happening::Happened(format!("node {id}: {what}")))
}

fn damage_files(kind: Kind, data: &Path, random: &mut StdRng) -> anyhow::Result<Option<String>> {
    let dir = if kind == Kind::StoreFlip { data.join("store") } else { data.join("wal") };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("{}", dir.display()))? {
        let (path, name) = {
            let entry = entry?;
            (entry.path(), entry.file_name().to_string_lossy().into_owned())
        };
        let records = name.ends_with(".sst") || name.ends_with(".blob");
        if path.is_file() && (kind != Kind::StoreFlip || records) && holds_something(&path)? {
            files.push((path, name));
        }
    }
    files.sort();
    if files.is_empty() {
        return Ok(None);
    }
    let (path, name) = &files[random.random_range(0..files.len())];
    let bytes = std::fs::read(path)?;
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let at = random.random_range(0..used.max(1));
    match kind {
        Kind::WalDelete => std::fs::remove_file(path)?,
        Kind::WalCut => std::fs::OpenOptions::new().write(true).open(path)?.set_len(at as u64)?,
        _ => {
            let flipped = bytes[at] ^ (1 << random.random_range(0..8u32));
            std::fs::OpenOptions::new().write(true).open(path)?.write_all_at(&[flipped], at as u64)?;
        }
    }
    Ok(Some(format!("{name} at {at} of {used}")))
}

fn holds_something(path: &Path) -> anyhow::Result<bool> {
    Ok(std::fs::read(path)?.iter().any(|byte| *byte != 0))
}
