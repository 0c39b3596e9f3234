//! The task that keeps a stream's image fresh: a watch on any node, and another node when that
//! one fails or is told to be stale.
//!
//! Holds: an image never goes back to an older revision. A stream counts as gone only when it
//! was reported missing for a while, because a node may not yet know a stream just created.

use std::sync::Arc;
use std::time::Duration;

use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::{WatchRoutingRequest, WatchRoutingResponse};
use tokio::time::{Instant, timeout};
use tonic::Streaming;

use super::{Core, Image, RoutingState};
use crate::backoff::Backoff;
use crate::call::is_broken_connection;
use crate::client::stub;
use crate::pool::Pool;

/// For a node to send its first image.
const FIRST_IMAGE_TIMEOUT: Duration = Duration::from_secs(2);
/// A stream reported missing for this long is gone.
const MISSING_GRACE: Duration = Duration::from_millis(500);
/// An image younger than this is not asked for again.
const STALE_AFTER: Duration = Duration::from_millis(100);

struct Watcher {
    core: Arc<Core>,
    pool: Arc<Pool>,
    backoff: Backoff,
    missing_since: Option<Instant>,
}

/// Watches until the stream is gone.
pub(super) async fn run(core: Arc<Core>, pool: Arc<Pool>, seed: u64) {
    let mut watcher = Watcher { core, pool, backoff: Backoff::seeded(seed), missing_since: None };
    for attempt in 0.. {
        let addresses = watcher.pool.addresses();
        let address = &addresses[attempt % addresses.len()];
        let Err(error) = watcher.follow(address).await else { continue };
        tracing::debug!(stream = %watcher.core.stream, address, %error, "routing watch ended");
        if watcher.is_gone(&error) {
            watcher.core.state.send_replace(RoutingState::Gone);
            return;
        }
        watcher.note_failure(&error);
        let delay = watcher.backoff.next_elsewhere();
        tokio::time::sleep(delay).await;
    }
}

impl Watcher {
    /// Follows one node until it fails; Ok when another node is to be asked.
    async fn follow(&mut self, address: &str) -> Result<(), WireError> {
        let mut images = self.open(address).await?;
        let first = timeout(FIRST_IMAGE_TIMEOUT, images.message()).await;
        self.take(received(first.unwrap_or(Ok(None)))?)?;
        self.backoff.reset();
        self.missing_since = None;
        let core = self.core.clone();
        loop {
            let fresh_since = Instant::now();
            tokio::select! {
                message = images.message() => self.take(received(message)?)?,
                () = stale(&core, fresh_since) => return Ok(()),
            }
        }
    }

    async fn open(&self, address: &str) -> Result<Streaming<WatchRoutingResponse>, WireError> {
        let unavailable = |text: String| WireError::new(Reason::Unavailable, text);
        let connection = self.pool.connection(address).await.map_err(|error| unavailable(error.to_string()))?;
        let request = WatchRoutingRequest { stream_name: self.core.stream.to_string() };
        let mut stub = stub::cluster(connection.channel.clone());
        match timeout(FIRST_IMAGE_TIMEOUT, stub.watch_routing(request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => {
                if is_broken_connection(&status) {
                    self.pool.forget(&connection);
                }
                Err(WireError::from_status(&status))
            }
            Err(_) => Err(unavailable(format!("{address} sent no routing image"))),
        }
    }

    fn take(&self, message: WatchRoutingResponse) -> Result<(), WireError> {
        let image = Image::try_from(message)?;
        let addresses: Vec<String> = image.addresses().map(str::to_owned).collect();
        self.pool.learn(addresses.iter());
        self.core.state.send_if_modified(|state| match state {
            RoutingState::Known(old) if !image.succeeds(old) => false,
            RoutingState::Known(old) => {
                *state = RoutingState::Known(Arc::new(image.keeping_hints_of(old)));
                true
            }
            _ => {
                *state = RoutingState::Known(Arc::new(image));
                true
            }
        });
        Ok(())
    }

    fn is_gone(&mut self, error: &WireError) -> bool {
        if error.reason != Reason::StreamNotFound {
            return false;
        }
        self.missing_since.get_or_insert_with(Instant::now).elapsed() >= MISSING_GRACE
    }

    fn note_failure(&self, error: &WireError) {
        self.core.state.send_if_modified(|state| match state {
            RoutingState::Unknown(last) => {
                *last = Some(error.message.clone());
                false
            }
            _ => false,
        });
    }
}

fn received(message: Result<Option<WatchRoutingResponse>, tonic::Status>) -> Result<WatchRoutingResponse, WireError> {
    let ended = || WireError::new(Reason::Unavailable, "the routing watch ended without an image");
    message.map_err(|status| WireError::from_status(&status))?.ok_or_else(ended)
}

/// Returns when someone found the image of `fresh_since` stale.
async fn stale(core: &Core, fresh_since: Instant) {
    core.stale.notified().await;
    tokio::time::sleep_until(fresh_since + STALE_AFTER).await;
}
