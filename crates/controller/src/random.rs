//! The crate's only randomness: seeded by whoever starts it, so that a run can be repeated.

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A random source shared by the node's tasks.
pub(crate) struct Random(Mutex<StdRng>);

impl Random {
    pub(crate) fn seeded(seed: [u8; 32]) -> Random {
        Random(Mutex::new(StdRng::from_seed(seed)))
    }

    /// 128 bits in hexadecimal: the id of a new cluster.
    pub(crate) fn cluster_id(&self) -> String {
        format!("{:032x}", self.0.lock().random::<u128>())
    }

    /// 256 bits in hexadecimal: the secret that authenticates a cluster's tokens.
    pub(crate) fn secret(&self) -> String {
        let (high, low) = { self.0.lock().random::<(u128, u128)>() };
        format!("{high:032x}{low:032x}")
    }

    /// A seed for one decision of placement.
    pub(crate) fn seed(&self) -> u64 {
        self.0.lock().random()
    }
}
