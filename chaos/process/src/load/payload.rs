//! Records that are unique and say whose they are. Pure.

use rand::Rng;
use rand::rngs::StdRng;
use thalweg_client::Record;

/// What makes a record unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The writer.
    pub(super) client: u32,
    /// Which of its keys.
    pub(super) key: u32,
    /// Rises with each record of the key.
    pub(super) serial: u64,
}

impl Mark {
    /// The record, about `bytes` long, filled at random: a payload that is cut, or mixed with
    /// another's, has another hash.
    pub(super) fn record(self, bytes: usize, random: &mut StdRng) -> Record {
        let mut data = format!("{}:{}:{}:", self.client, self.key, self.serial).into_bytes();
        let begun = data.len();
        data.resize(bytes.max(begun), 0);
        random.fill(&mut data[begun..]);
        Record::new(format!("writer-{}-key-{}", self.client, self.key), data)
    }
}

/// A size between two bounds, small ones more often: each doubling is as likely as the next.
pub(super) fn size(bounds: (usize, usize), random: &mut StdRng) -> usize {
    let (low, high) = ((bounds.0.max(1) as f64).ln(), (bounds.1.max(bounds.0).max(1) as f64).ln());
    (low + (high - low) * random.random::<f64>()).exp().round() as usize
}
