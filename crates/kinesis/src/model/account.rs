//! What surrounds streams: fan-out consumers, tags, policies, the account.
//!
//! Members in the order in which the service reports them where that is recorded, then in the
//! order of its model.

use super::scalar::*;
use super::shape::*;

shapes! {
    REGISTER_STREAM_CONSUMER_INPUT = RegisterStreamConsumerInput {
        StreamARN!: STREAM_ARN, ConsumerName!: CONSUMER_NAME, StreamId?: STREAM_ID, Tags?: TAGS,
    }
    CONSUMER = Consumer {
        ConsumerName!: CONSUMER_NAME, ConsumerARN!: CONSUMER_ARN, ConsumerStatus!: CONSUMER_STATUS,
        ConsumerCreationTimestamp!: TIME,
    }
    REGISTER_STREAM_CONSUMER_OUTPUT = RegisterStreamConsumerOutput { Consumer!: of(&CONSUMER) }
    DEREGISTER_STREAM_CONSUMER_INPUT = DeregisterStreamConsumerInput {
        StreamARN?: STREAM_ARN, ConsumerName?: CONSUMER_NAME, ConsumerARN?: CONSUMER_ARN, StreamId?: STREAM_ID,
    }
    DESCRIBE_STREAM_CONSUMER_INPUT = DescribeStreamConsumerInput {
        StreamARN?: STREAM_ARN, ConsumerName?: CONSUMER_NAME, ConsumerARN?: CONSUMER_ARN, StreamId?: STREAM_ID,
    }
    CONSUMER_DESCRIPTION = ConsumerDescription {
        ConsumerName!: CONSUMER_NAME, ConsumerARN!: CONSUMER_ARN, ConsumerStatus!: CONSUMER_STATUS,
        ConsumerCreationTimestamp!: TIME, StreamARN!: STREAM_ARN,
    }
    DESCRIBE_STREAM_CONSUMER_OUTPUT = DescribeStreamConsumerOutput {
        ConsumerDescription!: of(&CONSUMER_DESCRIPTION),
    }
    LIST_STREAM_CONSUMERS_INPUT = ListStreamConsumersInput {
        StreamARN!: STREAM_ARN, NextToken?: NEXT_TOKEN, MaxResults?: int(1..=10_000),
        StreamCreationTimestamp?: TIME, StreamId?: STREAM_ID,
    }
    LIST_STREAM_CONSUMERS_OUTPUT = ListStreamConsumersOutput {
        Consumers?: list!(of CONSUMER), NextToken?: NEXT_TOKEN,
    }
    DESCRIBE_LIMITS_INPUT = DescribeLimitsInput {}
    DESCRIBE_LIMITS_OUTPUT = DescribeLimitsOutput {
        ShardLimit!: int(0..=1_000_000), OpenShardCount!: int(0..=1_000_000),
        OnDemandStreamCount!: int(0..=1_000_000), OnDemandStreamCountLimit!: int(0..=1_000_000),
        ChannelCount?: int(0..=1_000_000), ChannelCountLimit?: int(0..=1_000_000),
    }
    DESCRIBE_ACCOUNT_SETTINGS_INPUT = DescribeAccountSettingsInput {}
    MINIMUM_THROUGHPUT_BILLING_COMMITMENT_OUTPUT = MinimumThroughputBillingCommitmentOutput {
        Status!: COMMITMENT_OUTPUT_STATUS, StartedAt?: TIME, EndedAt?: TIME, EarliestAllowedEndAt?: TIME,
    }
    DESCRIBE_ACCOUNT_SETTINGS_OUTPUT = DescribeAccountSettingsOutput {
        MinimumThroughputBillingCommitment?: of(&MINIMUM_THROUGHPUT_BILLING_COMMITMENT_OUTPUT),
    }
    MINIMUM_THROUGHPUT_BILLING_COMMITMENT_INPUT = MinimumThroughputBillingCommitmentInput {
        Status!: COMMITMENT_INPUT_STATUS,
    }
    UPDATE_ACCOUNT_SETTINGS_INPUT = UpdateAccountSettingsInput {
        MinimumThroughputBillingCommitment!: of(&MINIMUM_THROUGHPUT_BILLING_COMMITMENT_INPUT),
    }
    UPDATE_ACCOUNT_SETTINGS_OUTPUT = UpdateAccountSettingsOutput {
        MinimumThroughputBillingCommitment?: of(&MINIMUM_THROUGHPUT_BILLING_COMMITMENT_OUTPUT),
    }
    ADD_TAGS_TO_STREAM_INPUT = AddTagsToStreamInput {
        Tags!: TAGS, StreamName?: STREAM_NAME, StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    REMOVE_TAGS_FROM_STREAM_INPUT = RemoveTagsFromStreamInput {
        TagKeys!: TAG_KEYS, StreamName?: STREAM_NAME, StreamARN?: STREAM_ARN, StreamId?: STREAM_ID,
    }
    LIST_TAGS_FOR_STREAM_INPUT = ListTagsForStreamInput {
        Limit?: int(1..=50), ExclusiveStartTagKey?: TAG_KEY, StreamName?: STREAM_NAME, StreamARN?: STREAM_ARN,
        StreamId?: STREAM_ID,
    }
    TAG = Tag { Key!: TAG_KEY, Value?: TAG_VALUE }
    LIST_TAGS_FOR_STREAM_OUTPUT = ListTagsForStreamOutput { Tags!: list!(of TAG, 0..=200), HasMoreTags!: BOOL }
    TAG_RESOURCE_INPUT = TagResourceInput { Tags!: TAGS, ResourceARN!: RESOURCE_ARN, StreamId?: STREAM_ID }
    UNTAG_RESOURCE_INPUT = UntagResourceInput {
        TagKeys!: TAG_KEYS, ResourceARN!: RESOURCE_ARN, StreamId?: STREAM_ID,
    }
    LIST_TAGS_FOR_RESOURCE_INPUT = ListTagsForResourceInput { ResourceARN!: RESOURCE_ARN, StreamId?: STREAM_ID }
    LIST_TAGS_FOR_RESOURCE_OUTPUT = ListTagsForResourceOutput { Tags?: list!(of TAG, 0..=200) }
    GET_RESOURCE_POLICY_INPUT = GetResourcePolicyInput { ResourceARN!: RESOURCE_ARN, StreamId?: STREAM_ID }
    GET_RESOURCE_POLICY_OUTPUT = GetResourcePolicyOutput { Policy!: TEXT }
    PUT_RESOURCE_POLICY_INPUT = PutResourcePolicyInput {
        ResourceARN!: RESOURCE_ARN, StreamId?: STREAM_ID, Policy!: TEXT,
    }
    DELETE_RESOURCE_POLICY_INPUT = DeleteResourcePolicyInput { ResourceARN!: RESOURCE_ARN, StreamId?: STREAM_ID }
}
