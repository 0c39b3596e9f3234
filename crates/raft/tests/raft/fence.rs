//! A node whose log lost acknowledged entries: without a say until it has them back.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thalweg_raft::Group;
use thalweg_storage::MemoryStore;
use thalweg_types::{GroupId, NodeId};

use crate::support::{Cluster, DAMAGE_MARK, bodies, leader_of, put};

/// What is left of a node that ended.
type Parts = (tempfile::TempDir, Arc<MemoryStore>);

const ALL: [u64; 3] = [1, 2, 3];
/// Survivors elect a leader in a fraction of this.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

/// Changes a byte of the third block: all that was acknowledged from there on is lost with it.
fn damage(node_dir: &Path) {
    let files = fs::read_dir(node_dir.join("wal")).unwrap().map(|entry| entry.unwrap().path());
    let is_segment = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("wal-");
    let newest = files.filter(is_segment).max().expect("a segment");
    let file = fs::File::options().read(true).write(true).open(newest).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 3 * 4096 + 100).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 3 * 4096 + 100).unwrap();
}

/// Writes twenty values; they, and the index of the last.
async fn put_values(leader: &Group) -> (Vec<String>, u64) {
    let values: Vec<String> = (0..20).map(|i| format!("value-{i}")).collect();
    let mut last = 0;
    for value in &values {
        last = put(leader, value).await;
    }
    (values, last)
}

/// A cluster of these nodes, all of which have the same values in group 1, and ended. The values, and
/// what is left of each node.
async fn ended_with_values(ids: &[u64]) -> (Cluster, Vec<String>, Vec<Parts>) {
    let mut cluster = Cluster::start(ids.len() as u64).await;
    let groups = cluster.open_all(1, ids).await;
    let leader = leader_of(&groups).await;
    let (values, last) = put_values(&leader).await;
    for group in &groups {
        group.applied().wait_for(|applied| *applied >= last).await.unwrap();
    }
    drop((groups, leader));
    let mut parts = Vec::new();
    for id in ids {
        parts.push(cluster.stop_without_close(*id).await);
    }
    (cluster, values, parts)
}

