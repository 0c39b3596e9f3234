//! Where new replicas go: spread over zones first, then where the load is least.
//!
//! Holds: active nodes are chosen, none twice in a set, and where there are too few of them nodes
//! that are being drained, which never lead: a set of two would not survive the loss of one. A set
//! spans as many zones as it can; equal catalogs and seeds give equal answers. The first node of a
//! set is the preferred leader, and the new shards' leaders are as even as their sets allow.
//!
//! Moving what is placed already: [`crate::repair`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use thalweg_types::NodeId;

use crate::{Catalog, Node, NodeState, StreamStatus};

/// How much each node has to do, as far as placement counts it.
#[derive(Clone, Debug, Default)]
pub struct Load {
    replicas: BTreeMap<NodeId, u32>,
    leaders: BTreeMap<NodeId, u32>,
}

impl Load {
    /// The load that the catalog wants; leaders are counted for open and opening shards.
    pub fn of(catalog: &Catalog) -> Load {
        let mut load = Load::default();
        for (stream, shard) in catalog.shards() {
            if stream.status == StreamStatus::Deleting {
                continue;
            }
            shard.replicas.iter().for_each(|node| load.add_replica(*node));
            if let Some(leader) = shard.preferred_leader().filter(|_| shard.closed_at().is_none()) {
                load.add_leader(leader);
            }
        }
        load
    }

    /// Replicas on a node.
    pub fn replicas(&self, node: NodeId) -> u32 {
        self.replicas.get(&node).copied().unwrap_or(0)
    }

    /// Shards that a node should lead.
    pub fn leaders(&self, node: NodeId) -> u32 {
        self.leaders.get(&node).copied().unwrap_or(0)
    }

    pub(crate) fn add_replica(&mut self, node: NodeId) {
        *self.replicas.entry(node).or_default() += 1;
    }

    pub(crate) fn remove_replica(&mut self, node: NodeId) {
        self.replicas.entry(node).and_modify(|count| *count = count.saturating_sub(1));
    }

    pub(crate) fn add_leader(&mut self, node: NodeId) {
        *self.leaders.entry(node).or_default() += 1;
    }

