//! Shard iterators and page tokens: stateless, so that any node honours them after any failover.
//!
//! ```text
//!   base64url( version 1 B │ kind 1 B │ fields … │ HMAC-SHA256 of all before it, cut to 16 B )
//! ```
//! Holds: what opens was sealed with the cluster's secret, unchanged, as this kind; a text that
//! differs in any bit from a sealed one does not open. Tokens are authentic, not secret. They
//! name the stream by id, so a stream that is deleted and created again refuses old ones.

use std::fmt;

use base64_simd::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thalweg_types::{ShardId, StreamId, UnixMillis};

use crate::error::{ApiError, ErrorKind};
use crate::sign::date;

/// How long iterators and page tokens live.
pub const TOKEN_LIFE_MS: u64 = 300_000;

const VERSION: u8 = 1;
const KIND_ITERATOR: u8 = 1;
const KIND_PAGE: u8 = 2;
const MAC_BYTES: usize = 16;

/// The key of all tokens of a cluster.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl TokenKey {
    /// The key of the cluster with this secret. The secret itself serves other ends too, so the
    /// key is derived from it.
    pub fn new(cluster_secret: &str) -> TokenKey {
        let keyed = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        let derived = keyed(cluster_secret.as_bytes()).chain_update(b"thalweg tokens 1").finalize();
        TokenKey(keyed(&derived.into_bytes()))
    }

    fn seal(&self, mut bytes: Vec<u8>) -> String {
        let mac = self.0.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode_to_string(bytes)
    }

    fn open(&self, kind: u8, text: &str) -> Result<Vec<u8>, BadToken> {
        let mut bytes = URL_SAFE_NO_PAD.decode_to_vec(text).map_err(|_| BadToken)?;
        let split = bytes.len().checked_sub(MAC_BYTES).ok_or(BadToken)?;
        let mac = self.0.clone().chain_update(&bytes[..split]);
        mac.verify_truncated_left(&bytes[split..]).map_err(|_| BadToken)?;
        bytes.truncate(split);
        if bytes.get(..2) != Some(&[VERSION, kind]) {
            return Err(BadToken);
        }
        bytes.drain(..2);
        Ok(bytes)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

/// A text that this cluster did not seal, or not for this use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this cluster, or not for this call")]
pub struct BadToken;

impl BadToken {
    /// How GetRecords says it.
    pub fn as_iterator(self) -> ApiError {
        ApiError::new(ErrorKind::InvalidArgument, "Invalid ShardIterator.")
    }

    /// How the listing operations say it.
    pub fn as_page(self) -> ApiError {
        ApiError::new(ErrorKind::InvalidArgument, "Invalid NextToken.")
    }
}

/// Where an iterator stands in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenPosition {
    /// At the oldest record there is, whenever that is asked.
    TrimHorizon,
    /// At this place of the log or, if nothing is there, at the next record after it.
    AtCounter {
        /// The index in the shard's log.
        index: u64,
        /// The record within the batch there.
        record: u32,
    },
    /// At the first record that arrived at this time or later.
    AtTime(UnixMillis),
}

/// A shard iterator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardIteratorToken {
    /// The stream, this incarnation of it.
    pub stream: StreamId,
    /// The shard.
    pub shard: ShardId,
    /// Where to read on.
    pub position: TokenPosition,
    /// When it was made.
    pub issued: UnixMillis,
}

impl ShardIteratorToken {
    /// The text that clients get: under 100 characters, safe in URLs and shells.
    pub fn seal(&self, key: &TokenKey) -> String {
        let mut bytes = vec![VERSION, KIND_ITERATOR];
        bytes.extend_from_slice(&self.stream.0.to_be_bytes());
        bytes.extend_from_slice(&self.shard.0.to_be_bytes());
        bytes.extend_from_slice(&self.issued.0.to_be_bytes());
        match self.position {
            TokenPosition::TrimHorizon => bytes.push(0),
            TokenPosition::AtCounter { index, record } => {
                bytes.push(1);
                bytes.extend_from_slice(&index.to_be_bytes());
                bytes.extend_from_slice(&record.to_be_bytes());
            }
            TokenPosition::AtTime(time) => {
                bytes.push(2);
                bytes.extend_from_slice(&time.0.to_be_bytes());
            }
        }
        key.seal(bytes)
    }