async fn fence_comes_down(group: &Group) {
    let lowered = async { group.status().wait_for(|status| !status.fenced).await.map(drop) };
    tokio::time::timeout(Duration::from_secs(30), lowered).await.expect("the fence comes down").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_forgot_elects_nobody_until_it_has_everything_back() {
    let (mut cluster, values, mut parts) = ended_with_values(&ALL).await;
    damage(parts[2].0.path());
    let whole = parts.remove(0);
    for (id, parts) in [2, 3].into_iter().zip(parts) {
        cluster.restart(id, parts).await;
    }

    // Two of three are a majority, but one of them does not know what it once acknowledged.
    let (second, forgetful) = (cluster.open(2, 1, &ALL).await, cluster.open(3, 1, &ALL).await);
    let mut status = second.status();
    let elected = tokio::time::timeout(LONG_ENOUGH, status.wait_for(|status| status.leader.is_some()));
    assert!(elected.await.is_err(), "a replica that forgot has voted");
    assert!(forgetful.status().borrow().fenced);

    cluster.restart(1, whole).await;
    cluster.introduce(2);
    cluster.introduce(3);
    let first = cluster.open(1, 1, &ALL).await;
    let leader = leader_of([&first, &second]).await;
    let last = put(&leader, "after").await;
    fence_comes_down(&forgetful).await;
    let all: Vec<String> = values.into_iter().chain(["after".to_owned()]).collect();
    assert_eq!(bodies(&forgetful, last).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_forgot_its_vote_gets_everything_back_from_a_leader_that_is_newer_than_any_it_may_have_elected()
{
    let mut cluster = Cluster::start(3).await;
    let groups = cluster.open_all(1, &ALL).await;
    let leader = leader_of(&groups).await;
    let own = leader.status().borrow().leader.unwrap().0;
    let (values, last) = put_values(&leader).await;
    let forgetful = ALL.into_iter().find(|id| *id != own).unwrap();
    groups[forgetful as usize - 1].applied().wait_for(|applied| *applied >= last).await.unwrap();
    let others: Vec<_> =
        ALL.into_iter().filter(|id| *id != forgetful).map(|id| groups[id as usize - 1].clone()).collect();
    drop((groups, leader));
    let parts = cluster.stop_without_close(forgetful).await;
    damage(parts.0.path());
    cluster.restart(forgetful, parts).await;
    let replica = cluster.open(forgetful, 1, &ALL).await;

    fence_comes_down(&replica).await;
    let leader = leader_of(&others).await;
    assert!(leader.status().borrow().term > DAMAGE_MARK, "the leader was elected after the loss");
    let last = put(&leader, "after").await;
    let all: Vec<String> = values.into_iter().chain(["after".to_owned()]).collect();
    assert_eq!(bodies(&replica, last).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_that_forgot_elects_the_other_one_which_has_everything() {
    let pair = [1, 2];
    let (mut cluster, values, parts) = ended_with_values(&pair).await;
    damage(parts[1].0.path());
    for (id, parts) in pair.into_iter().zip(parts) {
        cluster.restart(id, parts).await;
    }

    let (whole, forgetful) = (cluster.open(1, 1, &pair).await, cluster.open(2, 1, &pair).await);
    let leader = leader_of([&whole]).await;
    let last = put(&leader, "after").await;
    fence_comes_down(&forgetful).await;
    let all: Vec<String> = values.into_iter().chain(["after".to_owned()]).collect();
    assert_eq!(bodies(&forgetful, last).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sole_replica_that_forgot_has_nobody_to_ask_and_stays_fenced() {
    let mut cluster = Cluster::start(1).await;
    let group = cluster.open(1, 1, &[1]).await;
    let leader = leader_of([&group]).await;
    put_values(&leader).await;
    drop((group, leader));
    let parts = cluster.stop_without_close(1).await;
    damage(parts.0.path());
    cluster.restart(1, parts).await;
    let forgetful = cluster.open(1, 1, &[1]).await;
    let mut status = forgetful.status();
    let trusted = tokio::time::timeout(LONG_ENOUGH, status.wait_for(|status| !status.fenced || status.leading));
    assert!(trusted.await.is_err(), "what only this replica had is gone, and it goes on as if nothing were");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_left_and_returned_elects_nobody_who_missed_that_it_had_left() {
    let mut cluster = Cluster::start(4).await;
    let groups = cluster.open_all(7, &ALL).await;
    let leader = leader_of(&groups).await;
    let own = leader.status().borrow().leader.unwrap().0;
    let last = put(&leader, "known to all").await;
    for group in &groups {
        group.applied().wait_for(|applied| *applied >= last).await.unwrap();
    }
    let others: Vec<u64> = ALL.into_iter().filter(|id| *id != own).collect();
    let (behind, returned) = (others[0], others[1]);
    drop(groups);
    let of_behind = cluster.kill(behind).await;
    drop(cluster.open(4, 7, &[]).await);
    leader.change_voters([own, behind, 4].map(NodeId).into_iter().collect()).await.unwrap();
    put(&leader, "known to the new members").await;
    drop(leader);
    let (of_own, of_new) = (cluster.kill(own).await, cluster.kill(4).await);
    cluster.node(returned).groups.destroy(GroupId(7)).await.unwrap();
    let empty = cluster.open(returned, 7, &[]).await;

    // Who is behind takes the one that is back for a voter, and knows more than it.
    cluster.restart(behind, of_behind).await;
    let stale = cluster.open(behind, 7, &ALL).await;
    let mut status = stale.status();
    let elected = tokio::time::timeout(LONG_ENOUGH, status.wait_for(|status| status.leader.is_some()));
    assert!(elected.await.is_err(), "a replica that left and returned has voted");

    cluster.restart(own, of_own).await;
    cluster.restart(4, of_new).await;
    [behind, returned].into_iter().for_each(|id| cluster.introduce(id));
    let members = [cluster.open(own, 7, &ALL).await, cluster.open(4, 7, &[]).await, stale];
    let leader = leader_of(&members).await;
    let now: BTreeSet<NodeId> = [own, behind, 4, returned].map(NodeId).into_iter().collect();
    leader.change_voters(now).await.unwrap();
    let last = put(&leader, "after").await;
    fence_comes_down(&empty).await;
    assert_eq!(bodies(&empty, last).await, ["known to all", "known to the new members", "after"]);
}

/// What only memory knew would be forgotten with a process: a group whose voters all forgot that they
/// may vote has no leader ever again, and who had everything was released.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_returned_votes_only_when_its_disk_knows_that_it_may() {
    let mut cluster = Cluster::start(2).await;
    let group = cluster.open(1, 7, &[1]).await;
    let before = leader_of([&group]).await;
    put(&before, "before").await;
    let other = cluster.open(2, 7, &[]).await;
    before.change_voters([NodeId(2)].into()).await.unwrap();
    drop((group, before));
    let leader = leader_of([&other]).await;
    cluster.node(1).groups.destroy(GroupId(7)).await.unwrap();
    cluster.node(1).log.flush().unwrap();

    let returned = cluster.open(1, 7, &[]).await;
    cluster.node(1).gate.shut();
    let change = tokio::spawn({
        let leader = leader.clone();
        async move { leader.change_voters([NodeId(1)].into()).await }
    });
    let stopped = change.abort_handle();
    let last = put(&leader, "meanwhile").await;
    assert_eq!(bodies(&returned, last).await, ["before", "meanwhile"]);
    let changed = tokio::time::timeout(LONG_ENOUGH, change).await;
    assert!(!matches!(changed, Ok(Ok(Ok(())))), "it votes, and its disk has it fenced");
    stopped.abort();
    drop(returned);

    let parts = cluster.kill(1).await;
    cluster.restart(1, parts).await;
    let returned = cluster.open(1, 7, &[]).await;
    let changing = async {
        loop {
            let _ = leader.change_voters([NodeId(1)].into()).await.is_ok();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let leads = async { returned.status().wait_for(|status| status.leading).await.map(drop).unwrap() };
    let leads = async {
        tokio::select! { () = leads => {}, () = changing => {} }
    };
    tokio::time::timeout(Duration::from_secs(30), leads).await.expect("it votes once it may");
    put(&returned, "after").await;
}
