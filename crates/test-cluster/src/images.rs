//! Every routing image that any node gives to clients, judged by the checker: the ranges of the open
//! shards cover the hash key space exactly, revisions rise, a closed shard stays closed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_checker::{History, Image, ImageShard};
use thalweg_client::{ShardDescription, StreamName};
use thalweg_proto::v1::cluster_service_client::ClusterServiceClient;
use thalweg_proto::v1::{StreamStatus, WatchRoutingRequest};
use tokio::task::JoinSet;

use crate::history::judge;

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
    history: History,
    complaints: Vec<String>,
    connections: u32,
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
        let Seen { history, mut complaints, .. } = self.seen.lock().clone();
        complaints.extend(judge(&history));
        (history.images.len(), complaints)
    }
}

async fn watch(endpoint: &str, stream: &StreamName, seen: &Mutex<Seen>) -> anyhow::Result<()> {
    let mut service = ClusterServiceClient::connect(format!("http://{endpoint}")).await?;
    let request = WatchRoutingRequest { stream_name: stream.to_string() };
    let mut images = service.watch_routing(request).await?.into_inner();
    // A node that starts again may begin with an older image: each connection is an observer.
    let observer = {
        let mut seen = seen.lock();
        seen.connections += 1;
        seen.connections
    };
    while let Some(image) = images.message().await? {
        // A stream that is being created has no open shards yet; a node may say so after another has them.
        if image.stream.as_ref().is_some_and(|stream| stream.status() == StreamStatus::Creating) {
            continue;
        }
        let revision = image.revision;
        let shards: Result<Vec<_>, _> = image.shards.into_iter().map(ShardDescription::try_from).collect();
        let mut seen = seen.lock();
        match shards {
            Ok(shards) => {
                let listed =
                    shards.iter().map(|shard| ImageShard { id: shard.id, range: shard.range, open: shard.is_open() });
                seen.history.images.push(Image { observer, revision, shards: listed.collect() });
            }
            Err(error) => seen.complaints.push(format!("{endpoint}, revision {revision}: {error}")),
        }
    }
    Ok(())
}
