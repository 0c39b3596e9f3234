//! Entries whose bytes are damaged on disk: got back from other nodes, wherever they are met.

use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::Bytes;
use thalweg_raft::{Damaged, Group, OpenError, Payload, ProposeError, ReadError};
use thalweg_storage::{LogEntry, NodeLog};
use thalweg_types::{GroupId, NodeId};

use crate::support::{Cluster, Node, bodies, command, leader_of, put};

const GROUP: GroupId = GroupId(1);
const ALL: [u64; 3] = [1, 2, 3];
const PATIENCE: Duration = Duration::from_secs(30);

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

/// What a group of three has after `count` commands: all replicas have applied the last of them.
async fn filled(cluster: &Cluster, count: u64) -> (Vec<String>, u64) {
    let groups = cluster.open_all(1, &ALL).await;
    let leader = leader_of(&groups).await;
    let values: Vec<String> = (0..count).map(|i| format!("value-{i:04}")).collect();
    let mut last = 0;
    for value in &values {
        last = put(&leader, value).await;
    }
    for group in &groups {
        in_time(async { group.applied().wait_for(|applied| *applied >= last).await.map(drop) }).await.unwrap();
    }
    (values, last)
}

/// An entry as it lies on a node, whoever is up.
fn stored(log: &NodeLog, index: u64) -> LogEntry {
    let mut entries = log.known_group(GROUP).unwrap().read(index, index + 1, 1).unwrap();
    entries.remove(0)
}

/// Asserts that an entry lies in the record store and has to be applied anew.
fn assert_above_the_checkpoint(node: &Node, index: u64) {
    let state = node.log.group(GROUP).state();
    assert!(index < state.moved_end, "{index} is in the record store");
    assert!(state.checkpoint.is_none_or(|(applied, _)| applied < index), "{index} is above the checkpoint");
}

