//! The leader's side of an Attach stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use thalweg_catalog::Catalog;
use thalweg_proto::errors::{META_LEADER_ADDRESS, Reason, WireError};
use thalweg_proto::peer::{CatalogUpdate, LeaderUpdate, Report};
use thalweg_types::{Incarnation, NodeId};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::leader::hub::{Session, Soft};
use crate::node::Node;
use crate::report;

/// A node has to say who it is within this time.
const FIRST_REPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// The newest catalog's bytes, shared by all streams.
#[derive(Default)]
pub(crate) struct Encoded(Mutex<(u64, Bytes)>);

impl Encoded {
    fn of(&self, catalog: &Catalog) -> Bytes {
        let mut newest = self.0.lock();
        if newest.0 != catalog.revision() || newest.1.is_empty() {
            *newest = (catalog.revision(), catalog.encode().into());
        }
        newest.1.clone()
    }
}

pub(crate) type Updates = mpsc::Receiver<Result<CatalogUpdate, Status>>;

/// Admits a node that this leader knows; the conversation goes on in a task of its own.
pub(crate) async fn begin(
    node: Arc<Node>,
    encoded: Arc<Encoded>,
    mut reports: Streaming<Report>,
) -> Result<Updates, Status> {
    let first = match tokio::time::timeout(FIRST_REPORT_TIMEOUT, reports.message()).await {
        Ok(first) => first?.ok_or_else(|| Status::invalid_argument("an Attach begins with a report"))?,
        Err(_) => return Err(Status::deadline_exceeded("no report came")),
    };
    if !node.leads() {
        return Err(not_leader(&node));
    }
    admit(&node, &first)?;
    let session = node.hub.attach(NodeId(first.node_id));
    note(&node, session, &first);
    let (sender, updates) = mpsc::channel(1);
    tokio::spawn(converse(node, encoded, session, reports, sender));
    Ok(updates)
}

/// Ends when either side leaves, or leadership is lost.
async fn converse(
    node: Arc<Node>,
    encoded: Arc<Encoded>,
    session: Session,
    mut reports: Streaming<Report>,
    updates: mpsc::Sender<Result<CatalogUpdate, Status>>,
) {
    let listen = async {
        while let Ok(Some(report)) = reports.message().await {
            if !note(&node, session, &report) {
                return;
            }
        }
    };
    tokio::select! {
        () = listen => {}
        () = tell(&node, &encoded, &updates) => {}
        () = deposed(&node) => drop(updates.try_send(Err(not_leader(&node)))),
        () = node.stop.cancelled() => {}
    }
    node.hub.detach(session);
}

fn note(node: &Node, session: Session, report: &Report) -> bool {
    node.hub.report(session, report.replicas.iter().map(report::from_wire).collect())
}

fn admit(node: &Node, report: &Report) -> Result<(), Status> {
    let catalog = node.applied.borrow().clone();
    let known =
        catalog.node(NodeId(report.node_id)).filter(|known| known.incarnation == Incarnation(report.incarnation));
    match known {
        Some(_) => Ok(()),
        None => Err(Status::failed_precondition(format!("node {} is not registered with this disk", report.node_id))),
    }
}

async fn deposed(node: &Node) {
    let seat = node.seat.borrow().clone();
    if let Some(seat) = seat {
        let _ = seat.status().wait_for(|status| !status.leading).await;
    }
}

/// The refusal of a node that does not lead, naming who does where it knows.
pub(crate) fn not_leader(node: &Node) -> Status {
    let error = WireError::new(Reason::NotLeader, "this node does not lead the controller");
    let leader = node.elected().filter(|leader| *leader != node.id());
    match leader.and_then(|leader| node.peer_address(leader)) {
        Some(address) => error.with(META_LEADER_ADDRESS, address).into(),
        None => error.into(),
    }
}

/// Sends what changed, whenever something does; slow receivers skip what was overtaken.
async fn tell(node: &Node, encoded: &Encoded, updates: &mpsc::Sender<Result<CatalogUpdate, Status>>) {
    let (mut applied, mut soft) = (node.applied.subscribe(), node.hub.soft());
    let mut told: Option<(u64, Soft)> = None;
    loop {
        let (catalog, now) = (applied.borrow_and_update().clone(), soft.borrow_and_update().clone());
        let update = difference(encoded, told.as_ref(), &catalog, &now);
        told = Some((catalog.revision(), now));
        if updates.send(Ok(update)).await.is_err() {
            return;
        }
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            changed = soft.changed() => if changed.is_err() { return },
        }
    }
}

fn difference(encoded: &Encoded, told: Option<&(u64, Soft)>, catalog: &Catalog, now: &Soft) -> CatalogUpdate {
    let nothing = Soft::default();
    let before = told.map_or(&nothing, |(_, soft)| soft);
    let news = told.is_none_or(|(revision, _)| *revision != catalog.revision());
    let changed = now.leaders.iter().filter(|(group, leader)| before.leaders.get(group) != Some(leader));
    let gone = before.leaders.keys().filter(|group| !now.leaders.contains_key(group));
    let changed = changed.map(|(group, leader)| LeaderUpdate { group: group.0, leader: leader.0 });
    CatalogUpdate {
        revision: catalog.revision(),
        catalog: if news { encoded.of(catalog) } else { Bytes::new() },
        leaders: changed.chain(gone.map(|group| LeaderUpdate { group: group.0, leader: 0 })).collect(),
        connected_nodes: now.connected.iter().map(|node| node.0).collect(),
    }
}
