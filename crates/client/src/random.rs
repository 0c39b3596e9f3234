//! The client's one source of randomness: producer ids and jitter.

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thalweg_types::ProducerId;

/// Random numbers, repeatable when seeded.
pub(crate) struct Random(Mutex<StdRng>);

impl Random {
    pub(crate) fn new(seed: Option<u64>) -> Random {
        Random(Mutex::new(seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64)))
    }

    /// A seed for a generator of its own.
    pub(crate) fn seed(&self) -> u64 {
        self.0.lock().random()
    }

    /// An id that no other producer has.
    pub(crate) fn producer_id(&self) -> ProducerId {
        ProducerId(self.0.lock().random())
    }
}
