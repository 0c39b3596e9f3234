//! PutRecords: results in the order of the request, failures only where they are real.

use std::sync::Arc;

use thalweg_catalog::Stream;
use thalweg_client::{Delivery, ProduceError, Producer};
use thalweg_kinesis::{ApiError, ErrorKind, Struct, Value, texts};
use thalweg_types::Record;

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, put, target};

/// Data and partition keys of all records of a request.
const REQUEST_BYTES_MAX: usize = 10 * 1024 * 1024;

pub(crate) async fn handle(gateway: &Gateway, call: &Call, input: Struct) -> Result<Answer, ApiError> {
    let stream = target::serving_stream(gateway, call, &input)?;
    let records = records(gateway, &stream, &input)?;
    call.end_dry_run(input.flag("DryRun"))?;
    drop(input);
    let producer = gateway.producers().of(&stream);
    let mut sent = Vec::with_capacity(records.len());
    for record in records {
        sent.push(send(gateway, call, &stream, &producer, record).await);
    }
    let mut failed = 0i64;
    let mut results = Vec::with_capacity(sent.len());
    for outcome in sent {
        results.push(Value::Struct(match settled(gateway, call, &stream, outcome).await {
            Ok(written) => written,
            Err(error) => {
                failed += 1;
                entry_of(&error)
            }
        }));
    }
    let output = Struct::new().with("FailedRecordCount", failed).with("Records", results);
    Ok(output.with_some("EncryptionType", put::encryption_type(&stream)).into())
}

fn records(gateway: &Gateway, stream: &Stream, input: &Struct) -> Result<Vec<Record>, ApiError> {
    let entries = input.list("Records").iter().filter_map(|entry| match entry {
        Value::Struct(entry) => Some(entry),
        _ => None,
    });
    let records: Vec<Record> = entries
        .enumerate()
        .map(|(at, entry)| put::record(gateway, stream, entry, put::Place::Entry(at + 1)))
        .collect::<Result<_, _>>()?;
    match records.iter().map(Record::counted_bytes).sum::<usize>() {
        bytes if bytes > REQUEST_BYTES_MAX => {
            Err(ApiError::new(ErrorKind::InvalidArgument, "Records size exceeds 10 MB limit"))
        }
        _ => Ok(records),
    }
}

/// A record that is under way, or why it never was.
type Sent = Result<OnItsWay, NotSent>;

struct OnItsWay {
    delivery: Delivery,
    bytes: usize,
}

enum NotSent {
    Throttled(ApiError),
    Refused(ProduceError),
}

async fn send(gateway: &Gateway, call: &Call, stream: &Stream, producer: &Arc<Producer>, record: Record) -> Sent {
    put::admit(gateway, call, stream, &record).map_err(NotSent::Throttled)?;
    let bytes = record.counted_bytes();
    let delivery = producer.send(record).await.map_err(NotSent::Refused)?;
    Ok(OnItsWay { delivery, bytes })
}

async fn settled(gateway: &Gateway, call: &Call, stream: &Stream, sent: Sent) -> Result<Struct, ApiError> {
    match sent {
        Ok(OnItsWay { delivery, bytes }) => match delivery.await {
            Ok(position) => {
                put::count(gateway, stream, position, bytes);
                Ok(put::written(position))
            }
            Err(error) => Err(put::failed(call, stream, &error)),
        },
        Err(NotSent::Throttled(error)) => Err(error),
        Err(NotSent::Refused(error)) => Err(put::failed(call, stream, &error)),
    }
}

/// The service knows two codes here, and says nothing of the inside of a failure.
fn entry_of(error: &ApiError) -> Struct {
    let (code, message) = match error.kind {
        ErrorKind::ProvisionedThroughputExceeded => (error.kind.name(), error.message.clone().unwrap_or_default()),
        _ => (texts::RECORD_FAILURE_CODE, texts::RECORD_FAILURE_TEXT.to_owned()),
    };
    Struct::new().with("ErrorCode", code).with("ErrorMessage", message)
}
