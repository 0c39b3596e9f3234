//! PutRecord.

use thalweg_catalog::{Distribution, Stream};
use thalweg_kinesis::{ApiError, ErrorKind, Struct, texts};
use thalweg_types::SequenceNumber;

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, put, target};

pub(crate) async fn handle(gateway: &Gateway, call: &Call, mut input: Struct) -> Result<Answer, ApiError> {
    let stream = target::serving_stream(gateway, call, &input)?;
    if let Some(number) = input.text("SequenceNumberForOrdering") {
        check_ordering(call, &stream, number)?;
    }
    let record = put::record(gateway, &stream, &mut input, put::Place::Only)?;
    call.end_dry_run(input.flag("DryRun"))?;
    if let Some(throttled) = put::admit(gateway, call, &stream, std::slice::from_ref(&record)).await.remove(&0) {
        return Err(throttled);
    }
    let bytes = record.counted_bytes();
    let producer = gateway.producers().of(&stream);
    let delivery = put::with_room(producer.send(record)).await;
    let position = match delivery {
        Ok(delivery) => delivery.await,
        Err(error) => Err(error),
    };
    let position = position.map_err(|error| failure::of_produce(call, &stream, &error))?;
    put::count(gateway, &stream, [(position, bytes)]);
    Ok(put::written(position).with_some("EncryptionType", put::encryption_type(&stream)).into())
}

/// How far the clock of a shard's leader, which sets arrival times, may be ahead of this node's.
const CLOCK_SKEW_SECS: u64 = 300;

/// One shard's leader gives rising numbers anyway; the number is only checked to be one of ours and
/// not from the future.
fn check_ordering(call: &Call, stream: &Stream, text: &str) -> Result<(), ApiError> {
    if stream.settings.distribution == Distribution::Auto {
        let text = "SequenceNumberForOrdering cannot be used with the record distribution strategy AUTO.";
        return Err(ApiError::new(ErrorKind::InvalidArgument, text));
    }
    let number = text.parse::<SequenceNumber>();
    match number.is_ok_and(|number| number.record_secs() <= call.now.secs() + CLOCK_SKEW_SECS) {
        true => Ok(()),
        false => Err(texts::ordering_invalid(text, &stream.name, &call.account)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use thalweg_types::{ShardId, UnixMillis};

    use super::*;
    use crate::testing;

    #[test]
    fn a_number_of_a_leader_whose_clock_is_ahead_is_not_from_the_future() {
        let catalog = testing::catalog(None, None, json!("unlimited"));
        let stream = catalog.streams().next().expect("one stream");
        let call = testing::call("PutRecord", "us-east-1");
        let ahead = |ms| SequenceNumber::new(UnixMillis(5_000), ShardId(0), 9, 0, UnixMillis(call.now.0 + ms));
        assert!(check_ordering(&call, stream, &ahead(2_000).to_string()).is_ok());
        assert!(check_ordering(&call, stream, &ahead(3_600_000).to_string()).is_err());
    }
}
