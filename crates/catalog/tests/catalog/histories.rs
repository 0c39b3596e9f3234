//! Whatever happens, in whatever order: the catalog's rules hold after every command.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use thalweg_catalog::{
    Applied, Catalog, Command, NewStream, NodeChange, Operation, RetentionChange, Rules, ShardFilter, Step, Stream,
    StreamStatus, create, desired_replicas, placement, repair, reshard, scale,
};
use thalweg_types::{GroupId, HashKey, NodeId, ShardId, StreamId, StreamName, UnixMillis};

use crate::support::{all_ready, cluster, name, registration as node_registration, tiles};
use crate::wishes;

/// Something that may happen; what it means depends on the catalog at that time.
#[derive(Clone, Debug)]
enum Event {
    Create {
        stream: u8,
        shards: u32,
    },
    Delete {
        stream: u8,
        with_consumers: bool,
    },
    Progress(Index),
    Abort(Index),
    Split {
        stream: u8,
        shard: Index,
        at: Option<u128>,
        rules: Rules,
    },
    Merge {
        stream: u8,
        shard: Index,
        far: bool,
        rules: Rules,
    },
    Scale {
        stream: u8,
        target: u32,
        rules: Rules,
    },
    StopScaling {
        stream: u8,
    },
    Retention {
        stream: u8,
        hours: u32,
    },
    Expire {
        stream: u8,
    },
    Register {
        node: u64,
    },
    Change {
        node: u64,
        change: NodeChange,
    },
    Remove {
        node: u64,
    },
    Repair(Index),
    Settle(Index),
    Replay(Index),
    /// A wish about settings, consumers, keys or the account.
    Wish(wishes::Wish),
    /// The same, of a stream that may have been created again meanwhile.
    WishOfIncarnation {
        id: u64,
        wish: wishes::Wish,
    },
}

fn rules() -> impl Strategy<Value = Rules> {
    prop::sample::select(vec![Rules::Free, Rules::Kinesis])
}

fn event() -> impl Strategy<Value = Event> {
    let stream = || 0u8..2;
    let change = prop::sample::select(vec![
        NodeChange::Drain,
        NodeChange::Undrain,
        NodeChange::MarkDead,
        NodeChange::MarkAlive,
        NodeChange::MarkAlive,
    ]);
    prop_oneof![
        3 => (stream(), 0u32..6).prop_map(|(stream, shards)| Event::Create { stream, shards }),
        1 => (stream(), any::<bool>())
            .prop_map(|(stream, with_consumers)| Event::Delete { stream, with_consumers }),
        20 => any::<Index>().prop_map(Event::Progress),
        2 => any::<Index>().prop_map(Event::Abort),
        4 => (stream(), any::<Index>(), any::<Option<u128>>(), rules())
            .prop_map(|(stream, shard, at, rules)| Event::Split { stream, shard, at, rules }),
        4 => (stream(), any::<Index>(), any::<bool>(), rules())
            .prop_map(|(stream, shard, far, rules)| Event::Merge { stream, shard, far, rules }),
        2 => (stream(), 0u32..9, rules()).prop_map(|(stream, target, rules)| Event::Scale { stream, target, rules }),
        1 => stream().prop_map(|stream| Event::StopScaling { stream }),
        2 => (stream(), 20u32..100).prop_map(|(stream, hours)| Event::Retention { stream, hours }),
        4 => stream().prop_map(|stream| Event::Expire { stream }),
        2 => (0u64..8).prop_map(|node| Event::Register { node }),
        3 => (0u64..8, change).prop_map(|(node, change)| Event::Change { node, change }),
        1 => (0u64..8).prop_map(|node| Event::Remove { node }),
        4 => any::<Index>().prop_map(Event::Repair),
        4 => any::<Index>().prop_map(Event::Settle),
        2 => any::<Index>().prop_map(Event::Replay),
        16 => wishes::wish().prop_map(Event::Wish),
        2 => (0u64..6, wishes::wish()).prop_map(|(id, wish)| Event::WishOfIncarnation { id, wish }),
    ]
}

