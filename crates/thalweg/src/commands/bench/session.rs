//! The stream to measure with, made for the occasion unless one was named, and the host's limits.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_client::{Client, CreateStream, Durability, Image, ShardId, StreamDescription, StreamName};

use super::Common;
use super::usage::Servers;
use crate::host::{self, SyncProbe};
use crate::progress;

/// How long one probe of the host takes.
const PROBE: Duration = Duration::from_millis(1_500);
/// How long a new stream may take to have leaders everywhere.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const SYNC_BLOCK_BYTES: usize = 64 * 1024;

/// The host's own limits.
#[derive(Clone, Debug)]
pub(super) struct HostLimits {
    pub(super) sync: SyncProbe,
    pub(super) loopback_mb_per_s: f64,
}

/// Everything that a measurement works with.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) stream: StreamDescription,
    pub(super) image: Arc<Image>,
    pub(super) servers: Servers,
    pub(super) host: Option<HostLimits>,
    delete_after: bool,
}

impl Session {
    /// Measures the host, finds the servers and makes the stream.
    pub(super) async fn begin(common: &Common) -> anyhow::Result<Session> {
        let client = common.connect.client()?;
        let cluster = client.cluster().describe().await?;
        let servers = Servers::find(&cluster, &common.server_pid, &common.host_dir());
        let host = if common.no_host { None } else { Some(probe_host(common).await?) };
        let (name, delete_after) = match &common.stream {
            Some(name) => (name.clone(), false),
            None => (create(&client, common).await?, !common.keep),
        };
        let image = ready(&client, &name).await?;
        let stream = client.streams().describe(&name).await?;
        Ok(Session { client, stream, image, servers, host, delete_after })
    }

    /// The stream's name.
    pub(super) fn name(&self) -> &StreamName {
        &self.stream.name
    }

    /// The open shards.
    pub(super) fn shards(&self) -> Vec<ShardId> {
        self.image.open_shards().map(|shard| shard.id).collect()
    }

    /// Deletes the stream that was made.
    pub(super) async fn end(&self) -> anyhow::Result<()> {
        if self.delete_after {
            self.client.streams().delete(&self.stream.name).await?;
        }
        Ok(())
    }
}

async fn probe_host(common: &Common) -> anyhow::Result<HostLimits> {
    let spinner = progress::spinner("measuring this host");
    let dir = common.host_dir();
    let probes = tokio::task::spawn_blocking(move || -> std::io::Result<HostLimits> {
        let sync = host::sync_probe(&dir, SYNC_BLOCK_BYTES, PROBE)?;
        Ok(HostLimits { sync, loopback_mb_per_s: host::loopback_probe(PROBE)? })
    });
    let limits = probes.await??;
    spinner.finish_and_clear();
    Ok(limits)
}

async fn create(client: &Client, common: &Common) -> anyhow::Result<StreamName> {
    let name: StreamName = format!("bench-{:08x}", StdRng::from_os_rng().random::<u32>()).parse()?;
    let spinner = progress::spinner(format!("creating `{name}` with {} shards", common.shards));
    let settings = CreateStream {
        shard_count: Some(common.shards),
        replication: common.replication,
        durability: common.durability_os.then_some(Durability::Os),
        record_bytes_max: Some((common.record_size + 1024).max(1024 * 1024)),
        ..CreateStream::default()
    };
    client.streams().create(&name, settings).await?;
    spinner.finish_and_clear();
    Ok(name)
}

/// Waits until every open shard has a leader.
async fn ready(client: &Client, name: &StreamName) -> anyhow::Result<Arc<Image>> {
    let routing = client.routing(name);
    let mut changes = routing.watch();
    let waiting = async {
        loop {
            let image = routing.known(READY_TIMEOUT).await?;
            let mut shards = image.open_shards().peekable();
            if shards.peek().is_some() && shards.all(|shard| image.leader_address(shard.id).is_some()) {
                return anyhow::Ok(image.clone());
            }
            changes.changed().await?;
        }
    };
    match tokio::time::timeout(READY_TIMEOUT, waiting).await {
        Ok(image) => image,
        Err(_) => anyhow::bail!("not every shard of `{name}` has a leader after {READY_TIMEOUT:?}"),
    }
}
