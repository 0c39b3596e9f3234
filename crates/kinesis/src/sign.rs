//! SigV4: is this request from who it says it is from, unchanged and recent.
//!
//! ```text
//!   RequestParts ──► Authorization::parse ──► access key ──► (gateway looks its secret up)
//!                          │ None: unsigned                        │
//!                          ▼                                       ▼
//!                 Authorization::verify(parts, body hash, Expected { secret, region, now })
//! ```
//! Holds: checks run in the service's order, and each refusal has its class and words; a request
//! passes only if every byte the signature covers is as it was signed, and the signature covers
//! the host, all `x-amz-` headers and the body; signatures are compared in constant time.
//!
//! There is no cache of signing keys: deriving one takes four HMACs of a few dozen bytes, half a
//! microsecond of the two that the whole check takes. A shared map and its lock cost as much.

mod authorization;
mod canonical;
pub(crate) mod date;
mod signer;
mod verify;

use std::fmt;

use sha2::{Digest, Sha256};

pub use authorization::{Authorization, missing_token, unknown_key};
pub use signer::Signer;
pub use verify::Expected;

/// The only algorithm there is.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The last element of every credential scope.
const TERMINATOR: &str = "aws4_request";
/// The service that a credential must be scoped to.
pub const SERVICE: &str = "kinesis";

/// What of a request is signed, besides its body. Everything is as it came over the wire.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// `POST`, in capitals.
    pub method: &'a str,
    /// The path without the query, still percent-encoded.
    pub path: &'a str,
    /// What follows the `?`, still percent-encoded; empty if there is none.
    pub query: &'a str,
    /// All headers in order, repeated ones repeated. Over HTTP/2 a request may carry
    /// `:authority` and no `host`: then the caller adds it here as `host`.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> RequestParts<'a> {
    /// All values of a header.
    fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The first value of a header, if it is not empty.
    fn header(&self, name: &str) -> Option<String> {
        let value = String::from_utf8_lossy(self.values(name).next()?).trim().to_owned();
        (!value.is_empty()).then_some(value)
    }
}

/// The SHA-256 of a body. A type of its own, so that a body is hashed once, and where it suits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BodyHash([u8; 32]);

impl BodyHash {
    /// Hashes a body.
    pub fn of(body: &[u8]) -> BodyHash {
        BodyHash(Sha256::digest(body).into())
    }

    fn hex(self) -> String {
        base16ct::lower::encode_string(&self.0)
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}
