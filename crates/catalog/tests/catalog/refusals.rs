//! Every refusal's text, as a user reads it: what was wrong, and what would be right.

use thalweg_catalog::{
    Catalog, Command, NewStream, NodeChange, NodesProblem, Operation, Refusal, RefusalKind, ReshardId, ReshardKind,
    RetentionChange, Rules, decode_outcome, encode_outcome,
};
use thalweg_types::{HashKey, Incarnation, NodeId, ShardId, StreamId};

use crate::support::{
    START, ask, at_hour, cluster_with_stream, ids, merge, name, plan, registration, reshard_now, split,
};

#[track_caller]
fn refused(catalog: &mut Catalog, command: Command, kind: RefusalKind, text: &str) {
    let outcome = catalog.apply(&command);
    let bytes = encode_outcome(&outcome);
    assert_eq!(decode_outcome(&bytes).unwrap(), outcome, "a refusal travels whole");
    let refusal = outcome.unwrap_err();
    assert_eq!((refusal.to_string().as_str(), refusal.kind()), (text, kind));
}

#[track_caller]
fn wish_refused(catalog: &mut Catalog, wish: Operation, kind: RefusalKind, text: &str) {
    let operation = Operation::decode(&wish.encode()).unwrap();
    assert_eq!(operation, wish);
    match operation.command(catalog, at_hour(1), 7) {
        Ok(command) => refused(catalog, command, kind, text),
        Err(refusal) => assert_eq!((refusal.to_string().as_str(), refusal.kind()), (text, kind)),
    }
}

fn create(change: impl Fn(&mut NewStream)) -> Operation {
    let mut wanted = NewStream::named(name("new"), 2);
    change(&mut wanted);
    Operation::CreateStream(wanted)
}

#[test]
fn creating_a_stream() {
    let c = &mut cluster_with_stream(2);
    use RefusalKind::{InUse, Invalid, LimitExceeded};
    wish_refused(c, create(|w| w.name = name("s")), InUse, "stream `s` exists already");
    let few = "a stream has 1 to 10000 shards; 0 would be too few";
    wish_refused(c, create(|w| w.shard_count = 0), LimitExceeded, few);
    let many = "a stream has 1 to 10000 shards; 10001 would be too many";
    wish_refused(c, create(|w| w.shard_count = 10_001), LimitExceeded, many);
    let replication = "replication 8 is not allowed; choose 1 to 7";
    wish_refused(c, create(|w| w.replication = 8), Invalid, replication);
    let bytes = "record limit of 20000000 bytes is not allowed; choose 1024 to 10485760";
    wish_refused(c, create(|w| w.record_bytes_max = 20_000_000), Invalid, bytes);
    c.apply(&Command::SetShardLimit { shards: 3 }).unwrap();
    let limit = "the cluster may have 3 open shards and has 2; this would add 2";
    wish_refused(c, create(|_| ()), LimitExceeded, limit);
}

#[test]
fn retention() {
    let c = &mut cluster_with_stream(1);
    let set = |hours, change| Operation::SetRetention { stream: name("s"), hours, change };
    let mut check = |hours, change, text: &str| wish_refused(c, set(hours, change), RefusalKind::Invalid, text);
    check(23, RetentionChange::Set, "retention of 23 hours is too short; the minimum is 24");
    check(8761, RetentionChange::Set, "retention of 8761 hours is too long; the maximum is 8760");
    let rise = "retention of 48 hours is longer than the present 24; use increase";
    check(48, RetentionChange::Decrease, rise);
    ask(c, set(48, RetentionChange::Increase), START).unwrap();
    let fall = "retention of 24 hours is shorter than the present 48; use decrease";
    wish_refused(c, set(24, RetentionChange::Increase), RefusalKind::Invalid, fall);
}

#[test]
fn streams_that_are_not_there_or_not_ready() {
    let c = &mut cluster_with_stream(1);
    let missing = Operation::DeleteStream { stream: name("t"), with_consumers: false };
    wish_refused(c, missing, RefusalKind::NotFound, "stream `t` does not exist");
    ask(c, create(|_| ()), START).unwrap();
    let scale = Operation::UpdateShardCount { stream: name("new"), target: 3, rules: Rules::Free };
    wish_refused(c, scale, RefusalKind::InUse, "stream `new` is CREATING, it has to be ACTIVE");
    let retention = Operation::SetRetention { stream: name("new"), hours: 48, change: RetentionChange::Set };
    wish_refused(c, retention, RefusalKind::InUse, "stream `new` is CREATING, it has to be ACTIVE or UPDATING");
    let stale = Command::ShardsOpened { stream: name("new"), id: StreamId(77) };
    refused(c, stale, RefusalKind::Overtaken, "stream `new` was deleted and created again since");
}

