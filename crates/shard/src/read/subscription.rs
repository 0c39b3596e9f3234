//! The one place that a subscriber has at a shard, held by a tail on the leader.
//!
//! Holds: the place is taken only after a majority has confirmed that this replica leads, and it
//! is lost with the leadership or the term, so that the next leader may give it away. It is
//! freed when this value is dropped, unless another tail has taken it over by then.

use std::sync::Arc;

use thalweg_raft::GroupStatus;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::ReadError;
use crate::replica::Replica;
use crate::subscriptions::{Admitted, Place, SubscriptionError};

/// Tells a tail that another one took its place; dropped when its term is over.
pub(crate) type EndTeller = oneshot::Sender<()>;

/// A place, while it is held.
pub(crate) struct Subscription {
    replica: Arc<Replica>,
    subscriber: String,
    place: Place,
    term: u64,
    status: watch::Receiver<GroupStatus>,
    told: oneshot::Receiver<()>,
}

impl Subscription {
    pub(crate) async fn open(replica: Arc<Replica>, subscriber: String, id: u64) -> Result<Subscription, ReadError> {
        let before = replica.status();
        if !before.leading {
            return Err(replica.not_leader());
        }
        replica.read_barrier().await?;
        let (teller, told) = oneshot::channel();
        let Admitted { place, taken_over } = {
            let mut subscriptions = replica.subscriptions().lock();
            let now = replica.status();
            if !now.leading || now.term != before.term {
                return Err(replica.not_leader());
            }
            subscriptions.open(now.term, &subscriber, id, teller, Instant::now())?
        };
        if let Some(other) = taken_over {
            // It may have ended by itself.
            let _ = other.send(());
        }
        replica.node().metrics.subscription_opened();
        let status = replica.status_changes();
        Ok(Subscription { replica, subscriber, place, term: before.term, status, told })
    }

    /// Returns when the place is lost, with the reason.
    pub(crate) async fn lost(&mut self) -> ReadError {
        let term = self.term;
        let deposed = self.status.wait_for(|status| !status.leading || status.term != term);
        tokio::select! {
            biased;
            told = &mut self.told => match told {
                Ok(()) => SubscriptionError::TakenOver.into(),
                Err(_) => self.replica.not_leader(),
            },
            // A status that changes no more is that of a replica which left.
            _ = deposed => self.replica.not_leader(),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.replica.subscriptions().lock().close(&self.subscriber, self.place);
        self.replica.node().metrics.subscription_closed();
    }
}
