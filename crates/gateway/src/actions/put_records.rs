//! PutRecords: results in the order of the request, failures only where they are real.

use thalweg_catalog::Stream;
use thalweg_client::RecordPosition;
use thalweg_kinesis::{ApiError, ErrorKind, Struct, Value, texts};
use thalweg_types::Record;

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, put, target};

/// Data and partition keys of all records of a request.
const REQUEST_BYTES_MAX: usize = 10 * 1024 * 1024;

pub(crate) async fn handle(gateway: &Gateway, call: &Call, mut input: Struct) -> Result<Answer, ApiError> {
    let stream = target::serving_stream(gateway, call, &input)?;
    let records = records(gateway, &stream, &mut input)?;
    call.end_dry_run(input.flag("DryRun"))?;
    let outcomes = written(gateway, call, &stream, records).await;
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count() as i64;
    let results = outcomes.into_iter().map(|outcome| match outcome {
        Ok(position) => put::written(position),
        Err(error) => entry_of(&error),
    });
    let output = Struct::new().with("FailedRecordCount", failed).with("Records", results.collect::<Value>());
    Ok(output.with_some("EncryptionType", put::encryption_type(&stream)).into())
}

/// The records of a request, taken out of it.
fn records(gateway: &Gateway, stream: &Stream, input: &mut Struct) -> Result<Vec<Record>, ApiError> {
    let Some(Value::List(entries)) = input.take("Records") else { return Ok(Vec::new()) };
    let entries = entries.into_iter().filter_map(|entry| match entry {
        Value::Struct(entry) => Some(entry),
        _ => None,
    });
    let records: Vec<Record> = entries
        .enumerate()
        .map(|(at, mut entry)| put::record(gateway, stream, &mut entry, put::Place::Entry(at + 1)))
        .collect::<Result<_, _>>()?;
    match records.iter().map(Record::counted_bytes).sum::<usize>() {
        bytes if bytes > REQUEST_BYTES_MAX => {
            Err(ApiError::new(ErrorKind::InvalidArgument, "Records size exceeds 10 MB limit"))
        }
        _ => Ok(records),
    }
}

/// Writes what the stream's limits let in; tells what became of each record, in their order.
async fn written(
    gateway: &Gateway,
    call: &Call,
    stream: &Stream,
    records: Vec<Record>,
) -> Vec<Result<RecordPosition, ApiError>> {
    let bytes: Vec<usize> = records.iter().map(Record::counted_bytes).collect();
    let mut throttled = put::admit(gateway, call, stream, &records).await;
    let admitted = records.into_iter().enumerate().filter(|(place, _)| !throttled.contains_key(place));
    let admitted: Vec<Record> = admitted.map(|(_, record)| record).collect();
    let count = admitted.len();
    let producer = gateway.producers().of(stream);
    let delivered = match put::with_room(producer.send_all(admitted)).await {
        Ok(deliveries) => deliveries.await,
        Err(error) => vec![Err(error); count],
    };
    let mut delivered = delivered.into_iter();
    let outcomes = (0..bytes.len()).filter_map(|place| match throttled.remove(&place) {
        Some(refusal) => Some(Err(refusal)),
        None => delivered.next().map(|outcome| outcome.map_err(|error| failure::of_produce(call, stream, &error))),
    });
    let outcomes: Vec<_> = outcomes.collect();
    let written = outcomes.iter().zip(bytes).filter_map(|(outcome, bytes)| Some((*outcome.as_ref().ok()?, bytes)));
    put::count(gateway, stream, written);
    outcomes
}

/// The service knows two codes here, and says nothing of the inside of a failure.
fn entry_of(error: &ApiError) -> Struct {
    let (code, message) = match error.kind {
        ErrorKind::ProvisionedThroughputExceeded => (error.kind.name(), error.message.clone().unwrap_or_default()),
        _ => (texts::RECORD_FAILURE_CODE, texts::RECORD_FAILURE_TEXT.to_owned()),
    };
    Struct::new().with("ErrorCode", code).with("ErrorMessage", message)
}