#[test]
fn splitting_and_merging() {
    let c = &mut cluster_with_stream(3);
    reshard_now(c, split(2), at_hour(1));
    use RefusalKind::{Invalid, NotFound};
    let at = ReshardKind::Split { shard: ShardId(0), at: Some(HashKey(1)) };
    let edge = "cannot split shardId-000000000000 at 1: choose a hash key above 0 plus one and below \
                113427455640312821154458202477256070484";
    refused(c, plan(c, at, START), Invalid, edge);
    let far = "shardId-000000000000 and shardId-000000000003 are not adjacent: the second has to begin right after \
               the end of the first, at 113427455640312821154458202477256070485";
    refused(c, plan(c, merge(0, 3), START), Invalid, far);
    let closed = "shardId-000000000002 of stream `s` has already been split or merged; choose an open shard";
    refused(c, plan(c, split(2), START), Invalid, closed);
    refused(c, plan(c, split(9), START), NotFound, "stream `s` has no shardId-000000000009");
}

#[test]
fn reshards_that_are_under_way_or_over() {
    let c = &mut cluster_with_stream(2);
    c.apply(&plan(c, split(0), START)).unwrap();
    let busy = "stream `s` is UPDATING, it has to be ACTIVE";
    refused(c, plan(c, split(1), START), RefusalKind::InUse, busy);
    let reshard = ReshardId(1);
    let early = Command::FlipReshard { reshard, endings: vec![], now: START };
    let overtaken = RefusalKind::Overtaken;
    refused(c, early.clone(), overtaken, "reshard 1 has not been told to seal its parents");
    c.apply(&Command::SealParents { reshard }).unwrap();
    let sealed = "reshard 1 may have sealed its parents and can only go on";
    refused(c, Command::AbortReshard { reshard }, overtaken, sealed);
    let ending = "reshard 1 needs the ending of shardId-000000000000, between the shard's start and its children's";
    refused(c, early, overtaken, ending);
    let ended = Command::SealParents { reshard: ReshardId(9) };
    refused(c, ended, overtaken, "reshard 9 has ended or never began");
}

#[test]
fn shards_of_a_running_scaling() {
    let c = &mut cluster_with_stream(2);
    let scale = |target| Operation::UpdateShardCount { stream: name("s"), target, rules: Rules::Free };
    ask(c, scale(8), START).unwrap();
    let steps = thalweg_catalog::scale::next_commands(c, &name("s"), 1, 1, START);
    c.apply(&steps[0]).unwrap();
    let busy = "shardId-000000000000 of stream `s` is part of reshard 1; wait until that has ended";
    refused(c, steps[0].clone(), RefusalKind::InUse, busy);
    let runs = "stream `s` is being scaled to 8 shards; wait until that has ended";
    wish_refused(c, scale(4), RefusalKind::InUse, runs);
    let opening = Command::SetReplicas { stream: name("s"), shard: ShardId(2), replicas: ids(&[1]) };
    let text = "shardId-000000000002 of stream `s` is still opening; wait until it is open";
    refused(c, opening, RefusalKind::InUse, text);
    ask(c, Operation::StopScaling { stream: name("s") }, START).unwrap();
    let none = Operation::StopScaling { stream: name("s") };
    wish_refused(c, none, RefusalKind::Invalid, "stream `s` is not being scaled");
}