fn pick<T: Clone>(index: &Index, from: &[T]) -> Option<T> {
    (!from.is_empty()).then(|| index.get(from).clone())
}

pub(crate) fn stream_name(stream: u8) -> StreamName {
    name(["s", "t"][usize::from(stream)])
}

/// A shard to name in a request: any that exists, or one past the last.
fn any_shard(catalog: &Catalog, stream: u8, index: &Index) -> ShardId {
    let next = catalog.stream(&stream_name(stream)).map_or(0, |stream| stream.next_shard.0);
    ShardId(index.index(next as usize + 1) as u32)
}

/// The shard whose range begins after this one's end.
fn neighbour(catalog: &Catalog, stream: u8, shard: ShardId) -> ShardId {
    let next = || {
        let stream = catalog.stream(&stream_name(stream))?;
        let end = stream.shards.get(shard)?.range.end();
        stream.shard_for(HashKey(end.0.checked_add(1)?)).map(|shard| shard.id)
    };
    next().unwrap_or(shard)
}

/// Every command that the controller's loops would propose now.
fn loop_commands(catalog: &Catalog, now: UnixMillis) -> Vec<Command> {
    let observed = all_ready(catalog);
    let reshards = catalog.reshards().map(|running| reshard::next_step(catalog, running, &observed, now));
    let creations = catalog.streams().filter_map(|stream| create::next_step(stream, &observed));
    let mut commands: Vec<Command> = reshards.chain(creations).filter_map(proposed).collect();
    for stream in catalog.streams() {
        commands.extend(scale::next_commands(catalog, &stream.name, 3, 5, now));
        if stream.status == StreamStatus::Deleting {
            commands.push(Command::FinishDelete { stream: stream.name.clone(), id: stream.id });
        }
    }
    let voters = placement::controller_voters(catalog, 3);
    commands.push(Command::SetControllerVoters { voters });
    commands
}

fn proposed(step: Step) -> Option<Command> {
    match step {
        Step::Propose(command) => Some(command),
        Step::Wait(_) => None,
    }
}

fn unsettled(catalog: &Catalog) -> Vec<Command> {
    let moving = catalog.shards().filter(|(_, shard)| !shard.settled);
    let settle = |(stream, shard): (&Stream, &thalweg_catalog::Shard)| Command::ReplicasSettled {
        stream: stream.name.clone(),
        shard: shard.id,
        voters: shard.replicas.iter().rev().copied().collect(),
        placement: Some(shard.placement),
    };
    moving.map(settle).collect()
}

