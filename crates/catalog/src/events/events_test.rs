//! Which commands become which lines, and how the log is read.

use thalweg_types::Incarnation;

use super::*;
use crate::on_demand::Why;
use crate::{
    AccessKey, NewStream, NodeChange, NodeRegistration, Observed, Operation, Rules, Secret, Step, WriteRate, create,
    placement, reshard,
};

/// A catalog and its log, changed together as the controller does it.
#[derive(Default)]
struct World {
    catalog: Catalog,
    log: EventLog,
    now: u64,
}

impl World {
    fn of(nodes: u64) -> World {
        let mut world = World::default();
        for id in 1..=nodes {
            let node = NodeRegistration::new(NodeId(id), Incarnation(id));
            world.apply(&Command::RegisterNode { node, now: UnixMillis(1) });
        }
        world
    }

    fn apply(&mut self, command: &Command) {
        let before = self.catalog.clone();
        self.now += 1_000;
        let applied = self.catalog.apply(command).unwrap();
        self.log.note(&before, &self.catalog, command, &applied, UnixMillis(self.now));
    }

    fn ask(&mut self, operation: &Operation) {
        let command = operation.command(&self.catalog, UnixMillis(self.now), 3).unwrap();
        self.apply(&command);
    }

    /// Runs what the controller's loops do until nothing is left.
    fn settle(&mut self) {
        while let Some(command) = self.due() {
            self.apply(&command);
        }
    }

    fn due(&self) -> Option<Command> {
        let ready = |shard: &crate::Shard| Observed {
            leader: shard.preferred_leader(),
            ready: true,
            sealed_at: Some(shard.starting()),
            ..Observed::default()
        };
        let observed = self.catalog.shards().map(|(_, shard)| (shard.group, ready(shard))).collect();
        let created = self.catalog.streams().filter_map(|stream| create::next_step(stream, &observed));
        let now = UnixMillis(self.now);
        let reshards =
            self.catalog.reshards().map(|running| reshard::next_step(&self.catalog, running, &observed, now));
        created.chain(reshards).find_map(|step| match step {
            Step::Propose(command) => Some(command),
            Step::Wait(_) => None,
        })
    }

    fn orders(shards: u32) -> World {
        let mut world = World::of(3);
        world.ask(&Operation::CreateStream(NewStream::named("orders".parse().unwrap(), shards)));
        world.settle();
        world
    }

    fn lines(&self) -> Vec<String> {
        let line = |event: &Arc<Event>| format!("{} {}|{}", event.kind.name(), event.kind.what(), event.kind.why());
        self.log.page(0, usize::MAX, None).events.iter().map(line).collect()
    }

    fn last_line(&self) -> String {
        self.lines().pop().unwrap()
    }
}

fn stream() -> StreamName {
    "orders".parse().unwrap()
}

#[test]
fn a_split_is_told_once_it_is_done_with_its_reason() {
    let mut world = World::orders(4);
    let kind = ReshardKind::Split { shard: ShardId(3), at: None };
    let rate = WriteRate { bytes_per_s: 812 * 1024, records_per_s: 40 };
    let patch = crate::StreamPatch { mode: Some(StreamMode::OnDemand), ..Default::default() };
    world.ask(&Operation::UpdateStream { stream: stream(), patch: Box::new(patch), rules: Rules::Free });
    assert_eq!(world.last_line(), "stream_changed changed: mode|");
    let told = world.log.last_number();
    let why = Why::Hot { rate, held_ms: 185_000 };
    let placement = placement::place(&world.catalog, 2, 3, 1);
    let (cause, now) = (ReshardCause::OnDemand(why), UnixMillis(9_000));
    world.apply(&Command::PlanReshard { stream: stream(), kind, cause, placement, rules: Rules::Free, now });
    assert_eq!(world.log.last_number(), told, "it has only begun");
    world.settle();
    let expected = "shard_split split shardId-000000000003 into shardId-000000000004 and shardId-000000000005|\
                    812 KiB/s, 40 records/s for 3 min";
    assert_eq!((world.last_line().as_str(), world.log.last_number()), (expected, told + 1));
    let page = world.log.page(told, 10, Some(&stream()));
    assert_eq!(page.events[0].kind.shards(), (vec![ShardId(3)], vec![ShardId(4), ShardId(5)]));
}

#[test]
fn a_scaling_is_two_lines_however_many_steps_it_takes() {
    let mut world = World::orders(1);
    let told = world.log.last_number();
    world.ask(&Operation::UpdateShardCount { stream: stream(), target: 9, rules: Rules::Free });
    while world.catalog.stream(&stream()).unwrap().scaling.is_some() {
        for command in crate::scale::next_commands(&world.catalog, &stream(), 4, 1, UnixMillis(9_000)) {
            world.apply(&command);
        }
        world.settle();
    }
    let lines = &world.lines()[told as usize..];
    assert_eq!(lines, ["scaling_started scales from 1 to 9 shards|", "scaling_ended scaled to 9 shards|"]);
}

