//! The public RecordService: checks what came, finds the replica, answers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use thalweg_proto::convert;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::record_service_server::RecordService;
use thalweg_proto::v1::{
    AppendRequest, AppendResponse, AppendStreamRequest, AppendStreamResponse, ChargeRequest, ChargeResponse,
    ReadRequest, ReadResponse, ShardLimits, TailRequest, TailResponse,
};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::wire::{ErrorMapper, absent};
use super::{Directory, append_stream, position, tail_stream};
use crate::allowance::{Charge, Rates};
use crate::append::Appended;
use crate::command::ProducerTag;
use crate::host::ShardHost;
use crate::read::ReadError;
use crate::replica::Replica;

/// Bytes of a subscriber's name.
const SUBSCRIBER_BYTES_MAX: usize = 512;

/// Answers clients. Cheap to clone.
#[derive(Clone)]
pub struct RecordApi {
    pub(super) host: ShardHost,
    pub(super) directory: Arc<dyn Directory>,
}

/// An append that names a replica which is here.
pub(super) struct CheckedAppend {
    pub(super) replica: Arc<Replica>,
    pub(super) batch: bytes::Bytes,
    pub(super) tag: Option<ProducerTag>,
    pub(super) patience: Duration,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl RecordApi {
    pub(super) fn new(host: ShardHost, directory: Arc<dyn Directory>) -> RecordApi {
        RecordApi { host, directory }
    }

    fn replica(&self, shard: Option<&thalweg_proto::v1::ShardRef>) -> Result<Arc<Replica>, WireError> {
        let (stream, shard) = convert::shard_ref(shard)?;
        let found = self.host.replica(stream, shard);
        found.ok_or_else(|| absent(&*self.directory, stream, shard, self.host.expects(stream, shard)))
    }

    pub(super) fn check_append(&self, request: AppendRequest) -> Result<CheckedAppend, WireError> {
        let tag = request.producer.as_ref().map(convert::producer_tag).transpose()?;
        let options = self.host.options();
        let patience = match request.timeout_ms {
            0 => options.append_timeout,
            ms => Duration::from_millis(u64::from(ms)).min(options.append_timeout_max),
        };
        Ok(CheckedAppend {
            replica: self.replica(request.shard.as_ref())?,
            batch: request.batch,
            tag: tag.map(|(producer, sequence)| ProducerTag { producer, sequence }),
            patience,
        })
    }

    /// Counts an answer and gives it the form that travels.
    pub(super) fn append_answer(
        &self,
        replica: &Replica,
        outcome: Result<Appended, crate::append::AppendError>,
    ) -> Result<AppendResponse, WireError> {
        let spec = replica.spec();
        let appended =
            outcome.map_err(|error| ErrorMapper { directory: &*self.directory, spec: &spec }.append(error))?;
        let metrics = self.host.metrics();
        metrics.appends.add(1);
        metrics.duplicates.add(u64::from(appended.duplicate));
        Ok(AppendResponse {
            first_sequence_number: appended.first.to_string(),
            record_count: appended.record_count,
            arrived_ms: appended.arrived.0,
            duplicate: appended.duplicate,
        })
    }

    pub(super) fn read_error(&self, replica: &Replica, error: ReadError) -> WireError {
        ErrorMapper { directory: &*self.directory, spec: &replica.spec() }.read(error)
    }

    pub(super) fn count(&self, error: WireError) -> WireError {
        self.host.metrics().count_error(error.reason);
        error
    }

    async fn append_one(&self, request: AppendRequest) -> Result<AppendResponse, WireError> {
        let append = self.check_append(request)?;
        let outcome = append.replica.append(append.batch, append.tag, append.patience).await;
        self.append_answer(&append.replica, outcome)
    }

    async fn read_one(&self, request: ReadRequest) -> Result<ReadResponse, WireError> {
        let replica = self.replica(request.shard.as_ref())?;
        let options = self.host.options();
        let start = position::start_position(request.position.as_ref())?;
        let wait = Duration::from_millis(u64::from(request.wait_ms)).min(options.read_wait_max);
        let max_bytes = page_bytes(request.max_bytes, options.read_bytes_default, options.read_bytes_max);
        let page = async { replica.read(replica.resolve(start).await?, max_bytes, wait).await };
        let page = page.await.map_err(|error| self.read_error(&replica, error))?;
        Ok(position::to_response(page, &replica.spec()))
    }

    fn charge_one(&self, request: ChargeRequest) -> Result<ChargeResponse, WireError> {
        let replica = self.replica(request.shard.as_ref())?;
        let rates = rates(&request.limits.unwrap_or_default());
        let charge = Charge { records: request.record_bytes, reads: request.reads, bytes_read: request.bytes_read };
        let charged = replica.charge(&rates, &charge).map_err(|error| self.read_error(&replica, error))?;
        Ok(ChargeResponse { refused_records: charged.refused_records, read_refused: charged.read_refused })
    }

    async fn open_tail(&self, request: TailRequest) -> Result<Answers<TailResponse>, WireError> {
        let replica = self.replica(request.shard.as_ref())?;
        let options = self.host.options();
        let start = position::start_position(request.position.as_ref())?;
        let max_bytes = page_bytes(request.max_bytes, options.tail_bytes_default, options.read_bytes_max);
        let subscriber = subscriber(request.subscriber)?;
        let tail = async {
            // A position that makes no sense must not cost another tail its place.
            let tail = replica.tail(replica.resolve(start).await?, max_bytes);
            match subscriber {
                Some(name) => Ok(tail.named(replica.subscribe(name, request.subscription_id).await?)),
                None => Ok(tail),
            }
        };
        let tail = tail.await.map_err(|error| self.read_error(&replica, error))?;
        Ok(Box::pin(tail_stream::pages(self.clone(), replica, tail)))
    }
}

fn subscriber(name: String) -> Result<Option<String>, WireError> {
    match name.len() {
        0 => Ok(None),
        1..=SUBSCRIBER_BYTES_MAX => Ok(Some(name)),
        bytes => {
            let message = format!("`subscriber` has {bytes} bytes; it may have {SUBSCRIBER_BYTES_MAX}");
            Err(WireError::new(Reason::InvalidArgument, message))
        }
    }
}

fn rates(limits: &ShardLimits) -> Rates {
    let bytes = |limit: Option<u64>| limit.map_or(f64::INFINITY, |limit| limit as f64);
    let count = |limit: Option<u32>| limit.map_or(f64::INFINITY, f64::from);
    Rates {
        write_bytes: bytes(limits.write_bytes_per_second),
        write_records: count(limits.write_records_per_second),
        read_bytes: bytes(limits.read_bytes_per_second),
        read_calls: count(limits.read_calls_per_second),
    }
}

fn page_bytes(asked: u32, default: usize, max: usize) -> usize {
    if asked == 0 { default } else { (asked as usize).min(max) }
}

#[tonic::async_trait]
impl RecordService for RecordApi {
    type AppendStreamStream = Answers<AppendStreamResponse>;
    type TailStream = Answers<TailResponse>;

    async fn append(&self, request: Request<AppendRequest>) -> Result<Response<AppendResponse>, Status> {
        let answer = self.append_one(request.into_inner()).await;
        Ok(Response::new(answer.map_err(|error| self.count(error))?))
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let (answers, mut receiver) = mpsc::channel(self.host.options().call_in_flight_batches_max);
        tokio::spawn(append_stream::run(self.clone(), request.into_inner(), answers));
        let answers = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let answer = self.read_one(request.into_inner()).await;
        Ok(Response::new(answer.map_err(|error| self.count(error))?))
    }

    async fn charge(&self, request: Request<ChargeRequest>) -> Result<Response<ChargeResponse>, Status> {
        let answer = self.charge_one(request.into_inner());
        Ok(Response::new(answer.map_err(|error| self.count(error))?))
    }

    async fn tail(&self, request: Request<TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let answer = self.open_tail(request.into_inner()).await;
        Ok(Response::new(answer.map_err(|error| self.count(error))?))
    }
}