/// Flips a byte of the body `value` in the write-ahead log of a node that runs.
fn flip_in_write_ahead_log(node: &Node, value: &str) -> io::Result<()> {
    for file in std::fs::read_dir(node.dir.as_ref().unwrap().path().join("wal"))?.flatten() {
        let bytes = if file.file_type()?.is_file() { std::fs::read(file.path())? } else { continue };
        if let Some(at) = bytes.windows(value.len()).position(|window| window == value.as_bytes()) {
            return std::fs::OpenOptions::new().write(true).open(file.path())?.write_all_at(b"!", at as u64);
        }
    }
    Err(io::Error::other(format!("{value} is not in the write-ahead log")))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_damaged_above_the_checkpoint_is_given_back_before_its_replica_opens() {
    let mut cluster = Cluster::start(3).await;
    let (values, last) = filled(&cluster, 20).await;
    let parts = cluster.stop_without_checkpoint(3).await;
    let damaged = last - 10;
    assert!(parts.1.corrupt(GROUP, damaged));
    cluster.restart(3, parts).await;
    assert_above_the_checkpoint(cluster.node(3), damaged);
    let group = in_time(open_at_last(&cluster, 3)).await;
    assert_eq!(cluster.node(3).groups.repair_counts().repaired, 1);
    assert_eq!(stored(&cluster.node(3).log, damaged), stored(&cluster.node(1).log, damaged));
    assert_eq!(in_time(bodies(&group, last)).await, values);
    assert!(cluster.node(3).groups.damaged().is_empty());
    let whole = cluster.stop_without_checkpoint(3).await;
    drop(group);
    cluster.restart(3, whole).await;
    assert_eq!(stored(&cluster.node(3).log, damaged), stored(&cluster.node(1).log, damaged), "it stays healed");
}

/// Opens a replica as its owner does: again until it opens, for peers may not be connected yet.
async fn open_at_last(cluster: &Cluster, node: u64) -> Group {
    loop {
        match cluster.try_open(node, 1, &ALL).await {
            Ok(group) => return group,
            Err(OpenError::Damaged(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_every_kind_are_given_back() {
    let mut cluster = Cluster::start(3).await;
    let (values, last) = filled(&cluster, 5).await;
    let parts = cluster.stop_without_checkpoint(2).await;
    // The first entry holds the members, the second is a leader's blank one.
    (0..=last).for_each(|index| assert!(parts.1.corrupt(GROUP, index)));
    cluster.restart(2, parts).await;
    (0..=last).for_each(|index| assert_above_the_checkpoint(cluster.node(2), index));
    let group = in_time(open_at_last(&cluster, 2)).await;
    assert_eq!(in_time(bodies(&group, last)).await, values);
    (0..=last).for_each(|i| assert_eq!(stored(&cluster.node(2).log, i), stored(&cluster.node(1).log, i)));
    assert_eq!(cluster.node(2).groups.repair_counts().repaired, last + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_with_the_same_damaged_entry_are_healed_by_the_third() {
    let mut cluster = Cluster::start(3).await;
    let (values, last) = filled(&cluster, 20).await;
    let damaged = last - 5;
    for node in [2, 3] {
        let parts = cluster.stop_without_checkpoint(node).await;
        assert!(parts.1.corrupt(GROUP, damaged));
        cluster.restart(node, parts).await;
        assert_above_the_checkpoint(cluster.node(node), damaged);
    }
    for node in [2, 3] {
        let group = in_time(open_at_last(&cluster, node)).await;
        assert_eq!(in_time(bodies(&group, last)).await, values);
        assert_eq!(stored(&cluster.node(node).log, damaged), stored(&cluster.node(1).log, damaged));
    }
    let groups = [cluster.node(2).groups.get(GROUP).unwrap(), cluster.node(3).groups.get(GROUP).unwrap()];
    put(&leader_of(groups.iter().chain(&cluster.node(1).groups.get(GROUP))).await, "goes on").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_are_both_closed_heal_each_other_of_different_damage() {
    let mut cluster = Cluster::start(3).await;
    let (mut values, last) = filled(&cluster, 20).await;
    let mut stopped = Vec::new();
    for node in ALL {
        stopped.push(cluster.stop_without_checkpoint(node).await);
    }
    for (node, parts) in (2..).zip(stopped.drain(1..)) {
        assert!(parts.1.corrupt(GROUP, last - node));
        cluster.restart(node, parts).await;
        assert_above_the_checkpoint(cluster.node(node), last - node);
    }
    let open = futures::future::join(open_at_last(&cluster, 2), open_at_last(&cluster, 3));
    let (second, third) = in_time(open).await;
    let last = put(&leader_of([&second, &third]).await, "new").await;
    values.push("new".to_owned());
    for group in [second, third] {
        assert_eq!(in_time(bodies(&group, last)).await, values);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_nobody_can_heal_stays_closed_says_why_and_opens_when_a_peer_is_back() {
    let mut cluster = Cluster::start(3).await;
    let (values, last) = filled(&cluster, 20).await;
    let mut stopped = Vec::new();
    for node in ALL {
        stopped.push(cluster.stop_without_checkpoint(node).await);
    }
    let healthy = stopped.remove(0);
    let parts = stopped.remove(0);
    assert!(parts.1.corrupt(GROUP, last));
    cluster.restart(2, parts).await;
    assert_above_the_checkpoint(cluster.node(2), last);
    for _ in 0..2 {
        let Err(OpenError::Damaged(damaged)) = cluster.try_open(2, 1, &ALL).await else { panic!("it opened") };
        assert_eq!(damaged.index, last);
        assert!(damaged.reason.contains("node 1 is not connected"), "{damaged}");
        assert!(damaged.reason.contains("node 3 is not connected"), "{damaged}");
        assert_eq!(cluster.node(2).groups.damaged()[&GROUP], damaged);
    }
    assert!(cluster.node(2).groups.get(GROUP).is_none(), "a replica that is closed has no say");
    assert_eq!(cluster.node(2).groups.repair_counts().waiting, 1);
    cluster.restart(1, healthy).await;
    let group = in_time(open_at_last(&cluster, 2)).await;
    let other = cluster.open(1, 1, &ALL).await;
    leader_of([&group, &other]).await;
    assert_eq!(in_time(bodies(&group, last)).await, values);
    let counts = cluster.node(2).groups.repair_counts();
    assert_eq!((counts.repaired, counts.waiting), (1, 0));
}

/// Writes entries behind the last one of a log, in its term.
async fn append_uncommitted(log: &NodeLog, last: u64, count: u64) {
    let (log, like) = (log.group(GROUP), stored(log, last));
    let entries = (1..=count).map(|i| LogEntry { index: last + i, ..like.clone() }).collect();
    let (sender, written) = tokio::sync::oneshot::channel();
    log.append_admitted(entries, true, Box::new(move |result| drop(sender.send(result))));
    written.await.unwrap().unwrap();
}

/// Has the group give up everything up to `cut`, on the given nodes.
async fn trim(groups: &[Group], cut: u64) {
    let trim = Payload { head: format!("trim:{cut}").into_bytes().into(), body: Bytes::new() };
    leader_of(groups).await.propose(trim).await.unwrap().outcome().await.unwrap();
    for group in groups {
        while group.log().state().trimmed.is_none_or(|(index, _)| index < cut) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Another of the groups leads, in a later term.
async fn elect_another(groups: &[Group]) {
    let leader = leader_of(groups).await;
    let leads = |group: &&Group| group.status().borrow().leading;
    let other = groups.iter().find(|group| !leads(group)).unwrap();
    let id = [1, 2].map(NodeId).into_iter().find(|id| leader.status().borrow().leader != Some(*id)).unwrap();
    leader.transfer_leader(id).await.unwrap();
    other.status().wait_for(|status| status.leading).await.unwrap();
}

/// Node 3 stops, one of its entries is damaged, another leader is elected, more is written, and the
/// others trim `up_to` so many entries behind the damage. The end of node 3's log is never committed.
async fn a_snapshot_stands_for_what_all_others_gave_up(more: u64, up_to: u64, uncommitted: u64) {
    let mut cluster = Cluster::start(3).await;
    let (values, last) = filled(&cluster, 20).await;
    let parts = cluster.stop_without_checkpoint(3).await;
    let damaged = last - 10;
    assert!(parts.1.corrupt(GROUP, damaged));
    let others = [1, 2].map(|node| cluster.node(node).groups.get(GROUP).unwrap());
    in_time(elect_another(&others)).await;
    let mut expected = values;
    for i in 0..more {
        expected.push(format!("later-{i}"));
        put(&leader_of(&others).await, &format!("later-{i}")).await;
    }
    in_time(trim(&others, damaged + up_to)).await;
    cluster.restart(3, parts).await;
    assert_above_the_checkpoint(cluster.node(3), damaged);
    append_uncommitted(&cluster.node(3).log, last, uncommitted).await;
    let group = in_time(open_at_last(&cluster, 3)).await;
    let end = put(&leader_of(&others).await, "end").await;
    expected.push("end".to_owned());
    in_time(async { group.applied().wait_for(|applied| *applied >= end).await.map(drop) }).await.unwrap();
    assert_eq!(group.log().state().trimmed.unwrap().0, damaged + up_to);
    let mut seen = in_time(bodies(&group, end)).await;
    seen.retain(|body| !body.is_empty());
    let kept = in_time(bodies(&others[0], end)).await.into_iter().filter(|body| !body.is_empty());
    assert_eq!(seen, kept.collect::<Vec<_>>());
    assert!(expected.ends_with(&seen), "{seen:?}");
    let counts = cluster.node(3).groups.repair_counts();
    assert_eq!((counts.repaired, counts.waiting), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_stands_for_a_damaged_entry_that_all_others_have_trimmed() {
    a_snapshot_stands_for_what_all_others_gave_up(0, 0, 0).await;
    a_snapshot_stands_for_what_all_others_gave_up(3, 4, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_from_behind_the_end_of_a_damaged_log_takes_its_place() {
    a_snapshot_stands_for_what_all_others_gave_up(10, 15, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_were_never_committed_make_way_for_a_snapshot() {
    a_snapshot_stands_for_what_all_others_gave_up(10, 15, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_below_the_checkpoint_keeps_no_replica_closed() {
    let mut cluster = Cluster::start(1).await;
    let group = cluster.open(1, 1, &[1]).await;
    let leader = leader_of([&group]).await;
    for i in 0..20 {
        put(&leader, &i.to_string()).await;
    }
    let last = put(&leader, "last").await;
    cluster.node(1).log.flush().unwrap();
    drop((group, leader));
    let parts = cluster.kill(1).await;
    // openraft reads the first entry, and searches the log for the first one of each leader.
    (0..last).for_each(|index| assert!(parts.1.corrupt(GROUP, index)));
    cluster.restart(1, parts).await;
    assert!(cluster.node(1).log.group(GROUP).state().checkpoint.unwrap().0 >= last);
    let group = cluster.open(1, 1, &[1]).await;
    put(&leader_of([&group]).await, "new").await;
    assert!(matches!(group.read(5, 1).await, Err(ReadError::Corrupt { index: 5 })));
    let refused = group.repair(5).await;
    assert_eq!(refused, Err(Damaged { index: 5, reason: "no other node is connected".to_owned() }));
    assert_eq!(&group.read(last, 1).await.unwrap().entries[0].payload.body[..], b"last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_meets_damage_while_it_feeds_a_follower_is_healed_and_goes_on() {
    let mut cluster = Cluster::start(3).await;
    let pair = cluster.open_all(1, &[1, 2]).await;
    let leader = leader_of(&pair).await;
    let mut values = Vec::new();
    let mut last = 0;
    for i in 0..20 {
        values.push(i.to_string());
        last = put(&leader, &values[i]).await;
    }
    drop((pair, leader));
    // Both lose their memory, in which the entries still were; one loses more.
    for (node, damaged) in [(1, 4), (2, 7)] {
        cluster.node(node).log.flush().unwrap();
        let parts = cluster.kill(node).await;
        assert!(parts.1.corrupt(GROUP, damaged));
        cluster.restart(node, parts).await;
    }
    let pair = [cluster.open(1, 1, &[1, 2]).await, cluster.open(2, 1, &[1, 2]).await];
    let leader = leader_of(&pair).await;
    let joined = cluster.open(3, 1, &[1, 2]).await;
    in_time(leader.change_voters(ALL.into_iter().map(thalweg_types::NodeId).collect())).await.unwrap();
    assert_eq!(in_time(bodies(&joined, last)).await, values);
    let repaired: u64 = [1, 2].iter().map(|node| cluster.node(*node).groups.repair_counts().repaired).sum();
    assert_eq!(repaired, 1, "the leader's");
}

/// Writes a value, perhaps more than once.
async fn put_at_last(groups: &[Group], value: &str) -> u64 {
    loop {
        let Ok(proposal) = leader_of(groups).await.propose(command(value.to_owned())).await else { continue };
        if let Ok(applied) = proposal.outcome().await {
            return applied.index;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_cannot_apply_stand_back_until_a_peer_returns() {
    let mut cluster = Cluster::start(3).await;
    let (values, _) = filled(&cluster, 20).await;
    let mut stopped = Vec::new();
    for node in ALL {
        stopped.push(cluster.stop_without_close(node).await);
    }
    let healthy = stopped.remove(0);
    // The same entry goes bad on two replicas after they were opened, before it can be applied.
    let mut opened = Vec::new();
    for (node, parts) in (2..).zip(stopped) {
        cluster.restart_alone(node, parts).await;
        opened.push(cluster.open(node, 1, &ALL).await);
        flip_in_write_ahead_log(cluster.node(node), &values[7]).unwrap();
    }
    [2, 3].into_iter().for_each(|node| cluster.introduce(node));
    // The one that hears of the commit first stands back, and takes no entries; without it the other
    // may be elected, but commits nothing.
    let fenced = opened
        .iter()
        .map(|group| Box::pin(async { group.status().wait_for(|status| status.fenced).await.map(|_| group.clone()) }));
    let fenced = in_time(futures::future::select_all(fenced)).await.0.unwrap();
    let refused = match fenced.propose(command("refused")).await {
        Ok(proposal) => in_time(proposal.outcome()).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(refused, ProposeError::Unavailable { .. } | ProposeError::NotLeader { .. }), "{refused}");
    for group in &opened {
        assert!(group.read_barrier().await.is_err());
        assert!(!group.status().borrow().leading);
        assert_eq!(group.entries_behind(), None);
    }
    cluster.restart(1, healthy).await;
    let first = cluster.open(1, 1, &ALL).await;
    for group in &opened {
        in_time(async { group.status().wait_for(|status| !status.fenced).await.map(drop) }).await.unwrap();
    }
    opened.push(first);
    // A replica that was asked to take over may still do so.
    let last = in_time(put_at_last(&opened, "new")).await;
    for group in opened {
        let mut bodies = in_time(bodies(&group, last)).await;
        bodies.dedup();
        assert_eq!(bodies.split_off(values.len()), ["new"]);
        assert_eq!(bodies, values);
    }
}
