//! Leaders: who becomes one at the start, and who takes over when a node dies.
//!
//! Nodes, not groups, notice death: a broken control stream or unanswered pings. For every group
//! that the dead node led, the survivors stand in line, each group's in another order. The first
//! takes over at once, the next after a pause. All of them give up the old leader's lease, as if
//! it had handed over itself; that is safe because nothing here reads by lease, and a vote still
//! goes only to a log that is up to date. A replica that refuses its vote because it has more than
//! the candidate does not wait for its turn. openraft's own timers, slow on purpose, stay behind all
//! this as a net.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::entry::RaftEntry;
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest};
use thalweg_types::{GroupId, NodeId};
use tokio::sync::broadcast;

use crate::codec::{Entry, Vote, log_id};
use crate::group::{Group, Inner};
use crate::groups::NodeParts;
use crate::transport::PeerEvent;
use crate::{GroupStatus, hand_over, inquiry};

/// How long a replica without history waits for the first member to initialise the group.
const INITIALISE_STAGGER: Duration = Duration::from_secs(2);

/// How long the members of a new group may take to connect before it is initialised anyway.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a replica campaigns before it leaves the rest to openraft's timers.
const CAMPAIGNS_MAX: u32 = 8;
/// How far the status of a group may lag behind its log.
const STATUS_LAG: Duration = Duration::from_millis(200);
/// How soon a leader that lacks an entry asks the others again to take over.
const STEP_ASIDE_AGAIN: Duration = Duration::from_secs(1);
/// How soon a replica that knows it is needed campaigns again.
const CALLED_AGAIN: Duration = Duration::from_millis(50);
/// How long the first election may take before it is tried again.
const FIRST_ELECTION_TIMEOUT: Duration = Duration::from_millis(250);

/// Starts what every open group needs: its status, its snapshots, its first leader.
pub(crate) fn attend(group: &Group) {
    let inner = group.inner();
    let tasks = vec![
        tokio::spawn(keep_status(Arc::downgrade(inner))),
        tokio::spawn(take_snapshots(Arc::downgrade(inner))),
        tokio::spawn(find_leader(Arc::downgrade(inner))),
        tokio::spawn(stand_back(Arc::downgrade(inner))),
        tokio::spawn(lower_fence(Arc::downgrade(inner))),
    ];
    inner.tasks.lock().extend(tasks);
}

/// Publishes the group's status whenever leader, term or membership change.
async fn keep_status(group: Weak<Inner>) {
    let Some(inner) = group.upgrade() else { return };
    let mut metrics = inner.raft().server_metrics();
    let mut applied_term = inner.applier.applied_term();
    let mut heard_term = inner.heard_term.subscribe();
    let mut lacks = inner.repairer.lacks();
    drop(inner);
    loop {
        {
            let Some(inner) = group.upgrade() else { return };
            let (heard, applied) = (*heard_term.borrow_and_update(), *applied_term.borrow_and_update());
            let status = GroupStatus::new(&metrics.borrow_and_update(), heard, applied, inner.is_fenced());
            // An answer may depose a leader that sleeps, and its followers sleep because of it: nobody else
            // would notice.
            let orphaned = status.leader.is_none() && status.voters.contains(&inner.node.id);
            let changed = inner.status.send_if_modified(|current| {
                let changed = *current != status;
                *current = status;
                changed
            });
            if changed && orphaned {
                inner.wake();
            }
        }
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() {
                return group.upgrade().map(|inner| inner.report_stopped()).unwrap_or_default();
            },
            changed = applied_term.changed() => if changed.is_err() { return },
            changed = heard_term.changed() => if changed.is_err() { return },
            changed = lacks.changed() => if changed.is_err() { return },
        }
    }
}

