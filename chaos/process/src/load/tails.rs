//! Consumers of the whole stream, fast and slow.
//!
//! A slow one dawdles between batches, and now and then starts again from its checkpoint, as a
//! worker that was replaced does: it must miss nothing and see nothing again.

use std::collections::HashSet;
use std::time::Duration;

use thalweg_checker::{Read, Start};
use thalweg_client::{ConsumedBatch, Consumer, ShardId, ShardProgress, StartPosition};
use tokio::sync::watch;

use super::{Context, seen};

/// Before a consumer that ended is started again.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes that a slow consumer reads ahead.
const SLOW_BUFFER_BYTES: usize = 64 * 1024;
/// Batches after which a slow consumer starts again.
const BATCHES_A_LIFE: usize = 40;

/// Follows the stream from its horizon.
pub(super) async fn follow(context: Context, reader: u32, pace: Option<Duration>, mut stop: watch::Receiver<bool>) {
    let mut tail = TailReader { context, reader, pace, met: HashSet::new(), from: StartPosition::TrimHorizon };
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = tail.run() => {}
    }
}

struct TailReader {
    context: Context,
    reader: u32,
    pace: Option<Duration>,
    met: HashSet<ShardId>,
    from: StartPosition,
}

impl TailReader {
    async fn run(&mut self) {
        loop {
            let mut builder = self.context.client.consumer(&self.context.stream).from(self.from.clone());
            if self.pace.is_some() {
                builder = builder.max_buffered_bytes(SLOW_BUFFER_BYTES).page_bytes(SLOW_BUFFER_BYTES as u32);
            }
            if let Ok(consumer) = builder.start().await {
                self.live(consumer).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// One life of a consumer.
    async fn live(&mut self, mut consumer: Consumer) {
        let mut asked = self.context.recorder.now();
        let mut batches = 0;
        while let Some(batch) = consumer.next().await {
            match batch {
                Ok(batch) => self.note(batch, asked),
                Err(error) => {
                    let (reader, at) = (self.reader, self.context.recorder.elapsed());
                    eprintln!("{at:.1?} consumer {reader} ended and starts again: {error}");
                    break;
                }
            }
            self.from = StartPosition::Resume(consumer.checkpoint().clone());
            asked = self.context.recorder.now();
            batches += 1;
            if let Some(pace) = self.pace {
                if batches >= BATCHES_A_LIFE {
                    break;
                }
                tokio::time::sleep(pace).await;
            }
        }
    }

    fn note(&mut self, batch: ConsumedBatch, asked: u64) {
        let start = if self.met.insert(batch.shard) { Start::Horizon } else { Start::Continue };
        self.context.recorder.read(Read {
            reader: self.reader,
            shard: batch.shard,
            call: asked,
            done: self.context.recorder.now(),
            start,
            records: batch.records.iter().map(seen).collect(),
            end: batch.progress == ShardProgress::Finished,
            // It was read ahead: nobody knows how long ago.
            fresh: false,
            last: false,
        });
    }
}
