//! Sending records through the client's producer.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rand::Rng;
use rand::rngs::StdRng;
use thalweg_client::{Delivery, ProduceError, Producer, Record};
use tokio::sync::mpsc;

use super::ProduceArgs;
use crate::commands::bench::load::{self, Payloads};
use crate::commands::bench::meter::Meter;
use crate::commands::bench::pace;
use crate::commands::bench::session::Session;

/// Keys made in advance.
const KEYS: usize = 1 << 16;

/// Sends until the measured time is over and everything is answered.
pub(super) async fn run(
    session: &Session,
    args: &ProduceArgs,
    payloads: Payloads,
    meter: Arc<Meter>,
    mut random: StdRng,
) -> anyhow::Result<()> {
    let builder = session.client.producer(session.name()).batch_bytes(args.batch_size as usize);
    let producer = builder.in_flight_per_shard(args.concurrency as usize).build();
    let bytes = u64::from(args.common.record_size);
    let (sent, queue) = mpsc::unbounded_channel();
    let waiting = tokio::spawn(await_outcomes(queue, meter.clone(), bytes));
    let keys: Vec<String> = (0..KEYS).map(|_| load::key(&mut random)).collect();
    let mut next = || Record::new(keys[random.random_range(0..KEYS)].clone(), payloads.next(&mut random));
    let send = async |producer: &Producer, record: Record, intended: Instant| -> Result<(), ProduceError> {
        let delivery = producer.send(record).await?;
        // The other end lives until this one is dropped.
        let _ = sent.send((intended, delivery));
        Ok(())
    };
    match args.rate.records_per_second(bytes) {
        None => {
            while !meter.is_over() {
                send(&producer, next(), Instant::now()).await?;
            }
        }
        Some(per_second) => {
            let mut moments = pace::moments(per_second, meter.until());
            while let Some(intended) = moments.recv().await {
                send(&producer, next(), intended).await?;
            }
        }
    }
    drop(sent);
    Ok(waiting.await?)
}

/// Notes each outcome when it comes, in whatever order.
async fn await_outcomes(mut queue: mpsc::UnboundedReceiver<(Instant, Delivery)>, meter: Arc<Meter>, bytes: u64) {
    let mut open = FuturesUnordered::new();
    let mut more = true;
    while more || !open.is_empty() {
        tokio::select! {
            sent = queue.recv(), if more => match sent {
                Some((intended, delivery)) => open.push(async move { (intended, delivery.await) }),
                None => more = false,
            },
            Some((intended, outcome)) = open.next(), if !open.is_empty() => match outcome {
                Ok(_) => meter.done(intended, 1, bytes),
                Err(error) => meter.failed(&error),
            },
        }
    }
}
