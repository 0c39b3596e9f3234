//! What became of the records, in the order in which they were given.

use anyhow::Context;
use serde_json::json;
use thalweg_client::{Delivery, ProduceError, RecordPosition};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cli::Format;
use crate::output::print_text;

/// Counts outcomes and prints positions.
pub(super) struct Report {
    format: Format,
    each: bool,
    begun: Instant,
    delivered: u64,
    failed: u64,
    unknown: u64,
    first_error: Option<ProduceError>,
}

impl Report {
    /// Prints each position, or only a sum at the end.
    pub(super) fn new(format: Format, each: bool) -> Report {
        Report { format, each, begun: Instant::now(), delivered: 0, failed: 0, unknown: 0, first_error: None }
    }

    /// Waits for every delivery; an error when one failed.
    pub(super) async fn run(mut self, mut deliveries: mpsc::Receiver<Delivery>) -> anyhow::Result<()> {
        while let Some(delivery) = deliveries.recv().await {
            match delivery.await {
                Ok(position) => self.note_delivered(position)?,
                Err(error) => self.note_failed(error),
            }
        }
        self.end()
    }

    fn note_delivered(&mut self, position: RecordPosition) -> std::io::Result<()> {
        self.delivered += 1;
        if !self.each {
            return Ok(());
        }
        let RecordPosition { shard, sequence_number } = position;
        print_text(&match self.format {
            Format::Table => format!("{shard}  {sequence_number}\n"),
            Format::Json => {
                let object = json!({"shard": shard.to_string(), "sequence_number": sequence_number.to_string()});
                format!("{object}\n")
            }
        })
    }

    fn note_failed(&mut self, error: ProduceError) {
        if error.perhaps_applied() {
            self.unknown += 1;
        } else {
            self.failed += 1;
        }
        self.first_error.get_or_insert(error);
    }

    fn end(self) -> anyhow::Result<()> {
        if !self.each {
            let seconds = self.begun.elapsed().as_secs_f64();
            print_text(&format!("{} records are durable, after {seconds:.2} s\n", self.delivered))?;
        }
        let Some(error) = self.first_error else { return Ok(()) };
        let mut text = format!("of {} records", self.delivered + self.failed + self.unknown);
        if self.failed > 0 {
            text += &format!(", {} were not written", self.failed);
        }
        if self.unknown > 0 {
            text += &format!(", {} may or may not have been written", self.unknown);
        }
        Err(error).context(text)
    }
}