#[test]
fn replicas() {
    let c = &mut cluster_with_stream(1);
    c.apply(&Command::RegisterNode { node: registration(4, "d"), now: START }).unwrap();
    c.apply(&Command::ChangeNode { node: NodeId(4), change: NodeChange::Drain, now: START }).unwrap();
    let set = |replicas: &[u64]| Command::SetReplicas { stream: name("s"), shard: ShardId(0), replicas: ids(replicas) };
    let overtaken = RefusalKind::Overtaken;
    refused(c, set(&[]), overtaken, "bad set of nodes: no node was given");
    refused(c, set(&[1, 1]), overtaken, "bad set of nodes: node 1 is named twice");
    refused(c, set(&[1, 9]), overtaken, "bad set of nodes: node 9 is not registered");
    refused(c, set(&[1, 4]), overtaken, "bad set of nodes: node 4 is Draining, only active nodes take part");
    let settled = Command::ReplicasSettled { stream: name("s"), shard: ShardId(0), voters: ids(&[1]), placement: None };
    let wanted = c.shard(&name("s"), ShardId(0)).unwrap().replicas.clone();
    refused(c, settled, overtaken, &format!("the group's voters are [NodeId(1)], wanted are {wanted:?}"));
    let lead = Operation::TransferLeader { stream: name("s"), shard: ShardId(0), to: NodeId(4) };
    let text = format!("node 4 has no replica of shardId-000000000000; choose one of {wanted:?}");
    wish_refused(c, lead, RefusalKind::Invalid, &text);
    let expired = Command::ExpireShards { stream: name("s"), shards: vec![ShardId(0)], now: START };
    refused(c, expired, overtaken, "shardId-000000000000 of stream `s` is not closed past its retention");
}

#[test]
fn placements_that_a_change_of_nodes_has_overtaken() {
    let c = &mut cluster_with_stream(1);
    let create = |placement| Command::CreateStream { wanted: NewStream::named(name("new"), 1), placement, now: START };
    let overtaken = RefusalKind::Overtaken;
    refused(c, create(vec![]), overtaken, "bad set of nodes: 0 sets were given, 1 are needed");
    refused(c, create(vec![ids(&[1, 2])]), overtaken, "bad set of nodes: 2 nodes were given, 3 are needed");
    let problem = NodesProblem::Unknown(NodeId(8));
    assert_eq!(c.apply(&create(vec![ids(&[1, 2, 8])])), Err(Refusal::Nodes { problem }));
}

#[test]
fn nodes() {
    let c = &mut cluster_with_stream(2);
    use RefusalKind::{InUse, Invalid, NotFound};
    let register = |id, incarnation| {
        let mut node = registration(id, "a");
        node.incarnation = Incarnation(incarnation);
        Command::RegisterNode { node, now: START }
    };
    refused(c, register(0, 1), Invalid, "node id 0 is not allowed; ids start at 1");
    let disk = "node id 1 belongs to another data directory; start this one under a new id";
    refused(c, register(1, 5), Invalid, disk);
    c.apply(&register(4, 1004)).unwrap();
    c.apply(&Command::RemoveNode { node: NodeId(4) }).unwrap();
    let gone = "node id 4 was removed from the cluster and is never reused; start the node under a new id";
    refused(c, register(4, 1004), Invalid, gone);
    let drain = Operation::DrainNode { node: NodeId(4), cancel: false };
    wish_refused(c, drain, Invalid, "cannot Drain node 4: it is Removed");
    let unknown = Operation::DrainNode { node: NodeId(9), cancel: true };
    wish_refused(c, unknown, NotFound, "node 9 is not registered");
    let used = "node 1 still holds 2 replicas and votes in the controller; drain it and wait until it is empty";
    wish_refused(c, Operation::RemoveNode { node: NodeId(1) }, InUse, used);
    let form =
        Command::FormCluster { cluster_id: "c2".into(), token_secret: String::new(), voters: ids(&[1]), now: START };
    let formed = "this cluster is `c1`, formed already; start the node in an empty directory to form another";
    refused(c, form, Invalid, formed);
}

