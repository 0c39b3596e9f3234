//! The service model as data: every operation with the shapes of its request and its answer.
//!
//! Checked against AWS's published model by `tests/model.rs`. What a shape can say: [`shape`].
//! What an answer is held to: [`conform`]. The tables, by area: [`streams`], [`records`], [`account`], [`queues`], [`channels`].

mod account;
mod channels;
mod conform;
mod queues;
mod records;
mod scalar;
mod shape;
mod streams;

use std::fmt;

pub use shape::{Bounds, IntShape, ListShape, MapShape, Member, Pattern, Shape, StructShape, TextShape};

macro_rules! operations {
    ($($name:ident: $input:path => $output:tt $(:: $constant:ident)?;)*) => {
        /// An operation of the service: what follows `Kinesis_20131202.` in `X-Amz-Target`.
        #[allow(missing_docs, reason = "an operation is documented by its name and by AWS")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation { $($name,)* }

        impl Operation {
            /// All operations.
            pub const ALL: &'static [Operation] = &[$(Operation::$name,)*];

            /// Its name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Operation::$name => stringify!($name),)* }
            }

            /// The shape of its request.
            pub fn input(self) -> &'static StructShape {
                match self { $(Operation::$name => &$input,)* }
            }

            /// The shape of its answer; without one, the answer is an empty body.
            pub fn output(self) -> Option<&'static StructShape> {
                match self { $(Operation::$name => operations!(@output $output $(:: $constant)?),)* }
            }
        }
    };
    (@output none) => { None };
    (@output $area:ident :: $constant:ident) => { Some(&$area::$constant) };
}