/// Keeps a replica that lacks an entry out of elections, and has it followed by another leader.
async fn stand_back(group: Weak<Inner>) {
    let Some(mut lacks) = group.upgrade().map(|inner| inner.repairer.lacks()) else { return };
    while lacks.changed().await.is_ok() {
        let Some(inner) = group.upgrade() else { return };
        inner.mind_fence();
        // Again and again: those who could take over may not be there yet, or not have caught up.
        while inner.is_fenced() && inner.leads() {
            hand_over::step_aside(&inner).await;
            let _ = tokio::time::timeout(STEP_ASIDE_AGAIN, lacks.changed()).await.is_ok();
            inner.mind_fence();
        }
    }
}

/// Lowers the fence of a replica that is vouched for.
async fn lower_fence(group: Weak<Inner>) {
    let Some(vouched_for) = group.upgrade().map(|inner| inner.vouched_for.clone()) else { return };
    loop {
        vouched_for.notified().await;
        let Some(inner) = group.upgrade() else { return };
        inner.save_lowered_fence().await;
    }
}

/// Makes a snapshot when the state machine's snapshot index has moved, then gives up the log below.
async fn take_snapshots(group: Weak<Inner>) {
    let Some(mut due) = group.upgrade().map(|inner| inner.applier.snapshot_due()) else { return };
    while due.changed().await.is_ok() {
        let index = *due.borrow_and_update();
        let Some(inner) = group.upgrade() else { return };
        if inner.raft().trigger().snapshot().await.is_err() {
            return;
        }
        let wait = inner.raft().wait(Some(Duration::from_secs(10)));
        let made = wait.metrics(|m| m.snapshot.is_some_and(|id| id.index >= index), "snapshot at the trim point").await;
        if made.is_err() || inner.raft().trigger().purge_log(index).await.is_err() {
            tracing::warn!(group = %inner.id, index, "snapshot was not made in time; trying at the next trim");
        }
    }
}

/// Gives a group that was just opened a leader, if none speaks up.
async fn find_leader(group: Weak<Inner>) {
    let Some(inner) = group.upgrade() else { return };
    if inner.log.state().last.is_none() {
        // Behind a fence it may have forgotten what the group is: another member makes it, or tells.
        if !inner.is_fenced() && inner.options.initial_members.contains(&inner.node.id) {
            initialise(&inner).await;
            drop(inner);
            begin_without_founder(group).await;
        }
        return;
    }
    let mut status = inner.status.subscribe();
    let greeted = status.wait_for(|status| status.leader.is_some());
    let alone = inner.raft().voter_ids().eq([inner.node.id.0]);
    let patience = if alone { Duration::ZERO } else { inner.node.options.timing.greeting() };
    let heard = tokio::time::timeout(patience, greeted).await.is_ok();
    if !heard {
        campaign_in_turn(&inner, None).await;
    }
}

/// The first member makes the group; the others wait to be included, and step in if it is dead.
async fn initialise(inner: &Arc<Inner>) {
    let members = &inner.options.initial_members;
    let Some(place) = members.iter().position(|member| *member == inner.node.id) else { return };
    if place > 0 {
        let mut status = inner.status.subscribe();
        let included = status.wait_for(|status| status.leader.is_some());
        if tokio::time::timeout(INITIALISE_STAGGER * place as u32, included).await.is_ok() {
            return;
        }
    }
    inner.wake();
    wait_for_majority(inner).await;
    if let Err(error) = inner.raft().initialize(first_members(inner)).await {
        tracing::debug!(group = %inner.id, %error, "group is initialised already");
    }
    // The first votes may have been asked of nodes that were not connected yet.
    let mut status = inner.status.subscribe();
    let elected = status.wait_for(|status| status.leader.is_some());
    let late = tokio::time::timeout(FIRST_ELECTION_TIMEOUT, elected).await.is_err();
    if late {
        campaign_in_turn(inner, None).await;
    }
}

/// The first members, as openraft wants them.
fn first_members(inner: &Inner) -> BTreeMap<u64, ()> {
    inner.options.initial_members.iter().map(|member| (member.0, ())).collect()
}

