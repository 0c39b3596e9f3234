//! How much is written in a second.

use std::fmt;

use serde::{Deserialize, Serialize};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Bytes and records written in a second, averaged over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteRate {
    /// Bytes of record batches, as they are stored.
    pub bytes_per_s: u64,
    /// Records.
    pub records_per_s: u64,
}

impl WriteRate {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: WriteRate) -> WriteRate {
        WriteRate {
            bytes_per_s: self.bytes_per_s.saturating_add(other.bytes_per_s),
            records_per_s: self.records_per_s.saturating_add(other.records_per_s),
        }
    }

    /// The larger in each respect.
    #[must_use]
    pub fn max(self, other: WriteRate) -> WriteRate {
        WriteRate {
            bytes_per_s: self.bytes_per_s.max(other.bytes_per_s),
            records_per_s: self.records_per_s.max(other.records_per_s),
        }
    }

    /// The part of `capacity` that is used, in thousandths: by bytes or by records, whichever is more.
    pub fn permille_of(self, capacity: WriteRate) -> u64 {
        let part = |used: u64, of: u64| used.saturating_mul(1000) / of.max(1);
        let bytes = part(self.bytes_per_s, capacity.bytes_per_s);
        bytes.max(part(self.records_per_s, capacity.records_per_s))
    }
}

impl fmt::Display for WriteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes_per_s {
            0..KIB => write!(f, "{} B/s", self.bytes_per_s)?,
            KIB..MIB => write!(f, "{} KiB/s", self.bytes_per_s / KIB)?,
            _ => write!(f, "{:.1} MiB/s", self.bytes_per_s as f64 / MIB as f64)?,
        }
        write!(f, ", {} records/s", self.records_per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcer_of_bytes_and_records_counts() {
        let capacity = WriteRate { bytes_per_s: 1024, records_per_s: 100 };
        let few_large = WriteRate { bytes_per_s: 512, records_per_s: 1 };
        let many_small = WriteRate { bytes_per_s: 9, records_per_s: 70 };
        assert_eq!((few_large.permille_of(capacity), many_small.permille_of(capacity)), (500, 700));
        let huge = WriteRate { bytes_per_s: u64::MAX, records_per_s: 0 };
        assert!(huge.plus(huge).permille_of(WriteRate::default()) > 1000, "no overflow, no division by zero");
    }

    #[test]
    fn rates_read_as_people_say_them() {
        let text = |bytes_per_s| WriteRate { bytes_per_s, records_per_s: 40 }.to_string();
        assert_eq!(text(812 * KIB), "812 KiB/s, 40 records/s");
        assert_eq!((text(17), text(3 * MIB / 2)), ("17 B/s, 40 records/s".into(), "1.5 MiB/s, 40 records/s".into()));
    }
}
