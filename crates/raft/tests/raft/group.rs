//! Groups of real nodes in one process: elections, replication, membership, restarts.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thalweg_raft::{Group, MembershipError, Payload, ProposeError};
use thalweg_types::{GroupId, NodeId};

use crate::support::{Cluster, SEARCHED_ANEW, bodies, command, leader_of, put};

#[tokio::test(flavor = "multi_thread")]
async fn a_single_member_commits_and_reads_back() {
    let cluster = Cluster::start(1).await;
    let group = cluster.open(1, 1, &[1]).await;
    leader_of([&group]).await;
    let mut last = 0;
    for i in 0..10 {
        last = put(&group, &i.to_string()).await;
    }
    assert_eq!(bodies(&group, last).await, (0..10).map(|i| i.to_string()).collect::<Vec<_>>());
}

/// A node that ends gives up what it has begun, and others still ask the group.
#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_is_given_up_halfway_makes_nobody_panic() {
    let cluster = Cluster::start(1).await;
    let group = cluster.open(1, 1, &[1]).await;
    leader_of([&group]).await;
    put(&group, "before").await;
    {
        let closing = std::pin::pin!(cluster.node(1).groups.close(GroupId(1)));
        assert!(futures::poll!(closing).is_pending());
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while group.propose(command("after".to_owned())).await.is_ok() {
        assert!(Instant::now() < deadline, "the group goes on");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_applies_the_same_commands_in_order() {
    let cluster = Cluster::start(3).await;
    let groups = cluster.open_all(7, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let mut proposals = Vec::new();
    for i in 0..200 {
        proposals.push(leader.propose(command(i.to_string())).await.unwrap());
    }
    let mut last = 0;
    for proposal in proposals {
        let index = proposal.outcome().await.unwrap().index;
        assert!(index > last);
        last = index;
    }
    let expected: Vec<String> = (0..200).map(|i| i.to_string()).collect();
    for group in &groups {
        assert_eq!(bodies(group, last).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_a_commit_never_overtakes_the_entries_it_speaks_of() {
    let cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let slow = (1..=3).find(|id| leader.status().borrow().leader != Some(NodeId(*id))).unwrap();
    let mut last = 0;
    for i in 0..20 {
        // Entries and the news of their commit come to the slow node while it does nothing.
        let stalled = cluster.node(slow).runtime.as_ref().unwrap().spawn(async {
            let (_sender, never) = std::sync::mpsc::channel::<()>();
            let _ = never.recv_timeout(Duration::from_millis(60)).is_ok();
        });
        last = put(&leader, &i.to_string()).await;
        stalled.await.unwrap();
    }
    for group in &groups {
        group.applied().wait_for(|applied| *applied >= last).await.unwrap();
    }
    assert_eq!(SEARCHED_ANEW.load(Ordering::Relaxed), 0, "no leader took a follower's log for lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_up_is_not_cut_off_by_news_of_an_old_address() {
    let cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let leading = leader.status().borrow().leader.unwrap();
    put(&leader, "before").await;
    let transport = &cluster.node(leading.0).groups;
    let mut up = transport.peers_up();
    up.wait_for(|up| up.len() == 2).await.unwrap();
    up.mark_unchanged();
    for other in (1..=3).map(NodeId).filter(|other| *other != leading) {
        transport.set_peer(other, "127.0.0.1:9");
    }
    let last = put(&leader, "after").await;
    for group in &groups {
        group.applied().wait_for(|applied| *applied >= last).await.unwrap();
    }
    assert!(!up.has_changed().unwrap(), "a peer was taken for gone");
    assert_eq!(leader.status().borrow().leader, Some(leading));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_refuses_commands_and_names_the_leader() {
    let cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let leader_id = leader.status().borrow().leader.unwrap();
    put(&leader, "x").await;
    let follower = groups.iter().find(|group| !group.status().borrow().leading).unwrap();
    follower.status().wait_for(|status| status.leader == Some(leader_id)).await.unwrap();
    let refused = match follower.propose(command("y")).await {
        Ok(proposal) => proposal.outcome().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(refused, ProposeError::NotLeader { leader: Some(leader_id) });
}

#[tokio::test(flavor = "multi_thread")]
async fn survivors_elect_a_new_leader_at_once_when_the_leader_dies() {
    let mut cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    put(&leader, "before").await;
    for node in cluster.nodes.iter().flatten() {
        node.groups.peers_up().wait_for(|up| up.len() == 2).await.unwrap();
    }
    let dead = leader.status().borrow().leader.unwrap();
    let survivors: Vec<Group> = groups.into_iter().filter(|group| !group.status().borrow().leading).collect();
    drop(leader);
    let killed_at = Instant::now();
    let parts = cluster.kill(dead.0).await;
    let next = leader_of(&survivors).await;
    let last = put(&next, "after").await;
    assert!(killed_at.elapsed() < Duration::from_secs(2), "took {:?}", killed_at.elapsed());
    for group in &survivors {
        assert_eq!(bodies(group, last).await, ["before", "after"]);
    }
    cluster.restart(dead.0, parts).await;
    let back = cluster.open(dead.0, 1, &[1, 2, 3]).await;
    let last = put(&next, "again").await;
    assert_eq!(bodies(&back, last).await, ["before", "after", "again"]);
}

/// The founder asked for votes and is gone for good, before anybody had an entry of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_founder_is_gone_for_good_begins_without_it() {
    let mut cluster = Cluster::start(3).await;
    let founder = 1u64;
    drop(cluster.kill(founder).await);
    for id in [2, 3] {
        let vote: Vec<u8> = [1u64.to_le_bytes(), founder.to_le_bytes()].concat().into_iter().chain([0]).collect();
        let (saved, waits) = tokio::sync::oneshot::channel();
        let done = move |result: Result<(), _>| {
            let _ = saved.send(result.is_ok());
        };
        cluster.node(id).log.group(GroupId(1)).save_vote(vote.into(), Box::new(done));
        assert!(waits.await.unwrap());
    }
    let survivors = [cluster.open(2, 1, &[1, 2, 3]).await, cluster.open(3, 1, &[1, 2, 3]).await];
    let led = async { survivors[0].status().wait_for(|status| status.leader.is_some()).await.map(drop) };
    tokio::time::timeout(Duration::from_secs(30), led).await.expect("somebody leads").unwrap();
    let leader = leader_of(&survivors).await;
    let last = put(&leader, "first").await;
    for group in &survivors {
        assert_eq!(bodies(group, last).await, ["first"]);
        assert_eq!(group.status().borrow().voters.len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_group_falls_asleep_and_a_write_wakes_it() {
    let cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    put(&leader, "a").await;
    let asleep = async {
        while cluster.nodes.iter().flatten().any(|node| node.groups.awake_count() > 0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asleep).await.expect("all replicas fall asleep");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(leader.status().borrow().leading, "nobody campaigned while the group slept");
    let own = leader.status().borrow().leader.unwrap();
    let another = [1, 2, 3].map(NodeId).into_iter().filter(|node| *node != own).take(1);
    leader.change_voters(another.chain([own]).collect()).await.expect("a leader that sleeps changes the voters too");
    leader.change_voters([1, 2, 3].map(NodeId).into_iter().collect()).await.unwrap();
    let started = Instant::now();
    let last = put(&leader, "b").await;
    assert!(started.elapsed() < Duration::from_millis(500));
    for group in &groups {
        assert_eq!(bodies(group, last).await, ["a", "b"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_voter_that_stays_one_does_not_keep_another_from_being_replaced() {
    let mut cluster = Cluster::start(4).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    put(&leader, "before").await;
    let own = leader.status().borrow().leader.unwrap();
    let others: Vec<NodeId> = [1, 2, 3].map(NodeId).into_iter().filter(|node| *node != own).collect();
    let newcomer = cluster.open(4, 1, &[]).await;
    let (dead, leaving) = (others[0], others[1]);
    drop(cluster.kill(dead.0).await);
    let changed = async {
        while leader.change_voters([own, dead, NodeId(4)].into_iter().collect()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        leader.status().wait_for(|status| !status.voters.contains(&leaving)).await.unwrap().voters.clone()
    };
    let voters = tokio::time::timeout(Duration::from_secs(30), changed).await.expect("it is replaced");
    assert!(voters.contains(&dead), "{voters:?}");
    let last = put(&leader, "after").await;
    assert_eq!(bodies(&newcomer, last).await, ["before", "after"]);
    // Two of the four are the majority of the new three only if the newcomer is one of them.
    let alone = tokio::time::timeout(Duration::from_secs(15), leader.change_voters([own, dead].into_iter().collect()));
    assert!(alone.await.is_ok_and(|changed| changed.is_err()), "two voters of which one is dead could commit nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_voter_starts_at_the_trim_point_and_lacks_nothing_after_it() {
    let cluster = Cluster::start(4).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let cut = {
        put(&leader, "old").await;
        put(&leader, "older").await
    };
    put(&leader, "kept").await;
    let trim = Payload { head: format!("trim:{cut}").into_bytes().into(), body: Bytes::new() };
    leader.propose(trim).await.unwrap().outcome().await.unwrap();
    let purged = async {
        while leader.log().state().trimmed.is_none_or(|(index, _)| index < cut) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), purged).await.expect("the log is trimmed");
    let joined = cluster.open(4, 1, &[1, 2, 3]).await;
    let leader_id = leader.status().borrow().leader.unwrap();
    let leaving = [1, 2, 3].into_iter().map(NodeId).find(|node| *node != leader_id).unwrap();
    let voters: BTreeSet<NodeId> = (1..=4).map(NodeId).filter(|node| *node != leaving).collect();
    leader.change_voters(voters.clone()).await.unwrap();
    let last = put(&leader, "new").await;
    assert_eq!(leader.status().borrow().voters, voters);
    let mut seen = bodies(&joined, last).await;
    seen.retain(|body| !body.is_empty());
    assert_eq!(seen, ["kept", "new"]);
    assert_eq!(joined.log().state().trimmed.unwrap().0, cut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_takes_itself_out_leaves_the_rest_to_its_successor() {
    let cluster = Cluster::start(4).await;
    let groups = cluster.open_all(7, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let own = leader.status().borrow().leader.unwrap();
    for _ in 0..100 {
        put(&leader, "more than a learner may lack").await;
    }
    // Node 4 does not run the group: it begins to learn and gets nowhere.
    let everybody = BTreeSet::from([1, 2, 3, 4].map(NodeId));
    let learning = leader.change_voters(everybody).await;
    assert!(matches!(learning, Err(MembershipError::StillLearning(NodeId(4)))), "{learning:?}");
    let others: BTreeSet<NodeId> = [1, 2, 3].map(NodeId).into_iter().filter(|node| *node != own).collect();
    leader.change_voters(others.clone()).await.unwrap();
    let rest = groups.iter().zip([1, 2, 3].map(NodeId)).filter(|(_, id)| *id != own);
    let successor = leader_of(rest.map(|(group, _)| group)).await;
    successor.change_voters(others.clone()).await.unwrap();
    let mut status = successor.status();
    let settled = status.wait_for(|status| status.voters == others && status.learners.is_empty());
    tokio::time::timeout(Duration::from_secs(10), settled).await.expect("in time").unwrap();
    put(&successor, "b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_says_how_far_behind_it_is_and_whether_it_was_ever_close() {
    let mut cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    put(&leader, "first").await;
    let leader_id = leader.status().borrow().leader;
    for group in &groups {
        group.status().wait_for(|status| status.leader == leader_id).await.unwrap();
    }
    let away = (1..=3).find(|id| leader_id != Some(NodeId(*id))).unwrap();
    drop(groups);
    let parts = cluster.stop_without_checkpoint(away).await;
    let mut last = 0;
    for i in 0..200 {
        last = put(&leader, &i.to_string()).await;
    }
    cluster.restart(away, parts).await;
    let back = cluster.open(away, 1, &[1, 2, 3]).await;
    back.status().wait_for(|status| !status.voters.is_empty()).await.unwrap();
    assert!(back.is_catching_up(), "nobody has told it yet, or it is behind");
    let caught_up = async {
        while back.is_catching_up() || back.entries_behind() != Some(0) || *back.applied().borrow() < last {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), caught_up).await.expect("it catches up");
    assert_eq!(leader.entries_behind(), Some(0));
    drop(leader);
    let leader_id = leader_id.unwrap();
    cluster.kill(leader_id.0).await;
    let unsure = async {
        while back.status().borrow().leader == Some(leader_id) && back.entries_behind().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), unsure).await.expect("a dead leader vouches for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_moves_where_it_is_sent() {
    let cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    put(&leader, "a").await;
    let from = leader.status().borrow().leader.unwrap();
    let to = (1..=3).map(NodeId).find(|node| *node != from).unwrap();
    for node in cluster.nodes.iter().flatten() {
        node.groups.peers_up().wait_for(|up| up.len() == 2).await.unwrap();
    }
    leader.transfer_leader(to).await.unwrap();
    let next = &groups[to.0 as usize - 1];
    tokio::time::timeout(Duration::from_secs(3), next.status().wait_for(|status| status.leading))
        .await
        .unwrap()
        .unwrap();
    put(next, "b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_all_nodes_everything_is_there() {
    let mut cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    for i in 0..50 {
        put(&leader, &i.to_string()).await;
    }
    drop((groups, leader));
    let mut parts = Vec::new();
    for id in 1..=3 {
        parts.push(cluster.kill(id).await);
    }
    for (id, parts) in (1..=3).zip(parts) {
        cluster.restart(id, parts).await;
    }
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let last = put(&leader, "50").await;
    for group in &groups {
        assert_eq!(bodies(group, last).await, (0..=50).map(|i| i.to_string()).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_a_majority_vouches_for_nothing() {
    let mut cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &[1, 2, 3]).await;
    let leader = leader_of(&groups).await;
    let last = put(&leader, "a").await;
    assert!(leader.read_barrier().await.unwrap() >= last);
    let leads = leader.status().borrow().leader.unwrap();
    for follower in [1, 2, 3].into_iter().filter(|id| *id != leads.0) {
        cluster.kill(follower).await;
    }
    // The others may have elected somebody else and gone on, for all it knows.
    assert!(leader.read_barrier().await.is_err());
    let cut_off = async {
        while leader.entries_behind().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), cut_off).await.expect("it does not say that it has everything");
    let written = leader.propose(command("never on a majority")).await;
    if written.is_ok() {
        let in_log = async {
            while leader.log().state().last.is_none_or(|(index, _)| index <= last) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), in_log).await.expect("the entry is in its log");
    }
    let shown = leader.read(0, 1 << 20).await.unwrap().entries;
    assert_eq!(shown.iter().map(|entry| entry.payload.body.as_ref()).collect::<Vec<_>>(), [b"a"]);
}
