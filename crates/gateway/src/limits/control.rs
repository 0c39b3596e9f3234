//! How often operations may be called, for an account that wants the service's own rates.
//!
//! Counted by each node for the requests that it answers. Holds: what is remembered has a bound.

use std::collections::HashMap;

use parking_lot::Mutex;
use thalweg_kinesis::{ApiError, ErrorKind, Operation, Struct};
use thalweg_types::Bucket;
use tokio::time::Instant;

use crate::call::Call;

/// Rates that are remembered; beyond it those that rest are forgotten, or all if none does: a caller
/// can name any number of streams, whether there or not.
const REMEMBERED_MAX: usize = 10_000;

/// What a rate is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Account,
    Stream,
    Shard,
}

/// Calls a second of an operation, and by what they are counted; nothing where the service has no
/// rate of its own. From the service's quotas.
fn rate(operation: Operation) -> Option<(f64, By)> {
    Some(match operation.name() {
        "DescribeLimits" => (1.0, By::Account),
        "DescribeStream" | "UpdateShardCount" => (10.0, By::Account),
        "DescribeStreamSummary" | "DescribeStreamConsumer" => (20.0, By::Account),
        "CreateStream" | "DeleteStream" | "SplitShard" | "MergeShards" | "ListStreams" => (5.0, By::Account),
        "IncreaseStreamRetentionPeriod" | "DecreaseStreamRetentionPeriod" => (5.0, By::Account),
        "AddTagsToStream" | "RemoveTagsFromStream" | "ListTagsForStream" => (5.0, By::Account),
        "EnableEnhancedMonitoring" | "DisableEnhancedMonitoring" | "UpdateStreamWarmThroughput" => (5.0, By::Account),
        "DescribeAccountSettings" | "UpdateAccountSettings" => (5.0, By::Account),
        "RegisterStreamConsumer" | "DeregisterStreamConsumer" | "ListStreamConsumers" => (5.0, By::Stream),
        "ListShards" => (1_000.0, By::Stream),
        "GetShardIterator" => (5.0, By::Shard),
        _ => return None,
    })
}

/// The recent calls of all operations.
#[derive(Default)]
pub(super) struct ControlRates {
    recent: Mutex<HashMap<(Operation, String), Bucket>>,
}

impl ControlRates {
    /// Whether the call may be made now.
    pub(super) fn admit(&self, call: &Call, input: &Struct, now: Instant) -> Result<(), ApiError> {
        let Some((rate, by)) = rate(call.operation) else { return Ok(()) };
        let counted = scope(by, input);
        let mut recent = self.recent.lock();
        if recent.len() >= REMEMBERED_MAX {
            super::make_room(&mut recent, |bucket| bucket.is_rested(now.into_std()));
        }
        let bucket = recent.entry((call.operation, counted)).or_insert_with(|| Bucket::full(rate, now.into_std()));
        if bucket.has(1.0, rate, now.into_std()) {
            bucket.take(1.0);
            return Ok(());
        }
        Err(exceeded(call, by, input))
    }
}

fn scope(by: By, input: &Struct) -> String {
    let stream = || {
        let arn = input.text("StreamARN").or(input.text("ConsumerARN"));
        let of_arn = arn.and_then(|arn| arn.split_once(":stream/")).map(|(_, name)| name);
        of_arn.or(input.text("StreamName")).unwrap_or("").to_owned()
    };
    match by {
        By::Account => String::new(),
        By::Stream => stream(),
        By::Shard => format!("{}/{}", stream(), input.text("ShardId").unwrap_or("")),
    }
}

fn exceeded(call: &Call, by: By, input: &Struct) -> ApiError {
    match by {
        By::Shard => {
            let text = format!("Rate exceeded for Shard - {}/{}", call.account, scope(by, input));
            ApiError::new(ErrorKind::ProvisionedThroughputExceeded, text)
        }
        _ => {
            let text = format!("Rate exceeded for {} under account {}.", call.operation.name(), call.account);
            ApiError::new(ErrorKind::LimitExceeded, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use thalweg_types::UnixMillis;

    use super::*;

    fn call(operation: &str) -> Call {
        let operation = Operation::by_name(operation).unwrap();
        let (account, region) = ("000000000000".into(), "us-east-1".to_owned());
        Call { operation, account, region, principal: None, now: UnixMillis(0) }
    }

    #[test]
    fn calls_beyond_the_rate_are_refused_until_time_has_passed() {
        let (rates, start) = (ControlRates::default(), Instant::now());
        let admit =
            |after_ms| rates.admit(&call("CreateStream"), &Struct::new(), start + Duration::from_millis(after_ms));
        assert!((0..5).all(|_| admit(0).is_ok()));
        assert_eq!(admit(0).unwrap_err().kind, ErrorKind::LimitExceeded);
        assert!(admit(250).is_ok());
    }

    #[test]
    fn iterators_are_counted_by_shard_whichever_way_the_stream_is_named() {
        let (rates, now) = (ControlRates::default(), Instant::now());
        let by_name = Struct::new().with("StreamName", "orders").with("ShardId", "shardId-000000000000");
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
        let by_arn = Struct::new().with("StreamARN", arn).with("ShardId", "shardId-000000000000");
        assert!((0..5).all(|_| rates.admit(&call("GetShardIterator"), &by_name, now).is_ok()));
        let refused = rates.admit(&call("GetShardIterator"), &by_arn, now).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::ProvisionedThroughputExceeded);
        let other = by_name.clone().with("Timestamp", UnixMillis(1));
        assert!(rates.admit(&call("PutRecord"), &other, now).is_ok());
    }
}
