//! The node's side of the conversation with the controller: join once, then stay attached to
//! whoever leads, reporting what changes here and hearing what changed elsewhere.
//!
//! ```text
//!   find the leader ──► Join (once a start) ──► Attach ═══ reports up, images down ═══► broken
//!        ▲                                                                                │
//!        └──────────────────── pause, at most 100 ms ─────────────────────────────────────┘
//! ```

pub(crate) mod attach;
pub(crate) mod find;
pub(crate) mod local;
mod merge;

use std::sync::Arc;
use std::time::Duration;

use thalweg_proto::peer::join_response;
use tokio::time::Instant;
use tracing::{debug, error, info};

use crate::membership::{Membership, Refused, bootstrap, join};
use crate::node::Node;
use attach::Ended;

/// First and longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(100));
/// A registration that takes longer is tried again.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Belongs to a cluster for as long as the node runs.
pub(crate) async fn run(node: Arc<Node>) {
    if let Err(Refused(reason)) = belong_and_follow(&node).await {
        error!(node = %node.id(), reason, "this node cannot take part");
        node.membership.send_replace(Membership::Refused { reason });
    }
}

/// Ends only when the node can never belong.
async fn belong_and_follow(node: &Arc<Node>) -> Result<(), Refused> {
    let cluster_id = bootstrap::belong(node).await?;
    let (mut joined, mut hint, mut pause) = (false, None, PAUSE.0);
    let mut avoid: Option<String> = None;
    loop {
        let began = Instant::now();
        let leader = match hint.take() {
            Some(hint) => Some(hint),
            None => find::leader(node, &cluster_id, avoid.as_deref()).await,
        };
        match &leader {
            Some(leader) => hint = converse(node, leader, &cluster_id, &mut joined).await?,
            None => {
                let reason = format!("no node of cluster {cluster_id} says who leads the controller");
                still_waiting(node, joined, reason);
            }
        }
        avoid = leader;
        pause = if began.elapsed() > Duration::from_secs(1) { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        tokio::time::sleep(pause).await;
    }
}

/// Joins, if that is still to be done, and stays attached; returns where to go on, if known.
async fn converse(node: &Node, leader: &str, cluster_id: &str, joined: &mut bool) -> Result<Option<String>, Refused> {
    if !*joined {
        match join_at(node, leader, cluster_id).await? {
            Joined::Accepted => *joined = true,
            Joined::Elsewhere(address) => return Ok(Some(address)),
            Joined::NotNow => return Ok(None),
        }
    }
    let Ended { elsewhere, why } = attach::follow(node, leader).await;
    debug!(node = %node.id(), leader, why, "detached from the controller");
    // Others may ask this node who leads: it no longer knows.
    node.image.send_if_modified(|image| match image.controller_leader {
        Some(_) => {
            Arc::make_mut(image).controller_leader = None;
            true
        }
        None => false,
    });
    Ok(elsewhere)
}

fn still_waiting(node: &Node, joined: bool, reason: String) {
    if !joined {
        node.membership.send_replace(Membership::Waiting { reason });
    }
}

enum Joined {
    Accepted,
    Elsewhere(String),
    NotNow,
}

async fn join_at(node: &Node, leader: &str, cluster_id: &str) -> Result<Joined, Refused> {
    let Ok(mut peer) = node.dialer.peer(leader) else { return Ok(Joined::NotNow) };
    let asked = tokio::time::timeout(JOIN_TIMEOUT, peer.join(join::request(node, cluster_id))).await;
    let Ok(Ok(answer)) = asked else {
        still_waiting(node, false, format!("no answer from the controller at {leader}"));
        return Ok(Joined::NotNow);
    };
    match answer.into_inner().outcome {
        Some(join_response::Outcome::Accepted(_)) => {
            bootstrap::remember(node, cluster_id)?;
            info!(node = %node.id(), cluster = cluster_id, "joined");
            Ok(Joined::Accepted)
        }
        Some(join_response::Outcome::Refused(reason)) => Err(Refused(reason)),
        Some(join_response::Outcome::Redirect(address)) => Ok(Joined::Elsewhere(address)),
        None => Ok(Joined::NotNow),
    }
}
