//! Pipelined appends of one call.
//!
//! ```text
//! call ─► room? ─► lane of the shard: submit in order ─► outcomes in order ─► answers
//! ```
//! Holds: batches of one shard are submitted and answered in the order they came; shards do not
//! hold up each other. What is on its way is bounded, and past the bound the call is not read.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use thalweg_proto::errors::WireError;
use thalweg_proto::v1::append_stream_response::Outcome;
use thalweg_proto::v1::{AppendFailure, AppendRequest, AppendResponse, AppendStreamRequest, AppendStreamResponse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::record::RecordApi;

/// One batch and the room it takes until it is answered.
struct Job {
    request_id: u64,
    append: AppendRequest,
    room: [OwnedSemaphorePermit; 2],
}

type Answers = mpsc::Sender<Result<AppendStreamResponse, Status>>;

pub(super) async fn run(api: RecordApi, mut calls: Streaming<AppendStreamRequest>, answers: Answers) {
    let options = api.host.options();
    let (batches_max, bytes_max) = (options.call_in_flight_batches_max, options.call_in_flight_bytes_max);
    let (batches, bytes) = (Arc::new(Semaphore::new(batches_max)), Arc::new(Semaphore::new(bytes_max)));
    let mut lanes: HashMap<(u64, u32), mpsc::Sender<Job>> = HashMap::new();
    while let Ok(Some(AppendStreamRequest { request_id, append })) = calls.message().await {
        let append = append.unwrap_or_default();
        let size = append.batch.len().min(bytes_max) as u32;
        let room = (batches.clone().acquire_owned().await, bytes.clone().acquire_many_owned(size).await);
        let (Ok(batch_room), Ok(byte_room)) = room else { return };
        let shard = append.shard.unwrap_or_default();
        let lane = lanes.entry((shard.stream_id, shard.shard)).or_insert_with(|| {
            let (lane, jobs) = mpsc::channel(batches_max);
            tokio::spawn(run_lane(api.clone(), jobs, answers.clone()));
            lane
        });
        if lane.send(Job { request_id, append, room: [batch_room, byte_room] }).await.is_err() {
            return;
        }
    }
}

/// Submits one shard's batches and answers them; ends when the call does or nobody listens.
async fn run_lane(api: RecordApi, mut jobs: mpsc::Receiver<Job>, answers: Answers) {
    let mut pending = FuturesOrdered::new();
    let mut open = true;
    while open || !pending.is_empty() {
        tokio::select! {
            job = jobs.recv(), if open => match job {
                Some(job) => pending.push_back(submit(&api, job).await),
                None => open = false,
            },
            Some(answer) = pending.next() => if answers.send(Ok(answer)).await.is_err() { return },
        }
    }
}

/// Puts the batch into its shard's queue; what is returned waits for its outcome.
async fn submit(api: &RecordApi, job: Job) -> impl Future<Output = AppendStreamResponse> + use<> {
    let Job { request_id, append, room } = job;
    let api = api.clone();
    let since = Instant::now();
    let submitted = match api.check_append(append) {
        Err(error) => Err(error),
        Ok(append) => {
            let ticket = append.replica.submit(append.batch, append.tag, append.patience).await;
            Ok((append.replica, append.patience, ticket))
        }
    };
    async move {
        let answer = match submitted {
            Err(error) => Err(error),
            Ok((replica, patience, ticket)) => {
                let outcome = match ticket {
                    Ok(ticket) => ticket.outcome(patience.saturating_sub(since.elapsed())).await,
                    Err(error) => Err(error),
                };
                api.append_answer(&replica, outcome)
            }
        };
        drop(room);
        to_answer(request_id, answer.map_err(|error| api.count(error)))
    }
}

fn to_answer(request_id: u64, answer: Result<AppendResponse, WireError>) -> AppendStreamResponse {
    let outcome = match answer {
        Ok(appended) => Outcome::Appended(appended),
        Err(error) => Outcome::Failed(AppendFailure {
            code: error.reason.code() as i32,
            reason: error.reason.as_str().to_owned(),
            perhaps_applied: error.perhaps_applied(),
            message: error.message,
            metadata: error.metadata,
        }),
    };
    AppendStreamResponse { request_id, outcome: Some(outcome) }
}
