//! Counting use against a shard's limits, where it is led.
//!
//! The limits of a stream bind those who keep to them, as the Kinesis front does: they ask the leader
//! before they write or read, and tell it what a page has cost. Nothing is written or read by this.

use std::time::Duration;

use thalweg_catalog::ShardLimits;
use thalweg_proto::convert::to_shard_ref;
use thalweg_proto::v1;
use thalweg_proto::v1::record_service_client::RecordServiceClient;
use thalweg_types::{ShardId, StreamName};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::call::{CallError, Repeat, Verdict, ask_at, verdict};
use crate::client::Client;
use crate::wire;

/// What is to be done with a shard, or was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Data and partition key of each record that is to be written, in bytes.
    pub records: Vec<u32>,
    /// Whether a page is to be read.
    pub reads: bool,
    /// Bytes that were read; they count whatever the answer is.
    pub bytes_read: u64,
}

/// What its leader says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charged {
    /// Places of the records for which there is no room; the others are counted.
    pub refused_records: Vec<u32>,
    /// Whether there is no room for the read.
    pub read_refused: bool,
}

impl Client {
    /// Counts use of a shard against `limits`; tries for `patience` at most. A charge whose answer was
    /// lost may count twice.
    pub async fn charge(
        &self,
        stream: &StreamName,
        shard: ShardId,
        limits: &ShardLimits,
        charge: Charge,
        patience: Duration,
    ) -> Result<Charged, CallError> {
        let (routing, began) = (self.routing(stream), Instant::now());
        let unreachable = |last: String| CallError::Unreachable { waited: began.elapsed(), last };
        let image = routing.known(patience).await.map_err(|error| unreachable(error.to_string()))?;
        let request = v1::ChargeRequest {
            shard: Some(to_shard_ref(image.stream_id(), shard)),
            limits: Some(wire::to_shard_limits(limits)),
            record_bytes: charge.records,
            reads: charge.reads,
            bytes_read: charge.bytes_read,
        };
        let mut backoff = Backoff::seeded(self.random().seed());
        let mut hint = None;
        loop {
            let newest = routing.image().unwrap_or_else(|| image.clone());
            let address = hint.take().unwrap_or_else(|| newest.candidate(shard, backoff.failures()));
            let (request, deadline) = (request.clone(), began + patience);
            let charge = async |mut stub: RecordServiceClient<_>| stub.charge(request).await;
            let error = match ask_at(self, &address, "answer", deadline, charge).await {
                Ok(v1::ChargeResponse { refused_records, read_refused }) => {
                    return Ok(Charged { refused_records, read_refused });
                }
                Err(error) => error,
            };
            match verdict(&error, Repeat::Harmless) {
                Verdict::GiveUp => return Err(CallError::Refused(error)),
                Verdict::TryAt(leader) => {
                    routing.note_leader(shard, &leader);
                    hint = Some(leader);
                }
                Verdict::TryElsewhere => {}
            }
            let delay = backoff.next_elsewhere();
            if began.elapsed() + delay >= patience {
                return Err(CallError::Refused(error));
            }
            tokio::time::sleep(delay).await;
        }
    }
}
