//! The node-wide budget for recent entries: evicts the oldest, whichever group they are of.
//!
//! Holds: an entry that waits for the writer is never evicted.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::group::{Gauges, Group};

/// Appends remembered at most, so that many small ones do not outgrow the budget themselves.
const APPENDS_MAX: usize = 1 << 18;

pub(crate) struct Cache {
    limit_bytes: u64,
    gauges: Arc<Gauges>,
    /// Appends in the order they came.
    order: Mutex<VecDeque<(Weak<Group>, u64)>>,
}

impl Cache {
    pub(crate) fn new(limit_bytes: u64, gauges: Arc<Gauges>) -> Cache {
        Cache { limit_bytes, gauges, order: Mutex::default() }
    }

    /// Notes an append whose entries are in the group's memory, and makes room. The caller holds
    /// no group's lock.
    pub(crate) fn appended(&self, group: &Arc<Group>, stamp: u64) {
        self.order.lock().push_back((Arc::downgrade(group), stamp));
        self.evict();
    }

    /// Evicts until the budget holds, or only entries remain that wait for the writer.
    pub(crate) fn evict(&self) {
        let mut order = self.order.lock();
        while self.gauges.cache_bytes.load(Relaxed) > self.limit_bytes || order.len() > APPENDS_MAX {
            let Some((group, stamp)) = order.pop_front() else { return };
            let Some(group) = group.upgrade() else { continue };
            let evicted = group.update(|inner| {
                let log = &inner.log;
                inner.recent.evict_through(stamp, |index| log.is_written(index))
            });
            if !evicted {
                order.push_front((Arc::downgrade(&group), stamp));
                return;
            }
        }
    }
}