/// openraft initialises no replica that has voted, though whom it voted for may be gone for good, and
/// with it all that is known of the group. So whoever still has nothing begins the log itself.
async fn begin_without_founder(group: Weak<Inner>) {
    loop {
        tokio::time::sleep(INITIALISE_STAGGER).await;
        let Some(inner) = group.upgrade() else { return };
        // The controller's first members are an agreement of those who were there.
        if inner.id == GroupId::CONTROLLER || inner.log.state().last.is_some() {
            return;
        }
        if !inner.is_fenced() && inquiry::nobody_has_begun(&inner).await {
            take_first_entry(&inner).await;
            campaign_in_turn(&inner, None).await;
        }
    }
}

/// Takes the entry that begins the log. It follows from the first members, which are the same for all,
/// so it is taken as if it came from the one who has this replica's vote.
async fn take_first_entry(inner: &Arc<Inner>) {
    let vote = inner.raft().metrics().borrow_watched().vote;
    let (term, candidate) = (vote.leader_id.term, vote.leader_id.voted_for);
    let nodes = first_members(inner);
    if term == 0 || candidate == inner.node.id.0 || !nodes.contains_key(&candidate) {
        return;
    }
    let Ok(members) = openraft::Membership::new(vec![nodes.keys().copied().collect()], nodes) else { return };
    let append = AppendEntriesRequest {
        vote: Vote::new_committed(term, candidate),
        prev_log_id: None,
        entries: vec![Entry::new_membership(log_id(0, 0), members)],
        leader_commit: None,
    };
    let taken = inner.raft().append_entries(append).await;
    tracing::info!(group = %inner.id, ?taken, "the first members make the group without whom they elected");
}

/// Waits a moment until enough of the first members are connected to elect a leader.
async fn wait_for_majority(inner: &Arc<Inner>) {
    let members = &inner.options.initial_members;
    let mut up = inner.node.peers.up();
    let enough = up.wait_for(|up| {
        let there = members.iter().filter(|member| **member == inner.node.id || up.contains(member));
        there.count() * 2 > members.len()
    });
    let _ = tokio::time::timeout(CONNECT_TIMEOUT, enough).await.is_ok();
}

/// Acts on peers that come and go.
pub(crate) async fn watch_peers(node: Weak<NodeParts>, mut events: broadcast::Receiver<PeerEvent>) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Some(node) = node.upgrade() else { return };
        for group in node.open_groups() {
            match event {
                PeerEvent::Up(peer) => greet(&group, peer),
                PeerEvent::Down(peer) => mourn(&group, peer),
            }
        }
    }
}

/// A leader wakes to tell a peer that came up who leads.
fn greet(group: &Group, peer: NodeId) {
    let status = group.inner().status.borrow().clone();
    if group.inner().leads() && (status.voters.contains(&peer) || status.learners.contains(&peer)) {
        group.inner().wake();
    }
}

/// Takes over from a leader that died; a leader that lost a follower wakes to notice it.
fn mourn(group: &Group, peer: NodeId) {
    let inner = group.inner();
    inner.lose_sight();
    let status = inner.status.borrow().clone();
    // The status lags a moment behind the vote: a leader may die before it was published.
    let voted_for = inner.raft().server_metrics().borrow_watched().vote.leader_id.voted_for;
    if status.leader.is_none_or(|leader| leader == peer) || voted_for == peer.0 {
        let inner = inner.clone();
        let task = tokio::spawn(async move { campaign_in_turn(&inner, Some(peer)).await });
        drop(task);
    } else if inner.leads() && status.voters.contains(&peer) {
        inner.wake();
    }
}

/// Looks after a replica that is awake: twice in a row without a living leader, it campaigns. The
/// events above are faster; this catches what falls between them, long before openraft's timers.
pub(crate) fn look_after(inner: &Arc<Inner>) {
    let status = inner.status.borrow().clone();
    let living = |leader: NodeId| leader == inner.node.id || inner.node.peers.is_up(leader);
    if inner.leads() || !status.voters.contains(&inner.node.id) || status.leader.is_some_and(living) {
        return inner.orphaned_looks.store(0, Ordering::Relaxed);
    }
    if inner.orphaned_looks.fetch_add(1, Ordering::Relaxed) > 0 {
        let inner = inner.clone();
        tokio::spawn(async move { campaign_in_turn(&inner, status.leader).await });
    }
}

