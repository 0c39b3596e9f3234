//! What the hub makes of reports.

use super::*;

const GROUP: GroupId = GroupId(7);

fn report(leader: u64, term: u64) -> ReplicaReport {
    ReplicaReport { leader: Some(NodeId(leader)), term, ready: true, ..ReplicaReport::default() }
}

fn hub_with(reports: &[(u64, ReplicaReport)]) -> (Hub, Vec<Session>) {
    let hub = Hub::new();
    hub.begin();
    let attach = |(node, report): &(u64, ReplicaReport)| {
        let session = hub.attach(NodeId(*node));
        assert!(hub.report(session, vec![(GROUP, Some(report.clone()))]));
        session
    };
    let sessions = reports.iter().map(attach).collect();
    (hub, sessions)
}

fn leader_of(hub: &Hub) -> Option<u64> {
    hub.soft().borrow().leaders.get(&GROUP).map(|leader| leader.0)
}

#[test]
fn the_word_of_the_highest_term_counts() {
    let (hub, _) = hub_with(&[(1, report(1, 4)), (2, report(3, 5)), (3, report(3, 5))]);
    assert_eq!(leader_of(&hub), Some(3));
}

#[test]
fn only_the_leader_itself_speaks_for_the_group() {
    let (hub, _) = hub_with(&[(1, report(2, 4))]);
    assert!(!hub.sight().observed[&GROUP].can_serve(), "a follower's word makes no group ready");
    let (hub, _) = hub_with(&[(1, report(2, 4)), (2, report(2, 4))]);
    assert!(hub.sight().observed[&GROUP].can_serve());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_left_takes_its_word_along_and_is_missed_from_then_on() {
    let (hub, sessions) = hub_with(&[(1, report(1, 4))]);
    tokio::time::advance(Duration::from_secs(60)).await;
    hub.detach(sessions[0]);
    tokio::time::advance(Duration::from_secs(2)).await;
    let sight = hub.sight();
    assert_eq!((leader_of(&hub), sight.absence(NodeId(1))), (None, Duration::from_secs(2)));
    assert_eq!(sight.absence(NodeId(9)), Duration::from_secs(62), "never heard of since this leader began");
}

#[tokio::test(start_paused = true)]
async fn a_node_about_to_attach_is_not_missed_for_longer() {
    let (hub, _) = hub_with(&[]);
    tokio::time::advance(Duration::from_secs(600)).await;
    hub.expect(NodeId(4));
    assert_eq!(hub.sight().absence(NodeId(4)), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_and_a_late_report_of_it_is_ignored() {
    let (hub, sessions) = hub_with(&[(1, report(1, 4))]);
    tokio::time::advance(Duration::from_secs(5)).await;
    hub.drop_silent(Duration::from_secs(3));
    assert!(hub.soft().borrow().connected.is_empty());
    assert!(!hub.report(sessions[0], vec![(GROUP, Some(report(1, 9)))]));
    assert_eq!(leader_of(&hub), None);
}

#[test]
fn another_rate_is_taken_without_waking_anybody() {
    let (hub, sessions) = hub_with(&[(1, report(1, 4))]);
    let mut changes = hub.changes();
    changes.mark_unchanged();
    let write = Some(thalweg_catalog::WriteRate { bytes_per_s: 9, records_per_s: 1 });
    assert!(hub.report(sessions[0], vec![(GROUP, Some(ReplicaReport { write, ..report(1, 4) }))]));
    assert_eq!((hub.sight().observed[&GROUP].write, changes.has_changed().unwrap()), (write, false));
    assert!(hub.report(sessions[0], vec![(GROUP, Some(ReplicaReport { write, ..report(1, 5) }))]));
    assert!(changes.has_changed().unwrap(), "all else is news");
}

#[test]
fn a_node_that_attaches_again_replaces_its_old_session() {
    let (hub, sessions) = hub_with(&[(1, report(1, 4)), (1, report(1, 6))]);
    hub.detach(sessions[0]);
    assert_eq!(leader_of(&hub), Some(1), "the end of the old stream does not end the new one");
    assert!(!hub.report(sessions[0], Vec::new()));
}

#[test]
fn a_replica_that_is_gone_is_held_by_nobody() {
    let (hub, sessions) = hub_with(&[(1, report(1, 4))]);
    assert!(hub.sight().holders.contains_key(&GROUP));
    hub.report(sessions[0], vec![(GROUP, None)]);
    assert!(!hub.sight().holders.contains_key(&GROUP));
}
