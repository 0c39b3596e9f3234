//! One Attach stream, from its first report to its break.

use std::sync::Arc;
use std::time::Duration;

use thalweg_proto::errors::{META_LEADER_ADDRESS, WireError};
use thalweg_proto::peer::{CatalogUpdate, Report};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::warn;

use super::merge::{merge, read};
use crate::membership::Membership;
use crate::node::Node;
use crate::{Reports, report};

/// Changes that come closer together than this travel in one report.
const SPACING: Duration = Duration::from_millis(5);
/// Longest time without a report.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// A leader that does not answer for this long is given up.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(3);
/// Reports on their way.
const REPORTS_QUEUED_MAX: usize = 4;

/// How an attachment ended.
pub(crate) struct Ended {
    /// Where the leader is by now, if the other side knew.
    pub(crate) elsewhere: Option<String>,
    pub(crate) why: String,
}

impl From<Status> for Ended {
    fn from(status: Status) -> Ended {
        let mut error = WireError::from_status(&status);
        let elsewhere = error.metadata.remove(META_LEADER_ADDRESS).filter(|address| !address.is_empty());
        Ended { elsewhere, why: error.message }
    }
}

/// Stays attached to the leader at `address` for as long as it leads and answers.
pub(crate) async fn follow(node: &Node, address: &str) -> Ended {
    let mut peer = match node.dialer.peer(address) {
        Ok(peer) => peer,
        Err(error) => return Ended { elsewhere: None, why: error.to_string() },
    };
    let (sender, reports) = mpsc::channel(REPORTS_QUEUED_MAX);
    let mut reporter = Reporter::new(node);
    // The channel is empty, so the first report fits.
    let _ = sender.try_send(reporter.next_report());
    let attached = tokio::time::timeout(ATTACH_TIMEOUT, peer.attach(ReceiverStream::new(reports))).await;
    let updates = match attached {
        Ok(Ok(updates)) => updates.into_inner(),
        Ok(Err(status)) => return status.into(),
        Err(_) => return Ended { elsewhere: None, why: format!("no answer within {ATTACH_TIMEOUT:?}") },
    };
    tokio::select! {
        ended = receive(node, address, updates) => ended,
        () = reporter.run(sender) => Ended { elsewhere: None, why: "the stream of reports broke".to_owned() },
        () = leader_down(node) => Ended { elsewhere: None, why: "the leader's node answers no pings".to_owned() },
    }
}

/// Resolves when the leader's node was up and is not any more: sooner than its stream breaks.
async fn leader_down(node: &Node) {
    let mut image = node.image.subscribe();
    let named = image.wait_for(|image| image.controller_leader.is_some()).await;
    let leader = named.ok().and_then(|image| image.controller_leader);
    let mut up = node.groups.peers_up();
    if let Some(leader) = leader.filter(|leader| *leader != node.id())
        && up.wait_for(|up| up.contains(&leader)).await.is_ok()
        && up.wait_for(|up| !up.contains(&leader)).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

async fn receive(node: &Node, address: &str, mut updates: Streaming<CatalogUpdate>) -> Ended {
    loop {
        let update = match updates.message().await {
            Ok(Some(update)) => update,
            Ok(None) => return Ended { elsewhere: None, why: "the leader ended the stream".to_owned() },
            Err(status) => return status.into(),
        };
        match read(&update) {
            Ok(news) => {
                if let Some(catalog) = news.catalog() {
                    node.show_catalog(catalog);
                }
                node.image.send_modify(|image| *image = Arc::new(merge(image, news, address)));
                settle_in(node);
            }
            Err(error) => warn!(%error, "the controller sent a catalog that this node cannot read"),
        }
    }
}

/// A registered node takes part once it has an image to go by.
fn settle_in(node: &Node) {
    node.membership.send_if_modified(|membership| {
        let news = *membership != Membership::Joined;
        *membership = Membership::Joined;
        news
    });
}

/// Reports what changed, soon but not too often.
struct Reporter {
    node_id: u64,
    incarnation: u64,
    observations: watch::Receiver<Arc<Reports>>,
    sent: Arc<Reports>,
}

impl Reporter {
    fn new(node: &Node) -> Reporter {
        let (node_id, incarnation) = (node.id().0, node.keeper.get().incarnation.0);
        Reporter { node_id, incarnation, observations: node.observations.clone(), sent: Arc::default() }
    }

    fn next_report(&mut self) -> Report {
        let now = self.observations.borrow_and_update().clone();
        let replicas = report::changes(&self.sent, &now);
        self.sent = now;
        Report { node_id: self.node_id, incarnation: self.incarnation, replicas }
    }

    async fn run(mut self, sender: mpsc::Sender<Report>) {
        let mut open = true;
        loop {
            let sent_at = Instant::now();
            tokio::select! {
                changed = self.observations.changed(), if open => open = changed.is_ok(),
                () = tokio::time::sleep(KEEPALIVE) => {}
            }
            tokio::time::sleep_until(sent_at + SPACING).await;
            if sender.send(self.next_report()).await.is_err() {
                return;
            }
        }
    }
}
