//! Damage to the write-ahead log: everything on the node is fenced, durably, until lowered.

use crate::support::{A, B, Node, entries, read_all};

fn damaged_node() -> Node {
    let node = Node::start();
    node.put(A, entries(0..3, 500));
    node.put(B, entries(0..3, 500));
    node.put(A, entries(3..6, 500));
    // An idle writer writes the fence, which remembers what was acknowledged.
    node.write();
    // Blocks start on pages: this lies in the second append.
    node.flip_in_newest_segment(2 * 4096 + 100);
    node.restart()
}

#[test]
fn damage_fences_every_group_that_is_left() {
    let node = damaged_node();
    let reason = node.report.damaged.clone().expect("acknowledged bytes are missing");
    assert!(!reason.is_empty());
    assert_eq!(node.report.fenced_groups, node.log.groups().len());
    assert!(node.log.group(A).state().fenced);
    let left = read_all(&node.log.group(A), 0, 100);
    assert_eq!(left, entries(0..left.len() as u64, 500), "what is left is a prefix");
}

#[test]
fn the_fence_outlives_restarts_until_it_is_lowered() {
    let node = damaged_node().crash().restart();
    assert_eq!(node.report.damaged, None, "reported once");
    assert!(node.log.group(A).state().fenced);
    node.log.group(A).lower_fence();
    assert!(!node.log.group(A).state().fenced);
    assert!(node.log.run_mover_once(), "lowering is urgent");
    let node = node.crash();
    assert!(!node.log.group(A).state().fenced);
}

#[test]
fn a_lowered_fence_that_was_not_saved_is_up_again() {
    let node = damaged_node();
    node.log.group(A).lower_fence();
    assert!(node.crash().log.group(A).state().fenced);
}
