//! One connection to each node, shared by everything in a client.
//!
//! Connections are opened explicitly, so that "could not connect" (certainly not applied) stays
//! apart from "broke while a request was on its way" (perhaps applied).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};
use tonic::transport::{Channel, Endpoint};

use crate::{Options, connect};

/// No connection to a node: nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot connect to {address}: {why}")]
pub(crate) struct Unreachable {
    pub(crate) address: String,
    pub(crate) why: String,
}

/// An open connection.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) address: String,
    pub(crate) channel: Channel,
    slot: Arc<OnceCell<Channel>>,
}

/// Connections by address, and which addresses are known.
pub(crate) struct Pool {
    options: Options,
    slots: Mutex<HashMap<String, Arc<OnceCell<Channel>>>>,
    known: Mutex<Vec<String>>,
    preferred: AtomicUsize,
}

impl Pool {
    pub(crate) fn new(options: Options) -> Pool {
        let known = Mutex::new(options.endpoints.clone());
        Pool { options, slots: Mutex::default(), known, preferred: AtomicUsize::new(0) }
    }

    /// The open connection to `address`, or a new one; callers at the same time share one attempt.
    pub(crate) async fn connection(&self, address: &str) -> Result<Connection, Unreachable> {
        let slot = self.slots.lock().entry(address.to_owned()).or_default().clone();
        let channel = slot.get_or_try_init(|| open(address, &self.options, |endpoint| endpoint)).await?.clone();
        Ok(Connection { address: address.to_owned(), channel, slot })
    }

    /// The same, for who does not wait for it longer than until `deadline`. An attempt that is given up
    /// so is begun anew by the next who waits for it.
    pub(crate) async fn connection_by(&self, address: &str, deadline: Instant) -> Result<Connection, Unreachable> {
        let late = |_| Unreachable { address: address.to_owned(), why: "not connected in time".to_owned() };
        timeout_at(deadline, self.connection(address)).await.map_err(late)?
    }

    /// Forgets a connection that broke, unless it was replaced already.
    pub(crate) fn forget(&self, connection: &Connection) {
        let mut slots = self.slots.lock();
        if slots.get(&connection.address).is_some_and(|slot| Arc::ptr_eq(slot, &connection.slot)) {
            slots.remove(&connection.address);
        }
    }

    /// Adds addresses that the cluster named.
    pub(crate) fn learn<'a>(&self, addresses: impl Iterator<Item = &'a String>) {
        let mut known = self.known.lock();
        for address in addresses {
            if !address.is_empty() && !known.contains(address) {
                known.push(address.clone());
            }
        }
    }

    /// All known addresses, the one that last proved good first.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let mut known = self.known.lock().clone();
        let preferred = self.preferred.load(Ordering::Relaxed) % known.len().max(1);
        known.rotate_left(preferred);
        known
    }

    /// `address` is to be asked first from now on, unless the first endpoint always is.
    pub(crate) fn prefer(&self, address: &str) {
        if self.options.home_first {
            return;
        }
        if let Some(at) = self.known.lock().iter().position(|known| known == address) {
            self.preferred.store(at, Ordering::Relaxed);
        }
    }
}

/// Opens a connection with our settings, which `tuned` may change.
pub(crate) async fn open(
    address: &str,
    options: &Options,
    tuned: impl FnOnce(Endpoint) -> Endpoint,
) -> Result<Channel, Unreachable> {
    let unreachable = |why: String| Unreachable { address: address.to_owned(), why };
    let endpoint = connect::endpoint(address, options).map_err(|e| unreachable(described(&e)))?;
    let connecting = options.connector.connect(tuned(endpoint));
    match tokio::time::timeout(options.connect_timeout, connecting).await {
        Ok(connected) => connected.map_err(|error| unreachable(described(&error))),
        Err(_) => Err(unreachable(format!("no answer within {:?}", options.connect_timeout))),
    }
}

/// An error with its causes, which transport errors keep below the surface.
fn described(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_after_another_answered(home_first: bool) -> String {
        let pool = Pool::new(Options { home_first, ..Options::new(["home:1"]) });
        pool.learn([&"other:1".to_owned()].into_iter());
        pool.prefer("other:1");
        pool.addresses().swap_remove(0)
    }

    #[test]
    fn who_stays_at_home_asks_there_first_whoever_answered_last() {
        assert_eq!(first_after_another_answered(false), "other:1");
        assert_eq!(first_after_another_answered(true), "home:1");
    }
}
