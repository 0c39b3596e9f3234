//! What came of the requests of one measurement.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

/// Sequence numbers told, at most.
const NUMBERS_MAX: usize = 20_000;
/// Sequence numbers kept of one request, at most.
const NUMBERS_A_REQUEST: usize = 16;

/// Counted so far.
pub(crate) struct Counts {
    from: Instant,
    pub(crate) until: Instant,
    records: u64,
    bytes: u64,
    total_bytes: u64,
    failed: u64,
    first_error: Option<String>,
    latency_us: BTreeMap<u64, u64>,
    numbers: Vec<String>,
    requests: usize,
}

impl Counts {
    pub(crate) fn new(from: Instant, until: Instant) -> Counts {
        let (latency_us, numbers) = (BTreeMap::new(), Vec::new());
        let (records, bytes, total_bytes, failed) = (0, 0, 0, 0);
        Counts { from, until, records, bytes, total_bytes, failed, first_error: None, latency_us, numbers, requests: 0 }
    }

    /// A request that began at `begun` has its answer.
    pub(crate) fn note(&mut self, begun: Instant, bytes: u64, outcome: Result<Vec<String>, String>) {
        let now = Instant::now();
        match outcome {
            Ok(numbers) => {
                self.total_bytes += bytes;
                if (self.from..self.until).contains(&now) {
                    self.records += numbers.len() as u64;
                    self.bytes += bytes;
                }
                if (self.from..self.until).contains(&begun) {
                    *self.latency_us.entry(rounded((now - begun).as_micros() as u64)).or_default() += 1;
                }
                self.keep(numbers);
            }
            Err(error) => {
                self.failed += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }

    /// Keeps some of the numbers, from another place in each request; later ones replace earlier ones.
    fn keep(&mut self, numbers: Vec<String>) {
        let step = numbers.len().div_ceil(NUMBERS_A_REQUEST);
        for number in numbers.into_iter().skip(self.requests % step).step_by(step) {
            match self.numbers.len() {
                NUMBERS_MAX => self.numbers[fastrand::usize(..NUMBERS_MAX)] = number,
                _ => self.numbers.push(number),
            }
        }
        self.requests += 1;
    }

    /// The line about it.
    pub(crate) fn tell(&self, retried: u64) -> Value {
        let latency_us: Vec<_> = self.latency_us.iter().collect();
        json!({
            "records": self.records,
            "bytes": self.bytes,
            "total_bytes": self.total_bytes,
            "failed": self.failed,
            "retried": retried,
            "first_error": self.first_error,
            "latency_us": latency_us,
            "sequence_numbers": self.numbers,
        })
    }
}

/// Down to three digits.
fn rounded(us: u64) -> u64 {
    let mut unit = 1;
    while us / unit >= 1_000 {
        unit *= 10;
    }
    us / unit * unit
}
