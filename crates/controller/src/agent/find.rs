//! Finding who leads the controller, from wherever one stands.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use thalweg_proto::peer::{IdentifyRequest, IdentifyResponse};
use thalweg_types::NodeId;

use crate::node::Node;

/// A node that does not say who leads within this time is passed over.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// The peer address of the controller's leader: by this node's own vote, or else the first
/// answer of any node it knows.
///
/// Only nodes of `cluster_id` are believed: seeds may have come to belong to another cluster. Nobody
/// is believed who names `avoid`, where the leader was just looked for in vain.
pub(crate) async fn leader(node: &Node, cluster_id: &str, avoid: Option<&str>) -> Option<String> {
    let elected = node.elected().and_then(|leader| node.peer_address(leader));
    if let Some(address) = elected.filter(|address| Some(&**address) != avoid) {
        return Some(address);
    }
    let mut answers: FuturesUnordered<_> = candidates(node).into_iter().map(|address| ask(node, address)).collect();
    while let Some(answer) = answers.next().await {
        let Some((asked, answer)) = answer.filter(|(_, answer)| answer.cluster_id == cluster_id) else { continue };
        match &*answer.controller_leader_address {
            "" => introduce(node, asked, &answer),
            named if Some(named) == avoid => {}
            named => return Some(named.to_owned()),
        }
    }
    None
}

async fn ask(node: &Node, address: String) -> Option<(String, IdentifyResponse)> {
    let mut peer = node.dialer.peer(&address).ok()?;
    let asked = tokio::time::timeout(ANSWER_TIMEOUT, peer.identify(IdentifyRequest {})).await;
    Some((address, asked.ok()?.ok()?.into_inner()))
}

/// Everyone who might know, but this node itself.
fn candidates(node: &Node) -> BTreeSet<String> {
    let mut addresses: BTreeSet<String> = node.options.seeds.iter().cloned().collect();
    let belonging = node.keeper.get().cluster;
    let members = belonging.iter().flat_map(|belonging| belonging.controllers.iter().chain(&belonging.founders));
    addresses.extend(members.map(|member| member.peer_address.clone()));
    let image = node.image.borrow().clone();
    addresses.extend(image.catalog.nodes().filter(|known| known.is_alive()).map(|known| known.peer_address.clone()));
    addresses.remove(&node.options.advertised.peer_address);
    addresses
}

/// While nobody leads, addresses may have changed since they were written down: the transport
/// learns where a node answers now.
fn introduce(node: &Node, asked: String, answer: &IdentifyResponse) {
    if answer.node_id != node.id().0 {
        node.groups.set_peer(NodeId(answer.node_id), asked);
    }
}
