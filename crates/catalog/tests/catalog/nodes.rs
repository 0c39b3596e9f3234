//! Nodes: an id names one disk, states change as documented, the controller's voters follow.

use thalweg_catalog::{Applied, Catalog, Command, NodeChange, NodeState, Refusal, placement};
use thalweg_types::{Incarnation, NodeId};

use crate::support::{START, at_hour, cluster, cluster_with_stream, ids, registration};

fn change(catalog: &mut Catalog, node: u64, change: NodeChange) {
    catalog.apply(&Command::ChangeNode { node: NodeId(node), change, now: at_hour(1) }).unwrap();
}

fn state(catalog: &Catalog, node: u64) -> NodeState {
    catalog.node(NodeId(node)).unwrap().state
}

#[test]
fn a_node_that_starts_again_keeps_its_id_and_tells_its_new_address() {
    let mut catalog = cluster(&["a"]);
    let mut node = registration(1, "a");
    let again = Command::RegisterNode { node: node.clone(), now: at_hour(1) };
    assert_eq!(catalog.apply(&again), Ok(Applied::Unchanged));
    node.peer_address = "elsewhere:4568".into();
    assert_eq!(catalog.apply(&Command::RegisterNode { node, now: at_hour(1) }), Ok(Applied::Changed));
    let known = catalog.node(NodeId(1)).unwrap();
    assert_eq!((known.peer_address.as_str(), known.registered_at), ("elsewhere:4568", START));
}

#[test]
fn another_disk_cannot_take_a_nodes_id() {
    let mut catalog = cluster(&["a", "b", "c", "d"]);
    let mut node = registration(4, "d");
    node.incarnation = Incarnation(5);
    let taken = Command::RegisterNode { node: node.clone(), now: START };
    assert_eq!(catalog.apply(&taken), Err(Refusal::NodeIncarnation { node: NodeId(4) }));
    catalog.apply(&Command::RemoveNode { node: NodeId(4) }).unwrap();
    assert_eq!(catalog.apply(&taken), Err(Refusal::NodeRemoved { node: NodeId(4) }));
}

#[test]
fn a_drained_node_that_dies_and_returns_is_still_drained() {
    let mut catalog = cluster(&["a", "b"]);
    change(&mut catalog, 2, NodeChange::Drain);
    change(&mut catalog, 2, NodeChange::MarkDead);
    assert_eq!(state(&catalog, 2), NodeState::Dead { since: at_hour(1), draining: true });
    catalog.apply(&Command::RegisterNode { node: registration(2, "b"), now: at_hour(2) }).unwrap();
    assert_eq!(state(&catalog, 2), NodeState::Draining);
    change(&mut catalog, 2, NodeChange::Undrain);
    assert_eq!(state(&catalog, 2), NodeState::Active);
}

#[test]
fn a_node_with_replicas_or_a_vote_is_not_removed() {
    let mut catalog = cluster_with_stream(2);
    let refused = catalog.apply(&Command::RemoveNode { node: NodeId(3) });
    assert_eq!(refused, Err(Refusal::NodeInUse { node: NodeId(3), replicas: 2, votes: true }));
}

fn settle_voters(catalog: &mut Catalog, wanted: usize) -> Vec<u64> {
    let voters = placement::controller_voters(catalog, wanted);
    catalog.apply(&Command::SetControllerVoters { voters }).unwrap();
    let mut voters: Vec<u64> = catalog.controller_voters().iter().map(|node| node.0).collect();
    voters.sort();
    voters
}

#[test]
fn controller_voters_grow_with_the_cluster_in_odd_numbers() {
    let mut catalog = cluster(&["a"]);
    assert_eq!(settle_voters(&mut catalog, 3), [1]);
    for (id, zone, expected) in [(2, "b", vec![1]), (3, "c", vec![1, 2, 3]), (4, "a", vec![1, 2, 3])] {
        catalog.apply(&Command::RegisterNode { node: registration(id, zone), now: START }).unwrap();
        assert_eq!(settle_voters(&mut catalog, 3), expected);
    }
    assert_eq!(settle_voters(&mut catalog, 5), [1, 2, 3]);
    catalog.apply(&Command::RegisterNode { node: registration(5, "b"), now: START }).unwrap();
    assert_eq!(settle_voters(&mut catalog, 5), [1, 2, 3, 4, 5]);
}

#[test]
fn a_lost_controller_voter_is_replaced_in_its_zone_and_kept_without_a_replacement() {
    let mut catalog = cluster(&["a", "b", "c"]);
    change(&mut catalog, 3, NodeChange::MarkDead);
    assert_eq!(placement::controller_voters(&catalog, 3), ids(&[1, 2, 3]));
    for (id, zone) in [(4, "a"), (5, "c"), (6, "b")] {
        catalog.apply(&Command::RegisterNode { node: registration(id, zone), now: START }).unwrap();
    }
    assert_eq!(settle_voters(&mut catalog, 3), [1, 2, 5]);
}

#[test]
fn the_token_secret_is_never_printed() {
    assert!(!format!("{:?}", cluster(&["a"])).contains("hush"));
}
