//! The simple way to write: a vector of records in, their positions out.
//!
//! Calls for the same stream share one producer of the client, so that concurrent small calls
//! travel in common batches.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_types::{Record, StreamName};

use crate::client::Client;
use crate::producer::{ProduceError, Producer, RecordPosition};

/// Producers behind [`Client::append`], by stream.
#[derive(Default)]
pub(crate) struct Appenders(Mutex<HashMap<StreamName, Arc<Producer>>>);

/// Why not all records of an append are known to be written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{failed} of {total} records got no sequence number; the first: {first}", failed = self.failed(), total = self.outcomes.len(), first = self.first())]
pub struct AppendError {
    /// The outcome of each record, in the order given; at least one failed.
    pub outcomes: Vec<Result<RecordPosition, ProduceError>>,
}

impl AppendError {
    fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.is_err()).count()
    }

    /// The first failure.
    pub fn first(&self) -> &ProduceError {
        self.outcomes.iter().find_map(|outcome| outcome.as_ref().err()).expect("an append error has a failure")
    }

    /// Whether a record that failed may have been written all the same.
    pub fn perhaps_applied(&self) -> bool {
        self.outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(ProduceError::perhaps_applied))
    }
}

impl Client {
    /// Appends records, each to the shard that takes its key, and waits until all are durable or
    /// `request_timeout` has passed. Records of one key keep their order.
    pub async fn append(&self, stream: &StreamName, records: Vec<Record>) -> Result<Vec<RecordPosition>, AppendError> {
        let producer = self.appender(stream);
        let mut deliveries = Vec::with_capacity(records.len());
        for record in records {
            deliveries.push(producer.send(record).await);
        }
        let mut outcomes = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            outcomes.push(match delivery {
                Ok(delivery) => delivery.await,
                Err(error) => Err(error),
            });
        }
        if outcomes.iter().any(Result::is_err) {
            return Err(AppendError { outcomes });
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    fn appender(&self, stream: &StreamName) -> Arc<Producer> {
        let mut producers = self.appenders().0.lock();
        if let Some(producer) = producers.get(stream).filter(|producer| producer.is_running()) {
            return producer.clone();
        }
        let producer = Arc::new(self.producer(stream).delivery_deadline(self.options().request_timeout).build());
        producers.insert(stream.clone(), producer.clone());
        producer
    }
}
