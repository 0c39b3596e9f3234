//! Where the records of a stream go: an image per stream, shared by all producers and consumers
//! of a client.
//!
//! A task watches the cluster's own image ([`watcher`]); refusals that name a leader correct it
//! at once. Holders see each new image through a watch; reading it takes no lock that waits.

mod image;
mod kept;
mod watcher;

use std::sync::{Arc, Weak};
use std::time::Duration;

use thalweg_types::{HashKey, ShardId, StreamId, StreamName};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

pub use image::Image;
pub(crate) use kept::Routings;

use crate::pool::Pool;

/// How far a stream's routing is known.
#[derive(Clone, Debug)]
pub enum RoutingState {
    /// No node has answered yet; the text says why the last one did not.
    Unknown(Option<String>),
    /// As of the newest image.
    Known(Arc<Image>),
    /// There is no such stream, or there no longer is.
    Gone,
}

/// Why a record's place is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutingError {
    /// No such stream.
    #[error("stream `{stream}` does not exist")]
    StreamNotFound {
        /// Its name.
        stream: StreamName,
    },
    /// No node told in time.
    #[error("the routing of stream `{stream}` did not become known within {waited:?}; the last error: {last}")]
    Unreachable {
        /// The stream.
        stream: StreamName,
        /// How long it was tried.
        waited: Duration,
        /// Why the last attempt failed.
        last: String,
    },
}

/// Where a hash key's records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardRoute {
    /// The incarnation of the stream.
    pub stream_id: StreamId,
    /// The open shard that takes the key.
    pub shard: ShardId,
    /// `host:port` of its leader, where one is known.
    pub leader: Option<String>,
}

/// A stream's routing. Cheap to clone; the watch behind it ends with the last clone.
#[derive(Clone)]
pub struct Routing {
    shared: Arc<Shared>,
}

/// What handles and the watching task share.
pub(crate) struct Shared {
    core: Arc<Core>,
    task: AbortHandle,
}

struct Core {
    stream: StreamName,
    state: watch::Sender<RoutingState>,
    stale: Notify,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Routing {
    pub(crate) fn follow(pool: Arc<Pool>, stream: StreamName, seed: u64) -> Routing {
        let core =
            Arc::new(Core { stream, state: watch::Sender::new(RoutingState::Unknown(None)), stale: Notify::new() });
        let task = tokio::spawn(watcher::run(core.clone(), pool, seed)).abort_handle();
        Routing { shared: Arc::new(Shared { core, task }) }
    }

    pub(crate) fn of(shared: Arc<Shared>) -> Routing {
        Routing { shared }
    }

    pub(crate) fn downgrade(&self) -> Weak<Shared> {
        Arc::downgrade(&self.shared)
    }

    /// The stream it is about.
    pub fn stream(&self) -> &StreamName {
        &self.shared.core.stream
    }

    /// The newest image, where there is one.
    pub fn image(&self) -> Option<Arc<Image>> {
        match &*self.shared.core.state.borrow() {
            RoutingState::Known(image) => Some(image.clone()),
            _ => None,
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(*self.shared.core.state.borrow(), RoutingState::Gone)
    }

    /// Sees every later state.
    pub fn watch(&self) -> watch::Receiver<RoutingState> {
        self.shared.core.state.subscribe()
    }

    /// The newest image, once there is one.
    pub async fn known(&self, timeout: Duration) -> Result<Arc<Image>, RoutingError> {
        let mut watch = self.watch();
        let decided = watch.wait_for(|state| !matches!(state, RoutingState::Unknown(_)));
        match tokio::time::timeout(timeout, decided).await {
            Ok(Ok(state)) => match &*state {
                RoutingState::Known(image) => Ok(image.clone()),
                _ => Err(RoutingError::StreamNotFound { stream: self.stream().clone() }),
            },
            _ => Err(self.unreachable(timeout)),
        }
    }

    fn unreachable(&self, waited: Duration) -> RoutingError {
        let last = match &*self.shared.core.state.borrow() {
            RoutingState::Unknown(Some(last)) => last.clone(),
            _ => "none".to_owned(),
        };
        RoutingError::Unreachable { stream: self.stream().clone(), waited, last }
    }

    /// Where records with `key` go now.
    pub async fn route(&self, key: HashKey, timeout: Duration) -> Result<ShardRoute, RoutingError> {
        let image = self.known(timeout).await?;
        image.route(key).ok_or_else(|| self.unreachable(timeout))
    }

    /// A refusal named the leader of a shard.
    pub(crate) fn note_leader(&self, shard: ShardId, address: &str) {
        self.shared.core.state.send_if_modified(|state| match state {
            RoutingState::Known(image) if image.leader_address(shard) != Some(address) => {
                *image = Arc::new(image.with_leader(shard, address));
                true
            }
            _ => false,
        });
    }

    /// What a node said contradicts the image: ask another node for it.
    pub(crate) fn note_stale(&self) {
        self.shared.core.stale.notify_one();
    }
}

impl std::fmt::Debug for Routing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routing").field("stream", self.stream()).finish_non_exhaustive()
    }
}
