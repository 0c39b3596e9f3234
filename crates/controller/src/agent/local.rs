//! What this node's own replicas know of their leaders goes into its image at once, without the
//! way through the controller: routing stays fresh while no controller leads.

use std::sync::Arc;

use thalweg_types::{GroupId, NodeId};

use crate::node::Node;
use crate::{Image, Reports};

/// Follows this node's observations for as long as it runs.
pub(crate) async fn run(node: Arc<Node>) {
    let mut observations = node.observations.clone();
    let mut noted: Arc<Reports> = Arc::default();
    loop {
        let now = observations.borrow_and_update().clone();
        let news = news(&noted, &now);
        node.image.send_if_modified(|image| note(image, &news));
        noted = now;
        if observations.changed().await.is_err() {
            return;
        }
    }
}

/// Groups whose leader a replica here has just learned.
fn news(before: &Reports, now: &Reports) -> Vec<(GroupId, NodeId)> {
    let leader = |reports: &Reports, group| reports.get(group).and_then(|report| report.leader);
    let changed = now.iter().filter(|(group, report)| report.leader != leader(before, group));
    changed.filter_map(|(group, report)| Some((*group, report.leader?))).collect()
}

fn note(image: &mut Arc<Image>, news: &[(GroupId, NodeId)]) -> bool {
    let is_new = |(group, leader): &&(GroupId, NodeId)| image.leaders.get(group) != Some(leader);
    let news: Vec<(GroupId, NodeId)> = news.iter().filter(is_new).copied().collect();
    if !news.is_empty() {
        Arc::make_mut(image).leaders.extend(news.iter().copied());
    }
    !news.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReplicaReport;

    fn led_by(leader: Option<u64>) -> ReplicaReport {
        ReplicaReport { leader: leader.map(NodeId), term: 1, ..ReplicaReport::default() }
    }

    #[test]
    fn only_a_newly_learned_leader_replaces_what_the_controller_said() {
        let before = Reports::from([(GroupId(1), led_by(Some(1))), (GroupId(2), led_by(Some(1)))]);
        let now =
            Reports::from([(GroupId(1), led_by(Some(1))), (GroupId(2), led_by(None)), (GroupId(3), led_by(Some(2)))]);
        let mut image = Arc::new(Image::default());
        Arc::make_mut(&mut image).leaders = [1, 2, 3].map(|group| (GroupId(group), NodeId(9))).into();
        assert!(note(&mut image, &news(&before, &now)));
        let leaders: Vec<u64> = image.leaders.values().map(|leader| leader.0).collect();
        assert_eq!(leaders, [9, 9, 2]);
        assert!(!note(&mut image, &news(&now, &now)));
    }
}
