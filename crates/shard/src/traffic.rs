//! How much is written to a shard in a second, as its leader measures it.
//!
//! ```text
//!   appends ──► Written (two counters) ──► Meter, every few seconds ──► a rate, when it has changed
//! ```
//! A moving average whose weights fall exponentially with age. Holds: the first rates after a start
//! are right on average, not low, because the weights that are missing are divided out. A rate
//! that stays about the same is reported once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Rates this close are the same, whatever their size.
const NOTICED: WriteRate = WriteRate { bytes_per_s: 4 * 1024, records_per_s: 4 };
/// Nor does a change by less than this part of the rate count.
const NOTICED_PART: u64 = 16;

/// Bytes and records written in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteRate {
    /// Bytes of record batches.
    pub bytes_per_s: u64,
    /// Records.
    pub records_per_s: u64,
}

impl WriteRate {
    /// Whether those who were told `before` should hear of this.
    fn differs_from(self, before: WriteRate) -> bool {
        let differs = |now: u64, before: u64, noticed: u64| now.abs_diff(before) > noticed.max(before / NOTICED_PART);
        differs(self.bytes_per_s, before.bytes_per_s, NOTICED.bytes_per_s)
            || differs(self.records_per_s, before.records_per_s, NOTICED.records_per_s)
    }
}

/// Everything acknowledged by one replica while it led.
#[derive(Debug, Default)]
pub(crate) struct Written {
    bytes: AtomicU64,
    records: AtomicU64,
}

impl Written {
    pub(crate) fn add(&self, bytes: u64, records: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { bytes: self.bytes.load(Ordering::Relaxed), records: self.records.load(Ordering::Relaxed) }
    }
}

/// The counters at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    bytes: u64,
    records: u64,
}

/// Makes rates of counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    /// The counts at the last sample; nothing before the first.
    last: Option<Counts>,
    bytes: f64,
    records: f64,
    /// Sum of the weights of all samples; 1 after a long time.
    weight: f64,
    reported: Option<WriteRate>,
}

impl Meter {
    /// Takes the counts `took` after the last sample; true when the rate to report has changed.
    pub(crate) fn sample(&mut self, counts: Counts, took: Duration, window: Duration) -> bool {
        let Some(last) = self.last.replace(counts) else { return false };
        let secs = took.as_secs_f64().max(1e-3);
        let share = 1.0 - (-secs / window.as_secs_f64().max(1e-3)).exp();
        let blend = |average: &mut f64, sample: f64| *average += share * (sample - *average);
        blend(&mut self.bytes, counts.bytes.saturating_sub(last.bytes) as f64 / secs);
        blend(&mut self.records, counts.records.saturating_sub(last.records) as f64 / secs);
        blend(&mut self.weight, 1.0);
        let now = WriteRate {
            bytes_per_s: (self.bytes / self.weight) as u64,
            records_per_s: (self.records / self.weight) as u64,
        };
        let news = self.reported.is_none_or(|before| now.differs_from(before));
        if news {
            self.reported = Some(now);
        }
        news
    }

    /// The rate as it was last worth reporting; nothing before it was measured.
    pub(crate) fn reported(&self) -> Option<WriteRate> {
        self.reported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const WINDOW: Duration = Duration::from_secs(60);

    /// Samples every second; how often the rate was reported.
    fn write(meter: &mut Meter, written: &Written, bytes_per_s: u64, secs: u64) -> usize {
        let second = |_: &u64| {
            written.add(bytes_per_s, bytes_per_s / 1_024);
            meter.sample(written.counts(), SECOND, WINDOW)
        };
        (0..secs).filter(second).count()
    }

    #[test]
    fn a_steady_rate_is_right_from_the_first_sample_and_told_once() {
        let (mut meter, written) = (Meter::default(), Written::default());
        assert!(!meter.sample(written.counts(), SECOND, WINDOW), "there is nothing to compare with");
        assert_eq!(meter.reported(), None);
        assert_eq!(write(&mut meter, &written, 512 * 1024, 600), 1);
        assert_eq!(meter.reported(), Some(WriteRate { bytes_per_s: 512 * 1024, records_per_s: 512 }));
    }

    #[test]
    fn what_was_written_before_the_replica_led_does_not_count() {
        let (mut meter, written) = (Meter::default(), Written::default());
        written.add(1 << 40, 9);
        meter.sample(written.counts(), SECOND, WINDOW);
        meter.sample(written.counts(), SECOND, WINDOW);
        assert_eq!(meter.reported(), Some(WriteRate::default()));
    }

    #[test]
    fn a_burst_is_averaged_over_the_window_and_forgotten() {
        let (mut meter, written) = (Meter::default(), Written::default());
        write(&mut meter, &written, 0, 600);
        write(&mut meter, &written, 60 << 20, 1);
        let burst = meter.reported().unwrap().bytes_per_s;
        assert!((900_000..1_200_000).contains(&burst), "a second of 60 MiB is {burst} B/s over a minute");
        let told = write(&mut meter, &written, 0, 1_200);
        assert!(told < 120, "{told} reports while it fades");
        assert!(meter.reported().unwrap().bytes_per_s <= NOTICED.bytes_per_s);
    }
}
