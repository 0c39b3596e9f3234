//! What a shard may take and give in a second, counted where it is led. Pure; time is an argument.
//!
//! Streams may have limits, which fronts keep to and the native API does not. Every front charges the
//! shard's leader before it writes or reads, so that the limits hold for the cluster, however many
//! nodes a program talks to. What a page has cost is known only afterwards: it is charged then, into
//! debt if need be, and paid off before the next one.
//!
//! Holds: nothing is kept for a shard without limits. Limits that change count from full.

use std::time::Instant;

use thalweg_types::Bucket;

/// Large records may come in bursts of up to 10 MiB, whatever the rate.
const WRITE_BURST_BYTES: f64 = 10.0 * 1024.0 * 1024.0;

/// Units a second; infinite where there is no limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rates {
    pub(crate) write_bytes: f64,
    pub(crate) write_records: f64,
    pub(crate) read_bytes: f64,
    pub(crate) read_calls: f64,
}

/// What a front wants to do, or has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    /// Bytes of each record to be written.
    pub(crate) records: Vec<u32>,
    /// Whether a page is to be read.
    pub(crate) reads: bool,
    /// Bytes that were read.
    pub(crate) bytes_read: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charged {
    /// Places of the records that have no room.
    pub(crate) refused_records: Vec<u32>,
    pub(crate) read_refused: bool,
}

/// One shard's recent use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// The limits that the buckets were made for.
    rates: Rates,
    write_bytes: Bucket,
    write_records: Bucket,
    read_bytes: Bucket,
    read_calls: Bucket,
}

impl Allowance {
    fn unused(rates: &Rates, now: Instant) -> Allowance {
        Allowance {
            rates: *rates,
            write_bytes: Bucket::full(WRITE_BURST_BYTES.max(rates.write_bytes), now),
            write_records: Bucket::full(rates.write_records, now),
            read_bytes: Bucket::full(rates.read_bytes, now),
            read_calls: Bucket::full(rates.read_calls, now),
        }
    }

    /// Counts a charge at a shard, whose recent use is kept in `of`.
    pub(crate) fn charge(of: &mut Option<Box<Allowance>>, rates: &Rates, charge: &Charge, now: Instant) -> Charged {
        let known = of.get_or_insert_with(|| Box::new(Allowance::unused(rates, now)));
        if known.rates != *rates {
            **known = Allowance::unused(rates, now);
        }
        known.read_bytes.take(charge.bytes_read as f64);
        let refused = (0u32..).zip(&charge.records).filter(|(_, bytes)| !known.takes(f64::from(**bytes), now));
        Charged {
            refused_records: refused.map(|(place, _)| place).collect(),
            read_refused: charge.reads && !known.gives(now),
        }
    }

    fn takes(&mut self, bytes: f64, now: Instant) -> bool {
        let fits = self.write_records.has(1.0, self.rates.write_records, now)
            && self.write_bytes.has(bytes, self.rates.write_bytes, now);
        if fits {
            self.write_records.take(1.0);
            self.write_bytes.take(bytes);
        }
        fits
    }

    fn gives(&mut self, now: Instant) -> bool {
        let fits = self.read_calls.has(1.0, self.rates.read_calls, now)
            && self.read_bytes.has(0.0, self.rates.read_bytes, now);
        if fits {
            self.read_calls.take(1.0);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NONE: Rates = Rates {
        write_bytes: f64::INFINITY,
        write_records: f64::INFINITY,
        read_bytes: f64::INFINITY,
        read_calls: f64::INFINITY,
    };

    fn reads(of: &mut Option<Box<Allowance>>, rates: &Rates, now: Instant) -> usize {
        let read = Charge { reads: true, ..Charge::default() };
        (0..100).filter(|_| !Allowance::charge(of, rates, &read, now).read_refused).count()
    }

    #[test]
    fn limits_that_change_hold_at_once() {
        let (mut shard, now) = (None, Instant::now());
        let few = Rates { read_calls: 5.0, ..NONE };
        assert_eq!(reads(&mut shard, &few, now), 5);
        assert_eq!(reads(&mut shard, &Rates { read_calls: 60.0, ..NONE }, now), 60);
        assert_eq!(reads(&mut shard, &Rates { write_records: 1.0, ..NONE }, now), 100);
        assert_eq!(reads(&mut shard, &few, now), 5, "what was without limit before has one now");
        assert_eq!(reads(&mut shard, &few, now + Duration::from_secs(1)), 5);
    }

    #[test]
    fn records_without_room_are_told_by_their_places_and_cost_nothing() {
        let (mut shard, now) = (None, Instant::now());
        let rates = Rates { write_bytes: 1_000.0, write_records: 3.0, ..NONE };
        let large = WRITE_BURST_BYTES as u32;
        let charge = Charge { records: vec![large - 10, 20, 5, 5, 1], ..Charge::default() };
        let charged = Allowance::charge(&mut shard, &rates, &charge, now);
        assert_eq!(charged.refused_records, [1, 4], "the second is too large, the fifth one too many");
        let later = now + Duration::from_secs(1);
        let charge = Charge { records: vec![1_000], ..Charge::default() };
        assert_eq!(Allowance::charge(&mut shard, &rates, &charge, later).refused_records, [] as [u32; 0]);
    }

    #[test]
    fn a_page_is_paid_off_before_the_next() {
        let (mut shard, now) = (None, Instant::now());
        let rates = Rates { read_bytes: 2.0, ..NONE };
        let after = |shard: &mut Option<Box<Allowance>>, ms| {
            let read = Charge { reads: true, ..Charge::default() };
            Allowance::charge(shard, &rates, &read, now + Duration::from_millis(ms)).read_refused
        };
        assert!(!after(&mut shard, 0));
        Allowance::charge(&mut shard, &rates, &Charge { bytes_read: 10, ..Charge::default() }, now);
        assert!(after(&mut shard, 3_900));
        assert!(!after(&mut shard, 4_100));
    }
}