#[test]
fn a_dead_node_is_told_and_when_it_is_rebuilt() {
    let mut world = World::of(4);
    world.ask(&Operation::CreateStream(NewStream::named(stream(), 8)));
    world.settle();
    let now = UnixMillis(5);
    world.apply(&Command::ChangeNode { node: NodeId(2), change: NodeChange::MarkDead, now });
    let replicas = world.catalog.replicas_on(NodeId(2));
    assert!(replicas > 0 && world.last_line().contains(&format!("its {replicas} replicas are rebuilt on others")));
    while world.catalog.replicas_on(NodeId(2)) > 0 {
        assert!(!world.last_line().starts_with("node_emptied"));
        for command in crate::repair::repair(&world.catalog, 2) {
            world.apply(&command);
        }
        let moving: Vec<Command> = world.catalog.shards().filter(|(_, shard)| !shard.settled).map(settled).collect();
        moving.iter().for_each(|command| world.apply(command));
    }
    assert_eq!(world.last_line(), "node_emptied all replicas of dead node 2 are rebuilt|");
}

fn settled((stream, shard): (&crate::Stream, &crate::Shard)) -> Command {
    let (voters, placement) = (shard.replicas.clone(), Some(shard.placement));
    Command::ReplicasSettled { stream: stream.name.clone(), shard: shard.id, voters, placement }
}

#[test]
fn secrets_never_reach_the_log() {
    let mut world = World::of(1);
    let key = AccessKey {
        id: "AKIA1".to_owned(),
        secret: Secret::new("open-sesame"),
        description: "ci".to_owned(),
        created_at: UnixMillis(1),
        allowed: None,
    };
    world.apply(&Command::CreateAccessKey { key });
    world.apply(&Command::DeleteAccessKey { id: "AKIA1".to_owned() });
    let lines = world.lines();
    assert_eq!(
        lines[1..],
        ["access_key_created access key AKIA1 made|", "access_key_deleted access key AKIA1 deleted|"]
    );
    assert!(!format!("{:?}", world.log).contains("open-sesame"));
}

#[test]
fn what_changed_nothing_is_no_event() {
    let mut world = World::of(2);
    let told = world.log.last_number();
    world.apply(&Command::ChangeNode { node: NodeId(1), change: NodeChange::Undrain, now: UnixMillis(1) });
    assert_eq!(world.log.last_number(), told);
}

#[test]
fn the_log_keeps_the_newest_and_pages_meet_without_gap_or_overlap() {
    let mut world = World::of(1);
    for _ in 0..EVENTS_MAX {
        world.apply(&Command::ChangeNode { node: NodeId(1), change: NodeChange::Drain, now: UnixMillis(1) });
        world.apply(&Command::ChangeNode { node: NodeId(1), change: NodeChange::Undrain, now: UnixMillis(1) });
    }
    let written = 1 + 2 * EVENTS_MAX as u64;
    assert_eq!(world.log.last_number(), written);
    let (mut after, mut numbers, mut gaps) = (0, Vec::new(), 0);
    loop {
        let page = world.log.page(after, 7, None);
        gaps += usize::from(page.gap);
        if page.events.is_empty() {
            break;
        }
        numbers.extend(page.events.iter().map(|event| event.number));
        after = page.next_after;
    }
    let expected: Vec<u64> = (written - EVENTS_MAX as u64 + 1..=written).collect();
    assert_eq!((numbers, gaps, after), (expected, 1, written));
    let none = world.log.page(0, 7, Some(&stream()));
    assert_eq!((none.events.len(), none.next_after), (0, written), "a filtered reader gets on");
}

#[test]
fn times_never_fall_though_the_clock_does() {
    let mut world = World::of(1);
    world.now = 500_000;
    world.apply(&Command::ChangeNode { node: NodeId(1), change: NodeChange::Drain, now: UnixMillis(1) });
    world.now = 0;
    world.apply(&Command::ChangeNode { node: NodeId(1), change: NodeChange::Undrain, now: UnixMillis(1) });
    let times: Vec<u64> = world.log.page(0, 9, None).events.iter().map(|event| event.at.0).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn the_log_travels_with_a_snapshot_and_not_with_an_image() {
    let world = World::orders(2);
    let snapshot = world.catalog.encode_with(&world.log);
    assert_eq!(Catalog::decode_with(&snapshot).unwrap(), (world.catalog.clone(), world.log.clone()));
    assert_eq!(Catalog::decode(&snapshot).unwrap(), world.catalog);
    let image = String::from_utf8(world.catalog.encode()).unwrap();
    assert!(!image.contains("node_joined") && snapshot.len() > image.len());
    let (_, none) = Catalog::decode_with(image.as_bytes()).unwrap();
    assert_eq!(none, EventLog::default(), "snapshots of versions without events are read");
}
