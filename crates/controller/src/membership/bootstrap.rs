//! From a fresh data directory to a known cluster id: asks the seeds, and forms when it is this
//! node's turn.
//!
//! Resumable at every step: a node that drew a cluster id and crashed finds it in its identity
//! and goes on inviting; an invitation repeated is accepted again.

use std::time::Duration;

use futures::future::join_all;
use thalweg_proto::peer::{FormRequest, FormResponse, FoundingMember, IdentifyRequest};
use thalweg_types::{Incarnation, NodeId};
use tracing::{info, warn};

use super::forming::{Decision, Me, Seed, SeedAnswer, decide};
use super::{Membership, Refused};
use crate::identity::{Belonging, Identity, Member};
use crate::node::Node;

/// Between two rounds of questions.
const RETRY: Duration = Duration::from_millis(50);
/// A seed that does not answer for this long is asked again in the next round.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits until this node knows its cluster; returns that cluster's id.
pub(crate) async fn belong(node: &Node) -> Result<String, Refused> {
    loop {
        match node.keeper.get().cluster {
            Some(belonging) if belonging.formed => return Ok(belonging.cluster_id),
            Some(belonging) => invite_all(node, &belonging).await?,
            None => match decide(&me(node), &ask_seeds(node).await)? {
                // Kept only once that cluster has accepted this node.
                Decision::Join { cluster_id } => return Ok(cluster_id),
                Decision::Form { founders } => begin_forming(node, founders)?,
                Decision::Wait { reason } => wait(node, reason).await,
            },
        }
    }
}

/// Remembers the cluster that accepted this node.
pub(crate) fn remember(node: &Node, cluster_id: &str) -> Result<(), Refused> {
    let saved = node.keeper.update(|identity| {
        identity.cluster.get_or_insert_with(|| Belonging {
            cluster_id: cluster_id.to_owned(),
            founders: Vec::new(),
            formed: true,
            controllers: Vec::new(),
        });
    });
    saved.map_err(|error| Refused(error.to_string()))
}

/// Answers a founder's invitation: accepted by a fresh node, and again by one that accepted before.
pub(crate) fn answer_form(node: &Node, request: FormRequest) -> FormResponse {
    let founders: Vec<Member> = request.members.into_iter().map(member).collect();
    let invited = founders.iter().any(|founder| founder.node == node.id());
    let cluster_id = request.cluster_id;
    let accept = |identity: &mut Identity| match &identity.cluster {
        Some(belonging) => belonging.cluster_id == cluster_id,
        None if invited && !cluster_id.is_empty() => {
            let cluster_id = cluster_id.clone();
            identity.cluster = Some(Belonging { cluster_id, founders, formed: true, controllers: Vec::new() });
            true
        }
        None => false,
    };
    let accepted = node.keeper.update(accept).unwrap_or_else(|error| {
        warn!(%error, "cannot accept the invitation to found a cluster");
        false
    });
    let mine = node.keeper.get().cluster.map(|belonging| belonging.cluster_id);
    FormResponse { accepted, cluster_id: mine.unwrap_or_default() }
}

fn me(node: &Node) -> Me {
    Me {
        node: node.id(),
        incarnation: node.keeper.get().incarnation,
        peer_address: node.options.advertised.peer_address.clone(),
    }
}

async fn ask_seeds(node: &Node) -> Vec<Seed> {
    join_all(node.options.seeds.iter().map(|address| async move {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, ask(node, address)).await.ok().flatten();
        Seed { address: address.clone(), answer }
    }))
    .await
}

async fn ask(node: &Node, address: &str) -> Option<SeedAnswer> {
    let mut peer = node.dialer.peer(address).inspect_err(|error| warn!(%error, "bad seed")).ok()?;
    let answer = peer.identify(IdentifyRequest {}).await.ok()?.into_inner();
    Some(SeedAnswer {
        node: NodeId(answer.node_id),
        incarnation: Incarnation(answer.incarnation),
        cluster_id: (!answer.cluster_id.is_empty()).then_some(answer.cluster_id),
    })
}

fn begin_forming(node: &Node, founders: Vec<Member>) -> Result<(), Refused> {
    let cluster_id = node.random.cluster_id();
    let saved = node.keeper.update(|identity| {
        // Another node's invitation may have come while the seeds were asked.
        identity.cluster.get_or_insert(Belonging { cluster_id, founders, formed: false, controllers: Vec::new() });
    });
    saved.map_err(|error| Refused(error.to_string()))
}

/// Invites all other founders; once each has the cluster's id on disk, the cluster is formed.
async fn invite_all(node: &Node, belonging: &Belonging) -> Result<(), Refused> {
    for founder in belonging.founders.iter().filter(|founder| founder.node != node.id()) {
        while !invite(node, belonging, founder).await? {
            wait(node, format!("founder node {} at {} does not answer", founder.node, founder.peer_address)).await;
        }
    }
    let saved = node.keeper.update(|identity| {
        if let Some(belonging) = &mut identity.cluster {
            belonging.formed = true;
        }
    });
    info!(cluster = belonging.cluster_id, founders = belonging.founders.len(), "forms a cluster");
    saved.map_err(|error| Refused(error.to_string()))
}

/// False when there was no answer.
async fn invite(node: &Node, belonging: &Belonging, founder: &Member) -> Result<bool, Refused> {
    let Ok(mut peer) = node.dialer.peer(&founder.peer_address) else { return Ok(false) };
    let members = belonging.founders.iter().map(founding_member).collect();
    let request = FormRequest { cluster_id: belonging.cluster_id.clone(), members };
    let Ok(Ok(answer)) = tokio::time::timeout(ANSWER_TIMEOUT, peer.form(request)).await else { return Ok(false) };
    let answer = answer.into_inner();
    if answer.accepted {
        return Ok(true);
    }
    Err(Refused(format!(
        "node {} at {} would not found cluster {} (it belongs to `{}`): give all nodes the same seeds and start those \
         of the unfinished cluster in empty data directories",
        founder.node, founder.peer_address, belonging.cluster_id, answer.cluster_id
    )))
}

fn founding_member(member: &Member) -> FoundingMember {
    FoundingMember { node_id: member.node.0, peer_address: member.peer_address.clone() }
}

fn member(member: FoundingMember) -> Member {
    Member { node: NodeId(member.node_id), peer_address: member.peer_address }
}

/// Waits for a moment, or for an invitation.
async fn wait(node: &Node, reason: String) {
    node.membership.send_if_modified(|membership| {
        let next = Membership::waiting(reason);
        let differs = *membership != next;
        *membership = next;
        differs
    });
    let mut identity = node.keeper.watch();
    tokio::select! {
        _ = tokio::time::sleep(RETRY) => {}
        _ = identity.changed() => {}
    }
}
