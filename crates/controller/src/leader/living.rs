//! Placing new shards on nodes that answer right now, as far as there are enough of them.
//!
//! The catalog knows only who has been away for long. A group whose members are away, if only for
//! a minute, forms late or not at all, so plans for new groups are made as if nodes out of contact
//! were dead; where that leaves too few nodes, as the catalog has them, the living ones first.

use std::collections::BTreeSet;

use thalweg_catalog::{Catalog, Command, NodeChange, Refusal};
use thalweg_types::{NodeId, UnixMillis};

/// The commands of `plan`, placed on `connected` nodes where the catalog's rules allow it.
pub(crate) fn place(
    catalog: &Catalog,
    connected: &BTreeSet<NodeId>,
    plan: impl Fn(&Catalog) -> Vec<Command>,
) -> Vec<Command> {
    let away: Vec<NodeId> = catalog.active_nodes().map(|node| node.id).filter(|id| !connected.contains(id)).collect();
    if away.is_empty() {
        return plan(catalog);
    }
    let commands = plan(&without(catalog, &away));
    let too_few = |command: &Command| matches!(catalog.clone().apply(command), Err(Refusal::Nodes { .. }));
    let mut commands = if commands.iter().any(too_few) { plan(catalog) } else { commands };
    commands.iter_mut().for_each(|command| living_first(command, connected));
    commands
}

fn without(catalog: &Catalog, away: &[NodeId]) -> Catalog {
    let mut rest = catalog.clone();
    for &node in away {
        // Of no consequence beyond the plan: this catalog is thrown away.
        let change = Command::ChangeNode { node, change: NodeChange::MarkDead, now: UnixMillis(0) };
        let _ = rest.apply(&change);
    }
    rest
}

/// The first node of a new group leads it, and should be there to do so.
fn living_first(command: &mut Command, connected: &BTreeSet<NodeId>) {
    match command {
        Command::CreateStream { placement, .. } | Command::PlanReshard { placement, .. } => {
            placement.iter_mut().for_each(|members| members.sort_by_key(|member| !connected.contains(member)));
        }
        Command::OfIncarnation { command, .. } => living_first(command, connected),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use thalweg_catalog::{NewStream, NodeRegistration, Operation};
    use thalweg_types::Incarnation;

    use super::*;

    fn catalog(nodes: u64) -> Catalog {
        let mut catalog = Catalog::new();
        for id in 1..=nodes {
            let node = NodeRegistration::new(NodeId(id), Incarnation(id));
            catalog.apply(&Command::RegisterNode { node, now: UnixMillis(1) }).unwrap();
        }
        catalog
    }

    fn placement(catalog: &Catalog, connected: &[u64]) -> Vec<Vec<u64>> {
        let wanted = NewStream::named("orders".parse().unwrap(), 8);
        let operation = Operation::CreateStream(wanted);
        let connected = connected.iter().copied().map(NodeId).collect();
        let plan = |catalog: &Catalog| vec![operation.command(catalog, UnixMillis(5), 7).unwrap()];
        let commands = place(catalog, &connected, plan);
        assert!(catalog.clone().apply(&commands[0]).is_ok());
        let Command::CreateStream { placement, .. } = &commands[0] else { unreachable!() };
        placement.iter().map(|members| members.iter().map(|node| node.0).collect()).collect()
    }

    #[test]
    fn new_shards_go_to_nodes_that_answer_when_there_are_enough() {
        for members in placement(&catalog(4), &[1, 2, 4]) {
            assert!(!members.contains(&3), "{members:?}");
        }
    }

    #[test]
    fn with_too_few_of_them_the_others_take_part_but_do_not_lead() {
        for members in placement(&catalog(3), &[2, 3]) {
            assert_eq!(members.len(), 3);
            assert_eq!(members.last(), Some(&1));
        }
    }
}