fn command(event: &Event, catalog: &Catalog, past: &[Command], now: UnixMillis) -> Option<Command> {
    let ask = |operation: Operation| operation.command(catalog, now, 11).ok();
    match event {
        Event::Create { stream, shards } => {
            ask(Operation::CreateStream(NewStream::named(stream_name(*stream), *shards)))
        }
        Event::Delete { stream, with_consumers } => {
            ask(Operation::DeleteStream { stream: stream_name(*stream), with_consumers: *with_consumers })
        }
        Event::Progress(index) => pick(index, &loop_commands(catalog, now)),
        Event::Abort(index) => {
            let running: Vec<_> = catalog.reshards().map(|reshard| reshard.id).collect();
            pick(index, &running).map(|reshard| Command::AbortReshard { reshard })
        }
        Event::Split { stream, shard, at, rules } => {
            let shard = any_shard(catalog, *stream, shard);
            ask(Operation::SplitShard { stream: stream_name(*stream), shard, at: at.map(HashKey), rules: *rules })
        }
        Event::Merge { stream, shard, far, rules } => {
            let shard = any_shard(catalog, *stream, shard);
            let adjacent = if *far { ShardId(0) } else { neighbour(catalog, *stream, shard) };
            ask(Operation::MergeShards { stream: stream_name(*stream), shard, adjacent, rules: *rules })
        }
        Event::Scale { stream, target, rules } => {
            ask(Operation::UpdateShardCount { stream: stream_name(*stream), target: *target, rules: *rules })
        }
        Event::StopScaling { stream } => ask(Operation::StopScaling { stream: stream_name(*stream) }),
        Event::Retention { stream, hours } => {
            ask(Operation::SetRetention { stream: stream_name(*stream), hours: *hours, change: RetentionChange::Set })
        }
        Event::Expire { stream } => {
            let stream = catalog.stream(&stream_name(*stream))?;
            Some(Command::ExpireShards { stream: stream.name.clone(), shards: stream.expired_shards(now), now })
        }
        Event::Register { node } => Some(Command::RegisterNode { node: node_registration(*node, "d"), now }),
        Event::Change { node, change } => Some(Command::ChangeNode { node: NodeId(*node), change: *change, now }),
        Event::Remove { node } => Some(Command::RemoveNode { node: NodeId(*node) }),
        Event::Repair(index) => {
            let mut moves = repair::repair(catalog, 4);
            moves.extend(repair::spread(catalog, 4));
            moves.extend(repair::balance_leaders(catalog, 4));
            pick(index, &moves)
        }
        Event::Settle(index) => pick(index, &unsettled(catalog)),
        Event::Replay(index) => pick(index, past),
        Event::Wish(wish) => ask(wish.operation()),
        Event::WishOfIncarnation { id, wish } => {
            let (stream, operation) = (wish.stream()?, Box::new(wish.operation()));
            ask(Operation::OfIncarnation { stream, id: StreamId(*id), operation })
        }
    }
}

/// What has been seen in a history, to notice an id that comes back as something else.
#[derive(Default)]
struct Seen {
    /// Every registration of a consumer so far: stream, name, second.
    registrations: BTreeSet<(StreamName, String, u64)>,
    groups: BTreeMap<GroupId, (StreamId, ShardId)>,
    shards: BTreeMap<(StreamId, ShardId), GroupId>,
    gone: BTreeSet<GroupId>,
}

impl Seen {
    fn look(&mut self, catalog: &Catalog) {
        let mut here = BTreeSet::new();
        for (stream, shard) in catalog.shards() {
            let key = (stream.id, shard.id);
            assert_eq!(*self.groups.entry(shard.group).or_insert(key), key, "a group serves another shard");
            assert_eq!(*self.shards.entry(key).or_insert(shard.group), shard.group, "a shard id names another shard");
            assert!(!self.gone.contains(&shard.group), "{} is back", shard.id);
            here.insert(shard.group);
        }
        self.gone = self.groups.keys().filter(|group| !here.contains(group)).copied().collect();
    }
}

/// The stream and name that a command registers a consumer under.
fn registration(command: &Command) -> Option<(&StreamName, &str)> {
    match command {
        Command::RegisterConsumer { stream, consumer, .. } => Some((stream, consumer)),
        Command::OfIncarnation { command, .. } => registration(command),
        _ => None,
    }
}

/// A client's view: at the tip and at any time still readable, the listed shards tile.
fn clients_see_whole_ranges(catalog: &Catalog, now: UnixMillis, back_ms: u64, key: HashKey) {
    for stream in catalog.streams().filter(|stream| stream.serves()) {
        let asked = [
            ShardFilter::AtLatest,
            ShardFilter::AtTrimHorizon,
            ShardFilter::AtTimestamp(now.minus_ms(back_ms)),
            ShardFilter::AtTimestamp(UnixMillis(now.0 + back_ms)),
        ];
        for filter in asked {
            assert!(tiles(stream.list_shards(filter, now)), "{filter:?} of {stream:#?}");
        }
        assert!(stream.shard_for(key).unwrap().range.contains(key));
    }
}

/// Each host of a shard is told to run it, and nobody else.
fn hosts_are_told(catalog: &Catalog) {
    let mut told: BTreeMap<GroupId, BTreeSet<NodeId>> = BTreeMap::new();
    for node in catalog.nodes() {
        for spec in desired_replicas(catalog, node.id) {
            told.entry(spec.group).or_default().insert(node.id);
            assert!(!(spec.bootstrap && spec.writable), "a group that forms takes no writes");
        }
    }
    let kept = catalog.shards().filter(|(stream, _)| stream.status != StreamStatus::Deleting);
    let hosts: BTreeMap<_, _> = kept.map(|(_, shard)| (shard.group, shard.hosts().collect())).collect();
    assert_eq!(told, hosts);
}