    /// Reads a text. Its age is not checked: see [`ShardIteratorToken::check_age`].
    pub fn open(key: &TokenKey, text: &str) -> Result<ShardIteratorToken, BadToken> {
        let bytes = key.open(KIND_ITERATOR, text)?;
        let mut fields = Fields(&bytes);
        let stream = StreamId(fields.u64()?);
        let shard = ShardId(fields.u32()?);
        let issued = UnixMillis(fields.u64()?);
        let position = match fields.u8()? {
            0 => TokenPosition::TrimHorizon,
            1 => TokenPosition::AtCounter { index: fields.u64()?, record: fields.u32()? },
            2 => TokenPosition::AtTime(UnixMillis(fields.u64()?)),
            _ => return Err(BadToken),
        };
        fields.end()?;
        Ok(ShardIteratorToken { stream, shard, position, issued })
    }

    /// Whether it is too old to be used.
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        is_expired(self.issued, now)
    }

    /// Refuses it if it is too old.
    pub fn check_age(&self, now: UnixMillis) -> Result<(), ApiError> {
        let message = || format!("Iterator expired. The iterator was created at time {}", too_old(self.issued, now));
        if self.is_expired(now) { Err(ApiError::new(ErrorKind::ExpiredIterator, message())) } else { Ok(()) }
    }
}

/// Which operation a page token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Listing {
    /// ListStreams.
    Streams = 1,
    /// ListShards.
    Shards = 2,
    /// ListStreamConsumers.
    StreamConsumers = 3,
    /// ListQueues.
    Queues = 4,
    /// ListChannels.
    Channels = 5,
}

/// A token for the next page of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageToken {
    /// The operation it continues.
    pub listing: Listing,
    /// The stream, where the operation has one.
    pub stream: Option<StreamId>,
    /// The last name or id that has been listed.
    pub after: String,
    /// What else the operation must know again, such as its filter; its own format.
    pub detail: Vec<u8>,
    /// When it was made.
    pub issued: UnixMillis,
}

impl PageToken {
    /// The text that clients get.
    pub fn seal(&self, key: &TokenKey) -> String {
        let mut bytes = vec![VERSION, KIND_PAGE, self.listing as u8];
        bytes.extend_from_slice(&self.issued.0.to_be_bytes());
        bytes.push(u8::from(self.stream.is_some()));
        bytes.extend(self.stream.iter().flat_map(|stream| stream.0.to_be_bytes()));
        bytes.extend_from_slice(&(self.after.len() as u64).to_be_bytes());
        bytes.extend_from_slice(self.after.as_bytes());
        bytes.extend_from_slice(&self.detail);
        key.seal(bytes)
    }

    /// Reads a text that must belong to this operation. Its age is not checked: see
    /// [`PageToken::check_age`].
    pub fn open(key: &TokenKey, listing: Listing, text: &str) -> Result<PageToken, BadToken> {
        let bytes = key.open(KIND_PAGE, text)?;
        let mut fields = Fields(&bytes);
        if fields.u8()? != listing as u8 {
            return Err(BadToken);
        }
        let issued = UnixMillis(fields.u64()?);
        let stream = match fields.u8()? {
            0 => None,
            1 => Some(StreamId(fields.u64()?)),
            _ => return Err(BadToken),
        };
        let length = usize::try_from(fields.u64()?).map_err(|_| BadToken)?;
        let after = String::from_utf8(fields.take(length)?.to_vec()).map_err(|_| BadToken)?;
        Ok(PageToken { listing, stream, after, detail: fields.0.to_vec(), issued })
    }

    /// Whether it is too old to be used.
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        is_expired(self.issued, now)
    }

    /// Refuses it if it is too old.
    pub fn check_age(&self, now: UnixMillis) -> Result<(), ApiError> {
        let message = || format!("NextToken expired. The token was created at time {}", too_old(self.issued, now));
        if self.is_expired(now) { Err(ApiError::new(ErrorKind::ExpiredNextToken, message())) } else { Ok(()) }
    }
}

// A token from a node whose clock is ahead is young, not old.
fn is_expired(issued: UnixMillis, now: UnixMillis) -> bool {
    now.0.saturating_sub(issued.0) > TOKEN_LIFE_MS
}

fn too_old(issued: UnixMillis, now: UnixMillis) -> String {
    format!(
        "{} while right now it is {} which is further in the future than the tolerated delay of {TOKEN_LIFE_MS} milliseconds.",
        date::java(issued),
        date::java(now)
    )
}

/// The fields of an opened token, read from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], BadToken> {
        let (field, rest) = self.0.split_at_checked(length).ok_or(BadToken)?;
        self.0 = rest;
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadToken> {
        self.take(N)?.try_into().map_err(|_| BadToken)
    }

    fn u8(&mut self) -> Result<u8, BadToken> {
        self.array().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, BadToken> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, BadToken> {
        self.array().map(u64::from_be_bytes)
    }

    fn end(self) -> Result<(), BadToken> {
        if self.0.is_empty() { Ok(()) } else { Err(BadToken) }
    }
}
