//! Connections of their own for tails, so that one which is not read holds up nobody.
//!
//! HTTP/2 lets a sender go on until the receiver's windows are full: the stream's and, over all
//! streams, the connection's. What a stalled tail has received but not read stays in both, so a
//! few stalled tails on a shared connection would stop everything on it, acknowledgements of
//! appends included.
//!
//! Holds: tails share connections with tails only, and no connection carries more of them than
//! its window has room for full stream windows. So a stalled tail pins [`WINDOW_BYTES`] and no more.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tonic::transport::Channel;

use crate::Options;
use crate::pool::{self, Unreachable};

/// Bytes on their way to one tail, or received and not read.
const WINDOW_BYTES: u32 = 1024 * 1024;
/// Tails on one connection.
const TAILS_MAX: usize = 64;

/// The open connections by address.
#[derive(Default)]
pub(crate) struct TailConnections {
    lanes: Mutex<HashMap<String, Vec<Weak<Lane>>>>,
}

struct Lane {
    address: String,
    channel: OnceCell<Channel>,
}

/// One tail's part of a connection, which closes with the last of them.
pub(crate) struct Lease(Arc<Lane>);

impl TailConnections {
    /// Room for one tail to `address`.
    pub(crate) fn lease(&self, address: &str) -> Lease {
        let mut lanes = self.lanes.lock();
        let lanes = lanes.entry(address.to_owned()).or_default();
        lanes.retain(|lane| lane.strong_count() > 0);
        let with_room = lanes.iter().filter(|lane| lane.strong_count() < TAILS_MAX).find_map(Weak::upgrade);
        Lease(with_room.unwrap_or_else(|| {
            let lane = Arc::new(Lane { address: address.to_owned(), channel: OnceCell::new() });
            lanes.push(Arc::downgrade(&lane));
            lane
        }))
    }

    /// A connection broke: it is not used for new tails.
    pub(crate) fn forget(&self, lease: &Lease) {
        if let Some(lanes) = self.lanes.lock().get_mut(&lease.0.address) {
            lanes.retain(|lane| !std::ptr::eq(lane.as_ptr(), Arc::as_ptr(&lease.0)));
        }
    }
}

impl Lease {
    /// The connection; those who ask at the same time share one attempt.
    pub(crate) async fn channel(&self, options: &Options) -> Result<Channel, Unreachable> {
        let open = || {
            pool::open(&self.0.address, options, |endpoint| {
                endpoint
                    .initial_stream_window_size(WINDOW_BYTES)
                    .initial_connection_window_size(WINDOW_BYTES * TAILS_MAX as u32)
            })
        };
        self.0.channel.get_or_try_init(open).await.cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_as_many_tails_as_its_window_has_room_for() {
        let connections = TailConnections::default();
        let mut leases: Vec<Lease> = (0..=TAILS_MAX).map(|_| connections.lease("a:1")).collect();
        let last = leases.pop().unwrap();
        assert!(leases.iter().all(|lease| Arc::ptr_eq(&lease.0, &leases[0].0)));
        assert!(!Arc::ptr_eq(&last.0, &leases[0].0));
        leases.truncate(1);
        assert!(Arc::ptr_eq(&connections.lease("a:1").0, &leases[0].0), "room that became free is used again");
        assert!(!Arc::ptr_eq(&connections.lease("b:1").0, &leases[0].0));
    }

    #[test]
    fn a_broken_connection_gets_no_new_tails() {
        let connections = TailConnections::default();
        let broken = connections.lease("a:1");
        connections.forget(&broken);
        assert!(!Arc::ptr_eq(&connections.lease("a:1").0, &broken.0));
    }
}