/// Nodes come, and drain, and are remembered: that is not counted.
const REST_BYTES_MAX: u64 = 4_096;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_rule_holds_after_every_command_of_any_history(
        events in prop::collection::vec((event(), -5_000i64..20 * 3_600_000), 1..150),
        back_ms in 0u64..200 * 3_600_000,
        key: u128,
    ) {
        let mut catalog = cluster(&["a", "b", "c", "a"]);
        let (mut seen, mut past, mut now) = (Seen::default(), Vec::new(), 1_800_000_000_000u64);
        let mut room = catalog.encode().len() as u64 + REST_BYTES_MAX;
        for (event, step_ms) in events {
            now = now.saturating_add_signed(step_ms);
            let Some(command) = command(&event, &catalog, &past, UnixMillis(now)) else { continue };
            let before = catalog.clone();
            let added = command.bytes_added_max(&catalog);
            let outcome = catalog.apply(&command);
            match &outcome {
                Ok(Applied::Unchanged) | Err(_) => prop_assert_eq!(&catalog, &before),
                Ok(_) => prop_assert_eq!(catalog.revision(), before.revision() + 1),
            }
            room += if outcome.is_ok() { added } else { 0 };
            let bytes = catalog.encode().len() as u64;
            prop_assert!(bytes <= room, "{} bytes, and no more than {} were to be: {:?}", bytes, room, command);
            if let (Ok(Applied::ConsumerRegistered { created_at }), Some((stream, name))) =
                (&outcome, registration(&command))
            {
                let new = seen.registrations.insert((stream.clone(), name.to_owned(), created_at.secs()));
                prop_assert!(new, "{} of {} got a second that it had before", name, stream);
            }
            prop_assert_eq!(Command::decode(&command.encode()).unwrap(), command.clone());
            past.push(command);
            prop_assert_eq!(catalog.check(), Ok(()));
            seen.look(&catalog);
            clients_see_whole_ranges(&catalog, UnixMillis(now), back_ms, HashKey(key));
        }
        hosts_are_told(&catalog);
        prop_assert_eq!(Catalog::decode(&catalog.encode()).unwrap(), catalog.clone());

        let mut replica = cluster(&["a", "b", "c", "a"]);
        past.iter().for_each(|command| drop(replica.apply(command)));
        prop_assert_eq!(replica, catalog);
    }
}

#[test]
fn histories_reach_the_deep_states() {
    // A property over histories says little if they all end in refusals.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(event(), 170);
    let (mut flips, mut expired, mut moved) = (0, 0, 0);
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..40 {
        let events = strategy.new_tree(&mut runner).unwrap().current();
        let (mut catalog, mut past, mut now) = (cluster(&["a", "b", "c", "a"]), Vec::new(), 1_800_000_000_000);
        for event in events {
            now += 7_200_000;
            let Some(command) = command(&event, &catalog, &past, UnixMillis(now)) else { continue };
            let changed = catalog.apply(&command).is_ok_and(|applied| applied != Applied::Unchanged);
            flips += usize::from(changed && matches!(command, Command::FlipReshard { .. }));
            expired += usize::from(changed && matches!(command, Command::ExpireShards { .. }));
            moved += usize::from(changed && matches!(command, Command::ReplicasSettled { .. }));
            if changed {
                *reached.entry(wishes::kind(&command)).or_default() += 1;
            }
            past.push(command);
        }
    }
    for kind in wishes::KINDS {
        assert!(reached.get(kind).is_some_and(|times| *times >= 5), "{kind} in {reached:?}");
    }
    assert!(flips > 40 && expired > 10 && moved > 20, "{flips} flips, {expired} expiries, {moved} moves");
}