    pub(crate) fn remove_leader(&mut self, node: NodeId) {
        self.leaders.entry(node).and_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Sets of nodes for `shards` new shards, each with as many replicas as there can be now.
pub fn place(catalog: &Catalog, shards: usize, replication: u32, seed: u64) -> Vec<Vec<NodeId>> {
    let wanted = catalog.replicas_of_new_shards(replication);
    let mut load = Load::of(catalog);
    let mut sets: Vec<_> =
        (0..shards as u64).map(|shard| place_one(catalog, wanted, &mut load, mix(seed ^ mix(shard)))).collect();
    while let Some(chain) = relief(catalog, &sets, &load) {
        pass_on(&mut sets, &mut load, chain);
    }
    sets
}

/// A set and the place in it of the node that shall lead instead of its first.
type Step = (usize, usize);

/// How one of the busiest leaders can hand one shard on, perhaps through others who hand one on
/// in turn, to a node that leads at least two fewer. Choosing set by set alone leaves such pairs.
fn relief(catalog: &Catalog, sets: &[Vec<NodeId>], load: &Load) -> Option<Vec<Step>> {
    let mut led: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    for (at, set) in sets.iter().enumerate().filter(|(_, set)| !set.is_empty()) {
        led.entry(set[0]).or_default().push(at);
    }
    let mut busiest: Vec<NodeId> = led.keys().copied().collect();
    busiest.sort_by_key(|node| (Reverse(load.leaders(*node)), *node));
    busiest.into_iter().find_map(|from| chain_from(from, catalog, sets, &led, load))
}

/// The shortest such chain from one node: a search in breadth over who may take over from whom.
fn chain_from(
    from: NodeId,
    catalog: &Catalog,
    sets: &[Vec<NodeId>],
    led: &BTreeMap<NodeId, Vec<usize>>,
    load: &Load,
) -> Option<Vec<Step>> {
    let mut reached: BTreeMap<NodeId, Option<(NodeId, Step)>> = BTreeMap::from([(from, None)]);
    let mut waiting = VecDeque::from([from]);
    while let Some(node) = waiting.pop_front() {
        if load.leaders(node) + 2 <= load.leaders(from) {
            let back = |(before, _): &(NodeId, Step)| reached[before];
            return Some(std::iter::successors(reached[&node], back).map(|(_, step)| step).collect());
        }
        for set in led.get(&node).into_iter().flatten() {
            for (place, member) in sets[*set].iter().enumerate().skip(1) {
                if !reached.contains_key(member) && !should_be_left(catalog, *member) {
                    reached.insert(*member, Some((node, (*set, place))));
                    waiting.push_back(*member);
                }
            }
        }
    }
    None
}

fn pass_on(sets: &mut [Vec<NodeId>], load: &mut Load, chain: Vec<Step>) {
    for (set, place) in chain {
        load.remove_leader(sets[set][0]);
        sets[set].swap(0, place);
        load.add_leader(sets[set][0]);
    }
}

fn place_one(catalog: &Catalog, wanted: usize, load: &mut Load, seed: u64) -> Vec<NodeId> {
    let mut members = Vec::with_capacity(wanted);
    while let Some(node) = best_or_draining(catalog, &members, load, seed).filter(|_| members.len() < wanted) {
        load.add_replica(node);
        members.push(node);
    }
    let by_leading = |node: &NodeId| (should_be_left(catalog, *node), load.leaders(*node), mix(seed ^ node.0));
    members.sort_by_cached_key(by_leading);
    if let Some(leader) = members.first() {
        load.add_leader(*leader);
    }
    members
}

/// The active node that best joins `members`: from the zone least used by them, then with the
/// fewest replicas, then by the seed.
pub(crate) fn best_addition(catalog: &Catalog, members: &[NodeId], load: &Load, seed: u64) -> Option<NodeId> {
    best_of(catalog.active_nodes(), catalog, members, load, seed)
}

/// The same, or if there is none the best that is being drained.
fn best_or_draining(catalog: &Catalog, members: &[NodeId], load: &Load, seed: u64) -> Option<NodeId> {
    let draining = catalog.nodes().filter(|node| node.state == NodeState::Draining);
    best_addition(catalog, members, load, seed).or_else(|| best_of(draining, catalog, members, load, seed))
}

fn best_of<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    catalog: &Catalog,
    members: &[NodeId],
    load: &Load,
    seed: u64,
) -> Option<NodeId> {
    let candidates = nodes.filter(|node| !members.contains(&node.id));
    let cost = |node: &&Node| (zone_use(catalog, members, &node.zone), load.replicas(node.id), mix(seed ^ node.id.0));
    candidates.min_by_key(cost).map(|node| node.id)
}

/// Whether replicas on a node should move elsewhere, and none lead there.
pub(crate) fn should_be_left(catalog: &Catalog, id: NodeId) -> bool {
    catalog.node(id).is_none_or(Node::should_be_left)
}

/// Members that live in a zone.
pub(crate) fn zone_use(catalog: &Catalog, members: &[NodeId], zone: &str) -> usize {
    members.iter().filter_map(|id| catalog.node(*id)).filter(|node| node.zone == zone).count()
}

/// The controller's voters as they should be: `wanted` of them (3, or 5), fewer in a small
/// cluster but always an odd number; living voters stay, dead and draining ones are replaced by
/// active nodes, spread over zones. Voters without a replacement stay: fewer would not be safer.
pub fn controller_voters(catalog: &Catalog, wanted: usize) -> Vec<NodeId> {
    let keeps = |id: &NodeId| catalog.node(*id).is_none_or(|node| !node.should_be_left());
    let (mut voters, left): (Vec<NodeId>, Vec<NodeId>) = catalog.controller_voters().iter().partition(|id| keeps(id));
    let reachable = catalog.active_nodes().count().min(wanted);
    let odd = reachable.saturating_sub(1) / 2 * 2 + 1;
    let size = odd.max(catalog.controller_voters().len());
    let none = Load::default();
    while let Some(node) = best_addition(catalog, &voters, &none, 0).filter(|_| voters.len() < size) {
        voters.push(node);
    }
    voters.extend(left.iter().take(size - voters.len()));
    voters
}

/// A fixed scrambling of bits (splitmix64): ties fall evenly and alike everywhere.
pub(crate) fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
