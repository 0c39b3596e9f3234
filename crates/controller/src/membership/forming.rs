//! The decision of a node that belongs to no cluster yet: form one, join one, or wait.
//!
//! Pure: what the seeds answered comes in, what to do comes out.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_types::{Incarnation, NodeId};

use super::Refused;
use crate::identity::Member;

/// What one seed said about itself; `None` when it did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seed {
    pub(crate) address: String,
    pub(crate) answer: Option<SeedAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeedAnswer {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) cluster_id: Option<String>,
}

/// The node that decides, as it would introduce itself.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) peer_address: String,
}

/// What a fresh node does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Becomes a member of this cluster.
    Join { cluster_id: String },
    /// Forms a cluster on these nodes, lowest id first.
    Form { founders: Vec<Member> },
    /// Asks again in a moment.
    Wait { reason: String },
}

/// Decides from one round of answers.
pub(crate) fn decide(me: &Me, seeds: &[Seed]) -> Result<Decision, Refused> {
    let others = others(me, seeds)?;
    if let Some(cluster_id) = only_cluster(&others)? {
        return Ok(Decision::Join { cluster_id });
    }
    let silent: Vec<&str> = seeds.iter().filter(|seed| seed.answer.is_none()).map(|seed| &*seed.address).collect();
    if !silent.is_empty() {
        let reason = format!("no answer from {}: a cluster is formed when all seeds have started", silent.join(", "));
        return Ok(Decision::Wait { reason });
    }
    match others.keys().next() {
        Some(&lowest) if lowest < me.node => {
            Ok(Decision::Wait { reason: format!("node {lowest}, the lowest of the seeds, forms the cluster") })
        }
        _ => Ok(Decision::Form { founders: founders(me, &others) }),
    }
}

/// The seeds that answered and are not this node itself.
fn others<'a>(me: &Me, seeds: &'a [Seed]) -> Result<BTreeMap<NodeId, (&'a str, &'a SeedAnswer)>, Refused> {
    let mut others: BTreeMap<NodeId, (&str, &SeedAnswer)> = BTreeMap::new();
    for seed in seeds {
        let Some(answer) = &seed.answer else { continue };
        let id = answer.node;
        if (id, answer.incarnation) == (me.node, me.incarnation) {
            continue;
        }
        if id == me.node {
            return Err(twice(id, &seed.address, &me.peer_address));
        }
        if let Some((address, known)) = others.insert(id, (&seed.address, answer))
            && known.incarnation != answer.incarnation
        {
            return Err(twice(id, &seed.address, address));
        }
    }
    Ok(others)
}

fn twice(node: NodeId, one: &str, other: &str) -> Refused {
    Refused(format!("{one} and {other} both say they are node {node}: give each node its own --node-id"))
}

fn only_cluster(others: &BTreeMap<NodeId, (&str, &SeedAnswer)>) -> Result<Option<String>, Refused> {
    let clusters: BTreeSet<&String> = others.values().filter_map(|(_, answer)| answer.cluster_id.as_ref()).collect();
    match clusters.len() {
        0 | 1 => Ok(clusters.first().map(|id| (*id).clone())),
        _ => Err(Refused(format!(
            "the seeds belong to different clusters ({clusters:?}): name seeds of one cluster only"
        ))),
    }
}

/// Three founders, five when there are as many nodes.
fn founders(me: &Me, others: &BTreeMap<NodeId, (&str, &SeedAnswer)>) -> Vec<Member> {
    let other =
        |(id, (address, _)): (&NodeId, &(&str, &SeedAnswer))| Member { node: *id, peer_address: (*address).to_owned() };
    let mut all: Vec<Member> = others.iter().map(other).collect();
    all.push(Member { node: me.node, peer_address: me.peer_address.clone() });
    all.sort();
    all.truncate(if all.len() >= 5 { 5 } else { 3 });
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn me(node: u64) -> Me {
        Me { node: NodeId(node), incarnation: Incarnation(node * 100), peer_address: address(node) }
    }

    fn address(node: u64) -> String {
        format!("node{node}:4568")
    }

    fn seed(node: u64, cluster: Option<&str>) -> Seed {
        let (node_id, incarnation) = (NodeId(node), Incarnation(node * 100));
        let answer = SeedAnswer { node: node_id, incarnation, cluster_id: cluster.map(str::to_owned) };
        Seed { address: address(node), answer: Some(answer) }
    }

    fn silent(node: u64) -> Seed {
        Seed { address: address(node), answer: None }
    }

    #[test]
    fn a_node_without_seeds_forms_alone() {
        let founders = vec![Member { node: NodeId(4), peer_address: address(4) }];
        assert_eq!(decide(&me(4), &[]), Ok(Decision::Form { founders }));
    }

    #[test]
    fn a_silent_seed_holds_forming_back_but_not_joining() {
        let waits = decide(&me(1), &[seed(1, None), silent(2)]).unwrap();
        assert!(matches!(waits, Decision::Wait { reason } if reason.contains("node2:4568")));
        let joins = decide(&me(3), &[silent(1), seed(2, Some("c"))]).unwrap();
        assert_eq!(joins, Decision::Join { cluster_id: "c".to_owned() });
    }

    #[test]
    fn two_disks_of_one_id_and_two_clusters_are_refused_with_what_to_do() {
        let mut other_disk = seed(2, None);
        other_disk.answer.as_mut().unwrap().incarnation = Incarnation(7);
        let refused = decide(&me(2), &[other_disk]).unwrap_err();
        assert!(refused.0.contains("give each node its own --node-id"), "{refused}");
        let refused = decide(&me(1), &[seed(2, Some("a")), seed(3, Some("b"))]).unwrap_err();
        assert!(refused.0.contains("seeds of one cluster only"), "{refused}");
    }

    proptest! {
        #[test]
        fn of_fresh_nodes_with_the_same_seeds_exactly_the_lowest_forms(
            ids in proptest::collection::btree_set(1u64..50, 1..8),
        ) {
            let seeds: Vec<Seed> = ids.iter().map(|id| seed(*id, None)).collect();
            let decisions = ids.iter().map(|id| (*id, decide(&me(*id), &seeds).unwrap()));
            let forming: Vec<(u64, Decision)> =
                decisions.filter(|(_, decision)| matches!(decision, Decision::Form { .. })).collect();
            prop_assert_eq!(forming.len(), 1);
            let (id, Decision::Form { founders }) = &forming[0] else { unreachable!() };
            prop_assert_eq!(Some(id), ids.first());
            prop_assert_eq!(founders.len(), ids.len().min(if ids.len() >= 5 { 5 } else { 3 }));
            prop_assert_eq!(Some(founders[0].node.0), ids.first().copied());
        }

        #[test]
        fn nobody_forms_while_a_seed_is_silent_or_has_a_cluster(
            ids in proptest::collection::btree_set(1u64..50, 2..8), odd in 0usize..8, joins: bool,
        ) {
            let odd = *ids.iter().nth(odd % ids.len()).unwrap();
            let as_seed = |id: &u64| match *id == odd {
                true if joins => seed(*id, Some("c")),
                true => silent(*id),
                false => seed(*id, None),
            };
            let seeds: Vec<Seed> = ids.iter().map(as_seed).collect();
            for id in ids.iter().filter(|id| **id != odd) {
                let decision = decide(&me(*id), &seeds).unwrap();
                prop_assert_eq!(matches!(decision, Decision::Join { .. }), joins);
                let forms = matches!(decision, Decision::Form { .. });
                prop_assert!(!forms);
            }
        }
    }
}
