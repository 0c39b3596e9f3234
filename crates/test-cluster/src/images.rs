//! Every routing image that any node gives to clients, checked as it comes.
//!
//! # To ensure correctness
//! The ranges of the open shards cover the hash key space exactly, in every image.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_client::{HashKey, ShardDescription, StreamName};
use thalweg_proto::v1::cluster_service_client::ClusterServiceClient;
use thalweg_proto::v1::{StreamStatus, WatchRoutingRequest};
use tokio::task::JoinSet;

/// Between two attempts to watch a node that is down.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Watches the images of one stream at every node.
#[derive(Debug)]
pub struct ImageWatch {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

/// What came so far.
#[derive(Clone, Debug, Default)]
struct Seen {
    images: usize,
    complaints: Vec<String>,
}

impl ImageWatch {
    /// Begins to watch at each of `endpoints`, through their failures.
    pub fn start(endpoints: Vec<String>, stream: &StreamName) -> ImageWatch {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        for endpoint in endpoints {
            let (stream, seen) = (stream.clone(), seen.clone());
            tasks.spawn(async move {
                loop {
                    // It ends whenever the node does.
                    let _ = watch(&endpoint, &stream, &seen).await.is_ok();
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            });
        }
        ImageWatch { seen, _tasks: tasks }
    }

    /// How many images came, and what was wrong with them.
    pub fn finish(self) -> (usize, Vec<String>) {
        let seen = self.seen.lock().clone();
        (seen.images, seen.complaints)
    }
}

async fn watch(endpoint: &str, stream: &StreamName, seen: &Mutex<Seen>) -> anyhow::Result<()> {
    let mut service = ClusterServiceClient::connect(format!("http://{endpoint}")).await?;
    let request = WatchRoutingRequest { stream_name: stream.to_string() };
    let mut images = service.watch_routing(request).await?.into_inner();
    while let Some(image) = images.message().await? {
        // A stream that is being created has no open shards yet; a node may say so after another has them.
        if image.stream.as_ref().is_some_and(|stream| stream.status() == StreamStatus::Creating) {
            continue;
        }
        let shards: Result<Vec<_>, _> = image.shards.into_iter().map(ShardDescription::try_from).collect();
        let complaint = shards.map_or_else(|error| Some(error.to_string()), |shards| gap(&shards));
        let mut seen = seen.lock();
        seen.images += 1;
        seen.complaints.extend(complaint.map(|gap| format!("{endpoint}, revision {}: {gap}", image.revision)));
    }
    Ok(())
}

/// Where the open shards do not cover the key space exactly.
fn gap(shards: &[ShardDescription]) -> Option<String> {
    let mut open: Vec<_> = shards.iter().filter(|shard| shard.is_open()).collect();
    open.sort_by_key(|shard| shard.range.start());
    let begins = open.first().is_some_and(|first| first.range.start() == HashKey::MIN);
    let ends = open.last().is_some_and(|last| last.range.end() == HashKey::MAX);
    let hole = open.windows(2).find(|pair| !pair[0].range.touches(&pair[1].range));
    match hole {
        Some(pair) => Some(format!("{} and {} do not touch", pair[0].id, pair[1].id)),
        None if begins && ends => None,
        None => Some("the open shards do not reach from the first key to the last".to_owned()),
    }
}
