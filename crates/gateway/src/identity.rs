//! Ids that answers carry, from injected randomness.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

/// Makes request ids. They are unique in practice and mean nothing.
pub(crate) struct RequestIds {
    random: Mutex<SmallRng>,
}

impl RequestIds {
    pub(crate) fn seeded(seed: u64) -> RequestIds {
        RequestIds { random: Mutex::new(SmallRng::seed_from_u64(seed)) }
    }

    /// `x-amzn-RequestId`: a version 4 UUID.
    pub(crate) fn request_id(&self) -> String {
        let bits: u128 = self.random.lock().random();
        let bits = bits & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
        let hex = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// `x-amz-id-2`: 72 bytes in base64.
    pub(crate) fn extended_id(&self) -> String {
        let mut bytes = [0; 72];
        self.random.lock().fill_bytes(&mut bytes);
        STANDARD.encode(bytes)
    }

    /// A place for a record that the stream places itself.
    pub(crate) fn hash_key(&self) -> u128 {
        self.random.lock().random()
    }

    /// A number for whatever has to differ from others of its kind.
    pub(crate) fn number(&self) -> u64 {
        self.random.lock().random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_version_4_uuids() {
        let ids = RequestIds::seeded(1);
        let id = ids.request_id();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, ids.request_id());
    }
}
