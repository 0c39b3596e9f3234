//! Idle groups sleep: no timers, no heartbeats, until something happens.
//!
//! A leader that has had nothing to do for a while asks its followers to sleep at exactly its
//! term and last index, and sleeps when all that are up agree. A write, a vote, an append, or a
//! peer that comes or goes wakes a group. One task a node looks at the groups that are awake, also
//! for a living leader.

use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use thalweg_types::NodeId;

use crate::failover;
use crate::group::Inner;
use crate::groups::NodeParts;
use crate::transport::{Reply, Request};

/// Between two looks at the groups that are awake.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) async fn run(node: Weak<NodeParts>) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let Some(node) = node.upgrade() else { return };
        let awake: Vec<_> = node.awake.lock().iter().copied().collect();
        for group in awake.into_iter().filter_map(|id| node.group(id)) {
            let inner = group.inner();
            if inner.idle_for() >= node.options.timing.hibernate_after && inner.leads() {
                put_to_sleep(inner).await;
            } else {
                failover::look_after(inner);
            }
        }
    }
}

/// Sleeps together with the followers, if everyone is at the same place and nothing happens meanwhile.
async fn put_to_sleep(inner: &Arc<Inner>) {
    let wakes = inner.wakes();
    let metrics = inner.raft().metrics().borrow_watched().clone();
    let last = metrics.last_log_index.unwrap_or(0);
    if inner.last_applied() != last {
        return;
    }
    let members = metrics.membership_config.membership();
    let followers = members.nodes().map(|(node, ())| NodeId(*node)).filter(|node| *node != inner.node.id);
    let up: Vec<NodeId> = followers.filter(|node| inner.node.peers.is_up(*node)).collect();
    let ask = |node| inner.node.peers.ask(node, Request::Hibernate(inner.id, metrics.current_term, last));
    let answers = futures::future::join_all(up.iter().map(|node| ask(*node))).await;
    let agreed = answers.iter().all(|answer| matches!(answer, Ok(Reply::Yes)));
    let majority = (up.len() + 1) * 2 > members.voter_ids().count();
    if agreed && majority && inner.wakes() == wakes && inner.last_applied() == last {
        inner.sleep();
    }
}
