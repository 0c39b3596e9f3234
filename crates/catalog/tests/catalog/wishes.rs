//! Random wishes about settings, consumers, access keys and the account, mostly allowed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use thalweg_catalog::{
    AccountPatch, Command, ConsumerPatch, ConsumerRef, Distribution, Edit, LimitsProfile, Operation, Rules, Secret,
    ShardLimits, ShardMetric, StreamMode, StreamPatch,
};
use thalweg_types::StreamName;

use crate::histories::stream_name;

/// A wish, and the stream it is about where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Wish(Option<StreamName>, Operation);

impl Wish {
    pub(crate) fn operation(&self) -> Operation {
        self.1.clone()
    }

    pub(crate) fn stream(&self) -> Option<StreamName> {
        self.0.clone()
    }
}

/// What histories have to reach, by the name of the command.
pub(crate) const KINDS: [&str; 8] = [
    "UpdateStream",
    "TagStream",
    "RegisterConsumer",
    "DeregisterConsumer",
    "UpdateConsumer",
    "CreateAccessKey",
    "DeleteAccessKey",
    "UpdateAccount",
];

/// The kind of a command, by its name.
pub(crate) fn kind(command: &Command) -> &'static str {
    match command {
        Command::UpdateStream { .. } => KINDS[0],
        Command::TagStream { .. } => KINDS[1],
        Command::RegisterConsumer { .. } => KINDS[2],
        Command::DeregisterConsumer { .. } => KINDS[3],
        Command::UpdateConsumer { .. } => KINDS[4],
        Command::CreateAccessKey { .. } => KINDS[5],
        Command::DeleteAccessKey { .. } => KINDS[6],
        Command::UpdateAccount { .. } => KINDS[7],
        Command::OfIncarnation { command, .. } => kind(command),
        _ => "other",
    }
}

pub(crate) fn wish() -> impl Strategy<Value = Wish> {
    let of_stream = (0u8..2).prop_flat_map(|stream| {
        let name = stream_name(stream);
        of_stream(name.clone()).prop_map(move |operation| Wish(Some(name.clone()), operation))
    });
    prop_oneof![6 => of_stream, 1 => cluster_wide().prop_map(|operation| Wish(None, operation))]
}

fn of_stream(stream: StreamName) -> impl Strategy<Value = Operation> {
    let of = move || Just(stream.clone());
    prop_oneof![
        3 => (of(), patch(), any::<bool>()).prop_map(|(stream, patch, kinesis)| {
            let rules = if kinesis { Rules::Kinesis } else { Rules::Free };
            Operation::UpdateStream { stream, patch: Box::new(patch), rules }
        }),
        2 => (of(), tags(), keys()).prop_map(|(stream, set, remove)| Operation::TagStream { stream, set, remove }),
        4 => (of(), consumer(), tags())
            .prop_map(|(stream, consumer, tags)| Operation::RegisterConsumer { stream, consumer, tags }),
        3 => (of(), consumer(), 0u8..9).prop_map(|(stream, name, odd)| {
            // Hardly any consumer was registered in that second.
            let created_second = (odd == 0).then_some(1_800_000_000);
            Operation::DeregisterConsumer { stream, consumer: ConsumerRef { name, created_second } }
        }),
        2 => (of(), consumer(), tags(), keys(), text_edit()).prop_map(|(stream, name, set_tags, remove_tags, policy)| {
            let patch = ConsumerPatch { set_tags, remove_tags, policy };
            Operation::UpdateConsumer { stream, consumer: name.as_str().into(), patch }
        }),
    ]
}

fn cluster_wide() -> impl Strategy<Value = Operation> {
    let id = || (0u8..4).prop_map(|id| format!("key{id}"));
    prop_oneof![
        (id(), 0u8..2, any::<bool>()).prop_map(|(id, secret, restricted)| Operation::CreateAccessKey {
            id,
            secret: Secret::new(format!("secret{secret}")),
            description: String::new(),
            allowed: restricted.then(Default::default),
        }),
        id().prop_map(|id| Operation::DeleteAccessKey { id }),
        (any::<Option<bool>>(), prop::option::of(0u32..3)).prop_map(|(commitment, on_demand_streams_max)| {
            let patch = AccountPatch { commitment, on_demand_streams_max, shards_max: None };
            Operation::UpdateAccount { patch }
        }),
    ]
}

fn patch() -> impl Strategy<Value = StreamPatch> {
    let metrics = || prop::collection::btree_set(prop::sample::select(ShardMetric::ALL.to_vec()), 0..3);
    let mode = prop::sample::select(vec![StreamMode::Provisioned, StreamMode::OnDemand]);
    let distribution = prop::sample::select(vec![Distribution::UserPartitionKey, Distribution::Auto]);
    let warm = prop_oneof![4 => Just(Edit::Keep), 1 => Just(Edit::Clear), 1 => (1u32..10_300).prop_map(Edit::Set)];
    let some = (prop::option::of(mode), prop::option::of(distribution), warm, prop::option::of(limits()));
    let record_bytes_max = prop::option::weighted(0.3, 1_000u32..11 << 20);
    (some, text_edit(), metrics(), metrics(), text_edit(), record_bytes_max).prop_map(
        |((mode, distribution, warm_mibps, limits), encryption_key, enable, disable, policy, record_bytes_max)| {
            let (enable_metrics, disable_metrics) = (enable, disable);
            StreamPatch {
                mode,
                encryption_key,
                enable_metrics,
                disable_metrics,
                warm_mibps,
                distribution,
                policy,
                limits,
                record_bytes_max,
            }
        },
    )
}

fn limits() -> impl Strategy<Value = LimitsProfile> {
    let custom = prop::option::of(0u64..9).prop_map(|write_bytes_per_second| {
        LimitsProfile::Custom(ShardLimits { write_bytes_per_second, ..ShardLimits::NONE })
    });
    prop_oneof![Just(LimitsProfile::Unlimited), Just(LimitsProfile::Kinesis), custom]
}

fn text_edit() -> impl Strategy<Value = Edit<String>> {
    prop_oneof![Just(Edit::Keep), Just(Edit::Clear), "[a-z]{1,9}".prop_map(Edit::Set)]
}

fn consumer() -> impl Strategy<Value = String> {
    prop_oneof![9 => (0u8..25).prop_map(|n| format!("consumer{}", n.min(3))), 1 => Just("no name".to_owned())]
}

/// Mostly few; now and then more than there may be.
fn tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop_oneof![
        9 => prop::collection::btree_map("[a-c:]{1,2}", "[ä-ü ]{0,3}", 0..3),
        1 => prop::collection::btree_map("[a-z]{2}", "", 40..60),
        1 => prop::collection::btree_map("[a-z!]{1,3}", "[#a]", 1..3),
    ]
}

fn keys() -> impl Strategy<Value = BTreeSet<String>> {
    prop::collection::btree_set("[a-z]{1,2}", 0..5)
}
