//! The task behind a consumer: starts a reader for each shard whose turn has come.

use std::sync::Arc;

use thalweg_types::ShardId;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ConsumeError;
use super::lineage::Lineage;
use super::reader::{self, ReaderContext};
use crate::routing::{RoutingError, RoutingState};

pub(super) struct Coordinator {
    context: Arc<ReaderContext>,
    lineage: Lineage,
    // Aborts all readers when the coordinator is dropped.
    readers: JoinSet<(ShardId, Result<(), ConsumeError>)>,
}

impl Coordinator {
    pub(super) fn new(context: ReaderContext, lineage: Lineage) -> Coordinator {
        Coordinator { context: Arc::new(context), lineage, readers: JoinSet::new() }
    }

    /// Runs until a shard cannot be read, the stream is gone or the consumer is dropped.
    pub(super) async fn run(mut self) {
        let mut routing = self.context.routing.watch();
        routing.mark_changed();
        let error = loop {
            tokio::select! {
                changed = routing.changed() => if changed.is_err() { return },
                Some(joined) = self.readers.join_next() => match joined {
                    Ok((shard, Ok(()))) => self.lineage.finish(shard),
                    Ok((_, Err(error))) => break error,
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
            }
            if let Err(error) = self.begin_ready(&mut routing) {
                break error;
            }
        };
        // The consumer may have been dropped.
        let _ = self.context.sender.send(Err(error));
    }

    fn begin_ready(&mut self, routing: &mut watch::Receiver<RoutingState>) -> Result<(), ConsumeError> {
        let image = match &*routing.borrow_and_update() {
            RoutingState::Known(image) => image.clone(),
            RoutingState::Unknown(_) => return Ok(()),
            RoutingState::Gone => {
                let stream = self.context.routing.stream().clone();
                return Err(RoutingError::StreamNotFound { stream }.into());
            }
        };
        for (shard, position) in self.lineage.begin_ready(&image) {
            let context = self.context.clone();
            self.readers.spawn(async move { (shard, reader::run(&context, shard, position).await) });
        }
        Ok(())
    }
}