operations! {
    CreateStream: streams::CREATE_STREAM_INPUT => none;
    DeleteStream: streams::DELETE_STREAM_INPUT => none;
    DescribeStream: streams::DESCRIBE_STREAM_INPUT => streams::DESCRIBE_STREAM_OUTPUT;
    DescribeStreamSummary: streams::DESCRIBE_STREAM_SUMMARY_INPUT => streams::DESCRIBE_STREAM_SUMMARY_OUTPUT;
    ListStreams: streams::LIST_STREAMS_INPUT => streams::LIST_STREAMS_OUTPUT;
    UpdateStreamMode: streams::UPDATE_STREAM_MODE_INPUT => none;
    UpdateShardCount: streams::UPDATE_SHARD_COUNT_INPUT => streams::UPDATE_SHARD_COUNT_OUTPUT;
    SplitShard: streams::SPLIT_SHARD_INPUT => none;
    MergeShards: streams::MERGE_SHARDS_INPUT => none;
    UpdateStreamWarmThroughput: streams::UPDATE_STREAM_WARM_THROUGHPUT_INPUT => streams::UPDATE_STREAM_WARM_THROUGHPUT_OUTPUT;
    UpdateMaxRecordSize: streams::UPDATE_MAX_RECORD_SIZE_INPUT => none;
    UpdateStreamRecordDistributionStrategy: streams::UPDATE_STREAM_RECORD_DISTRIBUTION_STRATEGY_INPUT => none;
    IncreaseStreamRetentionPeriod: streams::INCREASE_STREAM_RETENTION_PERIOD_INPUT => none;
    DecreaseStreamRetentionPeriod: streams::DECREASE_STREAM_RETENTION_PERIOD_INPUT => none;
    StartStreamEncryption: streams::START_STREAM_ENCRYPTION_INPUT => none;
    StopStreamEncryption: streams::STOP_STREAM_ENCRYPTION_INPUT => none;
    EnableEnhancedMonitoring: streams::ENABLE_ENHANCED_MONITORING_INPUT => streams::ENHANCED_MONITORING_OUTPUT;
    DisableEnhancedMonitoring: streams::DISABLE_ENHANCED_MONITORING_INPUT => streams::ENHANCED_MONITORING_OUTPUT;
    PutRecord: records::PUT_RECORD_INPUT => records::PUT_RECORD_OUTPUT;
    PutRecords: records::PUT_RECORDS_INPUT => records::PUT_RECORDS_OUTPUT;
    GetShardIterator: records::GET_SHARD_ITERATOR_INPUT => records::GET_SHARD_ITERATOR_OUTPUT;
    GetRecords: records::GET_RECORDS_INPUT => records::GET_RECORDS_OUTPUT;
    SubscribeToShard: records::SUBSCRIBE_TO_SHARD_INPUT => records::SUBSCRIBE_TO_SHARD_OUTPUT;
    ListShards: records::LIST_SHARDS_INPUT => records::LIST_SHARDS_OUTPUT;
    RegisterStreamConsumer: account::REGISTER_STREAM_CONSUMER_INPUT => account::REGISTER_STREAM_CONSUMER_OUTPUT;
    DeregisterStreamConsumer: account::DEREGISTER_STREAM_CONSUMER_INPUT => none;
    DescribeStreamConsumer: account::DESCRIBE_STREAM_CONSUMER_INPUT => account::DESCRIBE_STREAM_CONSUMER_OUTPUT;
    ListStreamConsumers: account::LIST_STREAM_CONSUMERS_INPUT => account::LIST_STREAM_CONSUMERS_OUTPUT;
    DescribeLimits: account::DESCRIBE_LIMITS_INPUT => account::DESCRIBE_LIMITS_OUTPUT;
    DescribeAccountSettings: account::DESCRIBE_ACCOUNT_SETTINGS_INPUT => account::DESCRIBE_ACCOUNT_SETTINGS_OUTPUT;
    UpdateAccountSettings: account::UPDATE_ACCOUNT_SETTINGS_INPUT => account::UPDATE_ACCOUNT_SETTINGS_OUTPUT;
    AddTagsToStream: account::ADD_TAGS_TO_STREAM_INPUT => none;
    RemoveTagsFromStream: account::REMOVE_TAGS_FROM_STREAM_INPUT => none;
    ListTagsForStream: account::LIST_TAGS_FOR_STREAM_INPUT => account::LIST_TAGS_FOR_STREAM_OUTPUT;
    TagResource: account::TAG_RESOURCE_INPUT => none;
    UntagResource: account::UNTAG_RESOURCE_INPUT => none;
    ListTagsForResource: account::LIST_TAGS_FOR_RESOURCE_INPUT => account::LIST_TAGS_FOR_RESOURCE_OUTPUT;
    GetResourcePolicy: account::GET_RESOURCE_POLICY_INPUT => account::GET_RESOURCE_POLICY_OUTPUT;
    PutResourcePolicy: account::PUT_RESOURCE_POLICY_INPUT => none;
    DeleteResourcePolicy: account::DELETE_RESOURCE_POLICY_INPUT => none;
    AcknowledgeDeadLetterQueueRecords: queues::ACKNOWLEDGE_DEAD_LETTER_QUEUE_RECORDS_INPUT => queues::ACKNOWLEDGE_DEAD_LETTER_QUEUE_RECORDS_OUTPUT;
    AcknowledgeQueueRecords: queues::ACKNOWLEDGE_QUEUE_RECORDS_INPUT => queues::ACKNOWLEDGE_QUEUE_RECORDS_OUTPUT;
    CreateQueue: queues::CREATE_QUEUE_INPUT => queues::CREATE_QUEUE_OUTPUT;
    DeleteQueue: queues::DELETE_QUEUE_INPUT => none;
    DescribeQueue: queues::DESCRIBE_QUEUE_INPUT => queues::DESCRIBE_QUEUE_OUTPUT;
    ListQueues: queues::LIST_QUEUES_INPUT => queues::LIST_QUEUES_OUTPUT;
    ReceiveDeadLetterQueueRecords: queues::RECEIVE_DEAD_LETTER_QUEUE_RECORDS_INPUT => queues::RECEIVE_DEAD_LETTER_QUEUE_RECORDS_OUTPUT;
    ReceiveQueueRecords: queues::RECEIVE_QUEUE_RECORDS_INPUT => queues::RECEIVE_QUEUE_RECORDS_OUTPUT;
    RestoreDeadLetterQueueRecords: queues::RESTORE_DEAD_LETTER_QUEUE_RECORDS_INPUT => queues::RESTORE_DEAD_LETTER_QUEUE_RECORDS_OUTPUT;
    UpdateDeadLetterQueueRecordsVisibility: queues::UPDATE_DEAD_LETTER_QUEUE_RECORDS_VISIBILITY_INPUT => queues::UPDATE_DEAD_LETTER_QUEUE_RECORDS_VISIBILITY_OUTPUT;
    UpdateQueue: queues::UPDATE_QUEUE_INPUT => queues::UPDATE_QUEUE_OUTPUT;
    UpdateQueueRecordsVisibility: queues::UPDATE_QUEUE_RECORDS_VISIBILITY_INPUT => queues::UPDATE_QUEUE_RECORDS_VISIBILITY_OUTPUT;
    CreateChannel: channels::CREATE_CHANNEL_INPUT => channels::CREATE_CHANNEL_OUTPUT;
    DeleteChannel: channels::DELETE_CHANNEL_INPUT => none;
    DescribeChannel: channels::DESCRIBE_CHANNEL_INPUT => channels::DESCRIBE_CHANNEL_OUTPUT;
    ListChannels: channels::LIST_CHANNELS_INPUT => channels::LIST_CHANNELS_OUTPUT;
    UpdateChannel: channels::UPDATE_CHANNEL_INPUT => channels::UPDATE_CHANNEL_OUTPUT;
}

impl Operation {
    /// The operation of this name, spelled exactly so.
    pub fn by_name(name: &str) -> Option<Operation> {
        Operation::ALL.iter().copied().find(|operation| operation.name() == name)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
