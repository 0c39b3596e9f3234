//! Queues: records handed out one by one over a stream (new in 2026).
//!
//! Members in the order in which the service reports them where that is recorded, then in the
//! order of its model.

use super::scalar::*;
use super::shape::*;

shapes! {
    ACKNOWLEDGE_DEAD_LETTER_QUEUE_RECORDS_REQUEST_ENTRY = AcknowledgeDeadLetterQueueRecordsRequestEntry {
        ReceiptHandle!: RECEIPT_HANDLE,
    }
    ACKNOWLEDGE_DEAD_LETTER_QUEUE_RECORDS_INPUT = AcknowledgeDeadLetterQueueRecordsInput {
        QueueARN!: QUEUE_ARN, Entries!: list!(of ACKNOWLEDGE_DEAD_LETTER_QUEUE_RECORDS_REQUEST_ENTRY, 1..=10),
    }
    ACKNOWLEDGE_DEAD_LETTER_QUEUE_RECORDS_RESULT_ENTRY = AcknowledgeDeadLetterQueueRecordsResultEntry {
        ReceiptHandle!: RECEIPT_HANDLE,
    }
    ACKNOWLEDGE_DEAD_LETTER_QUEUE_RECORDS_ERROR_ENTRY = AcknowledgeDeadLetterQueueRecordsErrorEntry {
        ReceiptHandle!: RECEIPT_HANDLE, ErrorCode!: TEXT, ErrorMessage?: TEXT,
    }
    ACKNOWLEDGE_DEAD_LETTER_QUEUE_RECORDS_OUTPUT = AcknowledgeDeadLetterQueueRecordsOutput {
        Successful!: list!(of ACKNOWLEDGE_DEAD_LETTER_QUEUE_RECORDS_RESULT_ENTRY),
        Failed!: list!(of ACKNOWLEDGE_DEAD_LETTER_QUEUE_RECORDS_ERROR_ENTRY),
    }
    ACKNOWLEDGE_QUEUE_RECORDS_REQUEST_ENTRY = AcknowledgeQueueRecordsRequestEntry { ReceiptHandle!: RECEIPT_HANDLE }
    ACKNOWLEDGE_QUEUE_RECORDS_INPUT = AcknowledgeQueueRecordsInput {
        QueueARN!: QUEUE_ARN, Entries!: list!(of ACKNOWLEDGE_QUEUE_RECORDS_REQUEST_ENTRY, 1..=10),
    }
    ACKNOWLEDGE_QUEUE_RECORDS_RESULT_ENTRY = AcknowledgeQueueRecordsResultEntry { ReceiptHandle!: RECEIPT_HANDLE }
    ACKNOWLEDGE_QUEUE_RECORDS_ERROR_ENTRY = AcknowledgeQueueRecordsErrorEntry {
        ReceiptHandle!: RECEIPT_HANDLE, ErrorCode!: TEXT, ErrorMessage?: TEXT,
    }
    ACKNOWLEDGE_QUEUE_RECORDS_OUTPUT = AcknowledgeQueueRecordsOutput {
        Successful!: list!(of ACKNOWLEDGE_QUEUE_RECORDS_RESULT_ENTRY),
        Failed!: list!(of ACKNOWLEDGE_QUEUE_RECORDS_ERROR_ENTRY),
    }
    QUEUE_STARTING_POSITION = QueueStartingPosition { Type!: QUEUE_STARTING_POSITION_TYPE, Timestamp?: TIME }
    QUEUE_STREAM_CONFIGURATION = QueueStreamConfiguration {
        StreamARN!: STREAM_ARN, StartingPosition?: of(&QUEUE_STARTING_POSITION),
    }
    DEAD_LETTER_CONFIGURATION = DeadLetterConfiguration {
        TargetType!: TARGET_TYPE, MaxReceiveCount?: int(1..=1000),
    }
    QUEUE_ATTRIBUTES = QueueAttributes {
        VisibilityTimeoutSeconds?: int(0..=43_200), DeadLetterConfiguration?: of(&DEAD_LETTER_CONFIGURATION),
    }
    CREATE_QUEUE_INPUT = CreateQueueInput {
        QueueName!: QUEUE_NAME, StreamConfigurationList!: list!(of QUEUE_STREAM_CONFIGURATION, 1..=10_000),
        QueueAttributes?: of(&QUEUE_ATTRIBUTES), Tags?: TAGS,
    }
    QUEUE_DESCRIPTION = QueueDescription {
        QueueName!: QUEUE_NAME, QueueARN!: QUEUE_ARN, QueueStatus!: QUEUE_STATUS, QueueCreationTimestamp!: TIME,
        StreamConfigurationList!: list!(of QUEUE_STREAM_CONFIGURATION, 1..=10_000),
        QueueAttributes?: of(&QUEUE_ATTRIBUTES),
    }
    CREATE_QUEUE_OUTPUT = CreateQueueOutput { QueueDescription!: of(&QUEUE_DESCRIPTION) }
    DELETE_QUEUE_INPUT = DeleteQueueInput { QueueARN!: QUEUE_ARN }
    DESCRIBE_QUEUE_INPUT = DescribeQueueInput { QueueARN!: QUEUE_ARN }
    DESCRIBE_QUEUE_OUTPUT = DescribeQueueOutput { QueueDescription!: of(&QUEUE_DESCRIPTION) }
    QUEUE_STREAM_FILTER = QueueStreamFilter { StreamARN!: STREAM_ARN, StreamCreationTimestamp?: TIME }
    LIST_QUEUES_INPUT = ListQueuesInput {
        MaxResults?: int(1..=10_000), NextToken?: NEXT_TOKEN,
        StreamFilter?: list!(of QUEUE_STREAM_FILTER, 1..=10_000),
    }
    QUEUE_STREAM_IDENTIFIER = QueueStreamIdentifier { StreamARN!: STREAM_ARN, StreamCreationTimestamp!: TIME }
    QUEUE_SUMMARY = QueueSummary {
        QueueName!: QUEUE_NAME, QueueARN!: QUEUE_ARN, QueueStatus!: QUEUE_STATUS, QueueCreationTimestamp!: TIME,
        Streams!: list!(of QUEUE_STREAM_IDENTIFIER, 1..=10_000),
    }
    LIST_QUEUES_OUTPUT = ListQueuesOutput { QueueSummaries!: list!(of QUEUE_SUMMARY), NextToken?: NEXT_TOKEN }
    RECEIVE_DEAD_LETTER_QUEUE_RECORDS_INPUT = ReceiveDeadLetterQueueRecordsInput {
        QueueARN!: QUEUE_ARN, Limit?: int(1..=10), WaitTimeSeconds?: int(1..=20),
        VisibilityTimeoutSeconds?: int(0..=43_200),
    }
    QUEUE_RECORD = QueueRecord {
        ReceiptHandle!: RECEIPT_HANDLE, RecordId!: RECORD_ID, PartitionKey?: PARTITION_KEY, Data!: DATA,
        ApproximateArrivalTimestamp!: TIME, FirstReceiveTimestamp!: TIME, ReceiveCount!: int_from(0),
    }
    RECEIVE_DEAD_LETTER_QUEUE_RECORDS_OUTPUT = ReceiveDeadLetterQueueRecordsOutput {
        QueueRecords!: list!(of QUEUE_RECORD),
    }
    RECEIVE_QUEUE_RECORDS_INPUT = ReceiveQueueRecordsInput {
        QueueARN!: QUEUE_ARN, Limit?: int(1..=10), WaitTimeSeconds?: int(1..=20),
        VisibilityTimeoutSeconds?: int(0..=43_200),
    }
    RECEIVE_QUEUE_RECORDS_OUTPUT = ReceiveQueueRecordsOutput { QueueRecords!: list!(of QUEUE_RECORD) }
    RESTORE_DEAD_LETTER_QUEUE_RECORDS_REQUEST_ENTRY = RestoreDeadLetterQueueRecordsRequestEntry {
        ReceiptHandle!: RECEIPT_HANDLE,
    }
    RESTORE_DEAD_LETTER_QUEUE_RECORDS_INPUT = RestoreDeadLetterQueueRecordsInput {
        QueueARN!: QUEUE_ARN, Entries!: list!(of RESTORE_DEAD_LETTER_QUEUE_RECORDS_REQUEST_ENTRY, 1..=10),
    }
    RESTORE_DEAD_LETTER_QUEUE_RECORDS_RESULT_ENTRY = RestoreDeadLetterQueueRecordsResultEntry {
        ReceiptHandle!: RECEIPT_HANDLE,
    }
    RESTORE_DEAD_LETTER_QUEUE_RECORDS_ERROR_ENTRY = RestoreDeadLetterQueueRecordsErrorEntry {
        ReceiptHandle!: RECEIPT_HANDLE, ErrorCode!: TEXT, ErrorMessage?: TEXT,
    }
    RESTORE_DEAD_LETTER_QUEUE_RECORDS_OUTPUT = RestoreDeadLetterQueueRecordsOutput {
        Successful!: list!(of RESTORE_DEAD_LETTER_QUEUE_RECORDS_RESULT_ENTRY),
        Failed!: list!(of RESTORE_DEAD_LETTER_QUEUE_RECORDS_ERROR_ENTRY),
    }
    UPDATE_DEAD_LETTER_QUEUE_RECORDS_VISIBILITY_REQUEST_ENTRY = UpdateDeadLetterQueueRecordsVisibilityRequestEntry {
        ReceiptHandle!: RECEIPT_HANDLE, VisibilityTimeoutSeconds!: int(0..=43_200),
    }
    UPDATE_DEAD_LETTER_QUEUE_RECORDS_VISIBILITY_INPUT = UpdateDeadLetterQueueRecordsVisibilityInput {
        QueueARN!: QUEUE_ARN,
        Entries!: list!(of UPDATE_DEAD_LETTER_QUEUE_RECORDS_VISIBILITY_REQUEST_ENTRY, 1..=10),
    }
    UPDATE_DEAD_LETTER_QUEUE_RECORDS_VISIBILITY_RESULT_ENTRY = UpdateDeadLetterQueueRecordsVisibilityResultEntry {
        ReceiptHandle!: RECEIPT_HANDLE,
    }
    UPDATE_DEAD_LETTER_QUEUE_RECORDS_VISIBILITY_ERROR_ENTRY = UpdateDeadLetterQueueRecordsVisibilityErrorEntry {
        ReceiptHandle!: RECEIPT_HANDLE, ErrorCode!: TEXT, ErrorMessage?: TEXT,
    }
    UPDATE_DEAD_LETTER_QUEUE_RECORDS_VISIBILITY_OUTPUT = UpdateDeadLetterQueueRecordsVisibilityOutput {
        Successful!: list!(of UPDATE_DEAD_LETTER_QUEUE_RECORDS_VISIBILITY_RESULT_ENTRY),
        Failed!: list!(of UPDATE_DEAD_LETTER_QUEUE_RECORDS_VISIBILITY_ERROR_ENTRY),
    }
    UPDATE_QUEUE_INPUT = UpdateQueueInput { QueueARN!: QUEUE_ARN, QueueAttributes!: of(&QUEUE_ATTRIBUTES) }
    UPDATE_QUEUE_OUTPUT = UpdateQueueOutput { QueueDescription!: of(&QUEUE_DESCRIPTION) }
    UPDATE_QUEUE_RECORDS_VISIBILITY_REQUEST_ENTRY = UpdateQueueRecordsVisibilityRequestEntry {
        ReceiptHandle!: RECEIPT_HANDLE, VisibilityTimeoutSeconds!: int(0..=43_200),
    }
    UPDATE_QUEUE_RECORDS_VISIBILITY_INPUT = UpdateQueueRecordsVisibilityInput {
        QueueARN!: QUEUE_ARN, Entries!: list!(of UPDATE_QUEUE_RECORDS_VISIBILITY_REQUEST_ENTRY, 1..=10),
    }
    UPDATE_QUEUE_RECORDS_VISIBILITY_RESULT_ENTRY = UpdateQueueRecordsVisibilityResultEntry {
        ReceiptHandle!: RECEIPT_HANDLE,
    }
    UPDATE_QUEUE_RECORDS_VISIBILITY_ERROR_ENTRY = UpdateQueueRecordsVisibilityErrorEntry {
        ReceiptHandle!: RECEIPT_HANDLE, ErrorCode!: TEXT, ErrorMessage?: TEXT,
    }
    UPDATE_QUEUE_RECORDS_VISIBILITY_OUTPUT = UpdateQueueRecordsVisibilityOutput {
        Successful!: list!(of UPDATE_QUEUE_RECORDS_VISIBILITY_RESULT_ENTRY),
        Failed!: list!(of UPDATE_QUEUE_RECORDS_VISIBILITY_ERROR_ENTRY),
    }
}
