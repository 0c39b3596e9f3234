//! What the cluster says about itself: every routing image that every node gives out, and who leads.
//!
//! Holds: each connection is an observer of its own, since a node that starts again may begin with
//! an older image; images of a stream that is being created are left out, for nothing tiles yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_checker::{Image, ImageShard, Parent, Position, Reshard};
use thalweg_client::{Client, NodeId, ShardDescription, ShardId, StreamName};
use thalweg_proto::v1::cluster_service_client::ClusterServiceClient;
use thalweg_proto::v1::{StreamStatus, WatchRoutingRequest};
use tokio::task::JoinSet;

use crate::node::public_address;
use crate::record::Recorder;

/// Between two attempts to watch a node that is down, and two looks at the controller.
const RETRY: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(500);
/// The largest image.
const IMAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A connection that is silent for so long is opened anew.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// The newest that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The newest revision that anybody told.
    pub(crate) revision: u64,
    /// All shards of that revision, by id.
    pub(crate) shards: BTreeMap<ShardId, ShardDescription>,
    /// The node that leads the controller.
    pub(crate) controller: Option<NodeId>,
    /// When each shard was first seen.
    first_seen: HashMap<ShardId, u64>,
}

impl View {
    /// Shards that take records.
    pub(crate) fn open_shards(&self) -> impl Iterator<Item = &ShardDescription> {
        self.shards.values().filter(|shard| shard.is_open())
    }

    /// How many open shards each node leads.
    pub(crate) fn leaders(&self) -> BTreeMap<NodeId, usize> {
        let mut leaders = BTreeMap::new();
        for leader in self.open_shards().filter_map(|shard| shard.leader) {
            *leaders.entry(leader).or_default() += 1;
        }
        leaders
    }

    /// The reshards that made these shards.
    pub(crate) fn reshards(&self) -> Vec<Reshard> {
        let mut by_parents: BTreeMap<Vec<ShardId>, Vec<&ShardDescription>> = BTreeMap::new();
        for shard in self.shards.values() {
            let mut parents: Vec<ShardId> = shard.parents().collect();
            parents.sort_unstable();
            if !parents.is_empty() {
                by_parents.entry(parents).or_default().push(shard);
            }
        }
        by_parents.into_iter().map(|(parents, children)| self.reshard(&parents, &children)).collect()
    }

    fn reshard(&self, parents: &[ShardId], children: &[&ShardDescription]) -> Reshard {
        let seen = children.iter().filter_map(|child| self.first_seen.get(&child.id)).min();
        let last = |id: &ShardId| self.shards.get(id).and_then(|shard| shard.ending).map(Position::from);
        Reshard {
            call: 0,
            done: seen.copied().unwrap_or(u64::MAX),
            parents: parents.iter().map(|id| Parent { id: *id, last: last(id) }).collect(),
            children: children.iter().map(|child| (child.id, child.range)).collect(),
        }
    }
}

/// Watches while it lives.
#[derive(Debug)]
pub(crate) struct Observer {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    stream: StreamName,
    recorder: Arc<Recorder>,
    view: Mutex<View>,
    observers: AtomicU32,
}

impl Observer {
    /// Watches nothing yet but who leads the controller.
    pub(crate) fn start(client: Client, stream: &StreamName, recorder: &Arc<Recorder>) -> Observer {
        let (stream, recorder) = (stream.clone(), recorder.clone());
        let shared = Arc::new(Shared { stream, recorder, view: Mutex::default(), observers: AtomicU32::new(0) });
        let mut tasks = JoinSet::new();
        let looking = shared.clone();
        tasks.spawn(async move {
            loop {
                if let Ok(cluster) = client.cluster().describe().await {
                    looking.view.lock().controller = cluster.controller_leader;
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Observer { shared, tasks: Mutex::new(tasks) }
    }

    /// Watches the images of a node as well, through its failures.
    pub(crate) fn add_node(&self, node: NodeId) {
        let shared = self.shared.clone();
        self.tasks.lock().spawn(async move {
            loop {
                // It ends whenever the node does.
                let _ = shared.watch(node).await;
                tokio::time::sleep(RETRY).await;
            }
        });
    }

    /// The newest that is known.
    pub(crate) fn view(&self) -> View {
        self.shared.view.lock().clone()
    }
}

impl Shared {
    async fn watch(&self, node: NodeId) -> anyhow::Result<()> {
        let endpoint = tonic::transport::Endpoint::new(format!("http://{}", public_address(node)))?
            .connect_timeout(Duration::from_secs(1))
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true);
        let mut service =
            ClusterServiceClient::new(endpoint.connect().await?).max_decoding_message_size(IMAGE_BYTES_MAX);
        let request = WatchRoutingRequest { stream_name: self.stream.to_string() };
        let mut images = service.watch_routing(request).await?.into_inner();
        let observer = self.observers.fetch_add(1, Ordering::Relaxed);
        while let Some(image) = images.message().await? {
            if image.stream.as_ref().is_some_and(|stream| stream.status() == StreamStatus::Creating) {
                continue;
            }
            let revision = image.revision;
            let shards: Result<Vec<_>, _> = image.shards.into_iter().map(ShardDescription::try_from).collect();
            match shards {
                Ok(shards) => self.note(observer, revision, shards),
                Err(error) => {
                    self.recorder.violation(format!("node {node} gave an image that makes no sense: {error}"))
                }
            }
        }
        Ok(())
    }

    fn note(&self, observer: u32, revision: u64, shards: Vec<ShardDescription>) {
        let listed = shards.iter().map(|shard| ImageShard { id: shard.id, range: shard.range, open: shard.is_open() });
        self.recorder.image(Image { observer, revision, shards: listed.collect() });
        let now = self.recorder.now();
        let mut view = self.view.lock();
        for shard in &shards {
            view.first_seen.entry(shard.id).or_insert(now);
        }
        if revision >= view.revision {
            view.revision = revision;
            view.shards = shards.into_iter().map(|shard| (shard.id, shard)).collect();
        }
    }
}