#[test]
fn settings_consumers_and_keys() {
    use RefusalKind::{InUse, Invalid, LimitExceeded, NotFound};
    let s = || name("s");
    let consumer = || "c".to_owned();
    let cases = [
        (
            Refusal::StreamIncarnation { stream: s(), id: StreamId(3), current: StreamId(4) },
            NotFound,
            "stream `s` with the id 3 is gone; the one of that name now has the id 4",
        ),
        (
            Refusal::StreamHasConsumers { stream: s(), consumers: 2 },
            InUse,
            "stream `s` has 2 fan-out consumers; deregister them first, or delete it with them",
        ),
        (Refusal::TooManyTags { given: 51 }, LimitExceeded, "51 tags are too many; 50 are allowed"),
        (
            Refusal::TagKey { key: "a#".to_owned() },
            Invalid,
            "`a#` cannot be the key of a tag: use 1 to 128 letters, digits, spaces or `_ . / = + - % @ :`",
        ),
        (
            Refusal::TagValue { key: "a".to_owned(), value: "#".to_owned() },
            Invalid,
            "`#` cannot be the value of the tag `a`: use at most 256 letters, digits, spaces or `_ . / = + - % @ :`",
        ),
        (Refusal::EncryptionKey { chars: 0 }, Invalid, "the name of an encryption key has 1 to 2048 characters, not 0"),
        (Refusal::Policy { bytes: 30_000 }, Invalid, "a resource policy has 1 to 20480 bytes, not 30000"),
        (Refusal::ZeroLimit, Invalid, "a limit of 0 would let nothing through; leave it out to set none"),
        (
            Refusal::WarmThroughput { given: 10_241 },
            Invalid,
            "warm throughput of 10241 MiB/s is not allowed; choose at most 10240",
        ),
        (Refusal::WarmThroughputMode, Invalid, "only on-demand streams have a warm throughput"),
        (
            Refusal::WarmThroughputCommitment,
            Invalid,
            "warm throughput needs the account's commitment to a minimum throughput",
        ),
        (Refusal::DistributionMode, Invalid, "only on-demand streams can have their records placed by the service"),
        (
            Refusal::ModeChanges { stream: s() },
            LimitExceeded,
            "the mode of stream `s` was changed 2 times within 24 hours; wait",
        ),
        (
            Refusal::OnDemandStreams { count: 5, limit: 5 },
            LimitExceeded,
            "there may be 5 on-demand streams and there are 5",
        ),
        (
            Refusal::OnDemandReshard { stream: s() },
            Invalid,
            "the shards of the on-demand stream `s` are split and merged by the service alone",
        ),
        (
            Refusal::ScalingBounds { stream: s(), open: 5, target: 11, least: 3, most: 10 },
            LimitExceeded,
            "stream `s` has 5 open shards; choose 3 to 10",
        ),
        (
            Refusal::ScalingsPerDay { stream: s(), count: 10 },
            LimitExceeded,
            "stream `s` was scaled 10 times within 24 hours; wait",
        ),
        (
            Refusal::ConsumerName { name: "c d".to_owned() },
            Invalid,
            "`c d` is not a consumer name: use 1 to 128 characters of a-z A-Z 0-9 _ . -",
        ),
        (Refusal::ConsumerExists { stream: s(), consumer: consumer() }, InUse, "stream `s` already has a consumer `c`"),
        (Refusal::ConsumerUnknown { stream: s(), consumer: consumer() }, NotFound, "stream `s` has no consumer `c`"),
        (
            Refusal::ConsumerLimit { stream: s(), limit: 20 },
            LimitExceeded,
            "stream `s` may have 20 consumers and has them",
        ),
        (
            Refusal::AccessKeyId { id: "a/b".to_owned() },
            Invalid,
            "`a/b` is not the id of an access key: use 1 to 128 characters of a-z A-Z 0-9 _ . -",
        ),
        (Refusal::AccessKeySecret, Invalid, "the secret of an access key has 1 to 256 visible ASCII characters"),
        (
            Refusal::AllowedAction { action: "Get Records".to_owned() },
            Invalid,
            "`Get Records` names no actions: use 1 to 64 letters, `*` and `?`, without the service, as in `Describe*`",
        ),
        (Refusal::AllowedActions { count: 65 }, Invalid, "an access key allows at most 64 patterns of actions, not 65"),
        (Refusal::Description { chars: 300 }, Invalid, "a description has at most 256 characters, not 300"),
        (Refusal::AccessKeyExists { id: "k".to_owned() }, InUse, "access key `k` exists already"),
        (Refusal::AccessKeyUnknown { id: "k".to_owned() }, NotFound, "access key `k` does not exist"),
        (Refusal::AccessKeyLimit, LimitExceeded, "there are 1000 access keys; delete one first"),
    ];
    for (refusal, kind, text) in cases {
        assert_eq!((refusal.to_string().as_str(), refusal.kind()), (text, kind));
        let outcome = Err(refusal);
        assert_eq!(decode_outcome(&encode_outcome(&outcome)).unwrap(), outcome, "a refusal travels whole");
    }
}