/// Campaigns when it is this node's turn, until there is a leader that is not `dead`.
async fn campaign_in_turn(inner: &Arc<Inner>, dead: Option<NodeId>) {
    if inner.campaigning.swap(true, Ordering::AcqRel) {
        return;
    }
    campaign(inner, dead).await;
    inner.campaigning.store(false, Ordering::Release);
}

async fn campaign(inner: &Arc<Inner>, dead: Option<NodeId>) {
    let stagger = inner.node.options.timing.takeover_stagger;
    let mut status = inner.status.subscribe();
    let votes = status.wait_for(|status| status.voters.contains(&inner.node.id));
    let votes = tokio::time::timeout(STATUS_LAG, votes).await.is_ok();
    if inner.is_fenced() {
        inquiry::inquire(inner).await;
    }
    if inner.is_fenced() || !votes {
        inner.wake();
        return;
    }
    let line = line_of(inner, &status.borrow(), dead);
    inner.wake();
    if let (Some(_), Some(first)) = (dead, line.first()) {
        give_up_lease(inner, *first).await;
    }
    let place = line.iter().position(|node| *node == inner.node.id).unwrap_or(line.len());
    let another = |status: &GroupStatus| status.leader.is_some_and(|leader| Some(leader) != dead);
    let round = stagger * (line.len() as u32 + 1);
    // After a death the first in line campaigns already.
    let mut wait = if place == 0 && dead.is_some() { round } else { stagger * place as u32 };
    for _ in 0..CAMPAIGNS_MAX {
        let called = tokio::select! {
            _ = status.wait_for(another) => return,
            () = inner.called.notified() => true,
            () = tokio::time::sleep(wait) => false,
        };
        // Goes on though the dead node may be back: a process that was restarted leads no more until
        // it is elected. Asks first whether it would be elected: a replica that lacks entries must
        // not depose, by its higher term, the one that has them.
        let _ = inner.raft().trigger().elect(true).await;
        wait = if called { CALLED_AGAIN } else { round };
    }
}

/// Who takes over, in order: the living voters, beginning at another one in each group.
fn line_of(inner: &Inner, status: &GroupStatus, dead: Option<NodeId>) -> Vec<NodeId> {
    let living = |node: &NodeId| Some(*node) != dead && (*node == inner.node.id || inner.node.peers.is_up(*node));
    let mut line: Vec<NodeId> = status.voters.iter().copied().filter(living).collect();
    match (dead, inner.options.initial_members.first()) {
        // At a start the preferred leader goes first.
        (None, Some(preferred)) => line.sort_by_key(|node| (node != preferred, *node)),
        _ => rotate(&mut line, inner.id),
    }
    line
}

fn rotate(line: &mut [NodeId], group: GroupId) {
    if !line.is_empty() {
        let by = group.0 as usize % line.len();
        line.rotate_left(by);
    }
}

/// Ends the dead leader's lease here; if `next` is this node it campaigns at once.
pub(crate) async fn give_up_lease(inner: &Inner, next: NodeId) {
    let vote = inner.raft().server_metrics().borrow_watched().vote;
    let request = TransferLeaderRequest::new(vote, next.0, None);
    let asked = tokio::time::timeout(Duration::from_millis(500), inner.raft().handle_transfer_leader(request)).await;
    let campaigns = next == inner.node.id;
    if campaigns && !matches!(asked, Ok(Ok(Ok(())))) {
        // The vote is not a leader's, or nothing was received in this term yet: a plain election.
        let _ = inner.raft().trigger().elect(false).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_line_up_behind_different_nodes() {
        let firsts: std::collections::BTreeSet<NodeId> = (0..3)
            .map(|group| {
                let mut line = [NodeId(1), NodeId(2), NodeId(3)];
                rotate(&mut line, GroupId(group));
                line[0]
            })
            .collect();
        assert_eq!(firsts.len(), 3);
    }
}
