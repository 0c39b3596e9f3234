//! The crate's only randomness: seeded by whoever starts it, so that a run can be repeated.

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Capital letters and digits without those that are easily confused.
const ID_ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

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

    /// The id of a new access key: 20 characters, of which 16 are drawn. No two look alike.
    pub(crate) fn access_key_id(&self) -> String {
        format!("TWAK{}", self.text(ID_ALPHABET, 16))
    }

    /// The secret of a new access key: 40 characters, 238 bits.
    pub(crate) fn access_key_secret(&self) -> String {
        self.text(SECRET_ALPHABET, 40)
    }

    fn text(&self, alphabet: &[u8], chars: usize) -> String {
        let mut source = self.0.lock();
        (0..chars).map(|_| char::from(alphabet[source.random_range(0..alphabet.len())])).collect()
    }

    /// A seed for one decision of placement.
    pub(crate) fn seed(&self) -> u64 {
        self.0.lock().random()
    }
}
