//! The node's one timer: pokes what failed, and looks for records past retention.

use std::sync::Arc;

use futures::StreamExt;
use tokio::time::{Instant, MissedTickBehavior};

use super::Host;
use crate::replica::Replica;
use crate::retention;

/// Shards whose retention is looked at together; each may read a few entries from disk.
const SWEEPS_MAX: usize = 4;

pub(super) async fn run(host: Arc<Host>) {
    let options = host.node.options.clone();
    let mut ticks = tokio::time::interval(options.sweep_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut retention_at = Instant::now() + options.retention_interval;
    loop {
        let early = tokio::select! {
            _ = ticks.tick() => false,
            () = host.retention_due.notified() => true,
        };
        host.steady_clock.look();
        let replicas = host.replicas();
        replicas.iter().filter(|replica| replica.wants_poke()).for_each(|replica| replica.poke.notify_one());
        if early || Instant::now() >= retention_at {
            retention_at = Instant::now() + options.retention_interval;
            sweep_retention(&host, replicas).await;
        }
    }
}

async fn sweep_retention(host: &Arc<Host>, replicas: Vec<Arc<Replica>>) {
    if replicas.is_empty() {
        return;
    }
    let now = match host.steady_clock.now() {
        Ok(now) => now,
        Err(why) => return tracing::warn!(%why, "nothing is trimmed"),
    };
    let sweeps = futures::stream::iter(replicas).for_each_concurrent(SWEEPS_MAX, |replica| async move {
        if let Err(error) = retention::sweep(&replica, now).await {
            tracing::warn!(group = %replica.group().id(), %error, "retention sweep failed; trying again");
        }
        // Expiry comes with time, not with an event.
        if replica.state().with(|state| state.sealed().is_some()) {
            replica.poke.notify_one();
        }
    });
    sweeps.await;
}
