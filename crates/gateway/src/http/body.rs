//! Bodies of requests, read with bounds on each and on all of them.
//!
//! Holds: a body larger than any legal request is refused before it is read if it says so, and as
//! soon as it is too large if not; what is in memory has a bound in all, and only bytes that have
//! arrived count, so that requests which announce much and send nothing take nothing from others; a
//! body that stops coming is given up.

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::CONTENT_LENGTH;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use thalweg_kinesis::{ApiError, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The largest legal request is 10 MiB of records in base64 and 500 keys of 256 characters.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of bodies in memory at the same time.
const BODIES_BYTES_MAX: usize = 512 * 1024 * 1024;
/// How long a body may wait for that.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the next piece of a body may take.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Room for the bodies of requests under way. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BodyRoom(Arc<Semaphore>);

/// A body in memory. Its room is free again when this is dropped.
pub(crate) struct RoomyBody {
    /// The bytes.
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl BodyRoom {
    pub(crate) fn new() -> BodyRoom {
        BodyRoom(Arc::new(Semaphore::new(BODIES_BYTES_MAX)))
    }

    /// Reads the body of a request with these headers.
    pub(crate) async fn read(&self, mut body: Body, headers: &HeaderMap) -> Result<RoomyBody, ApiError> {
        if declared_length(headers).is_some_and(|length| length > BODY_BYTES_MAX) {
            return Err(too_large());
        }
        let mut pieces = Pieces::default();
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(piece) = next_piece(&mut body).await? {
            if pieces.bytes() + piece.len() > BODY_BYTES_MAX {
                return Err(too_large());
            }
            let more = self.reserve(piece.len()).await?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            pieces.push(piece);
        }
        Ok(RoomyBody { bytes: pieces.joined(), _room: room })
    }

    async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let bytes = u32::try_from(bytes).expect("a piece is no larger than a body may be");
        match timeout(ROOM_TIMEOUT, self.0.clone().acquire_many_owned(bytes)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(ApiError::new(
                ErrorKind::ServiceUnavailable,
                "this node has too many requests under way; try again",
            )),
        }
    }
}

/// What has arrived of a body. A body in one piece is not copied; one in many small pieces takes no
/// more memory than its bytes.
#[derive(Default)]
struct Pieces {
    first: Bytes,
    joined: BytesMut,
}

impl Pieces {
    fn bytes(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn push(&mut self, piece: Bytes) {
        if self.bytes() == 0 {
            self.first = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    fn joined(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    match timeout(IDLE_MAX, body.frame()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
        Ok(Some(Err(error))) => {
            Err(ApiError::new(ErrorKind::Serialization, format!("the body did not arrive whole: {error}")))
        }
        Err(_) => {
            let text =
                format!("nothing of the body arrived for {} seconds; send the request again", IDLE_MAX.as_secs());
            Err(ApiError::new(ErrorKind::RequestTimeout, text))
        }
    }
}

fn too_large() -> ApiError {
    let text =
        format!("the request body is larger than {BODY_BYTES_MAX} bytes; put fewer or smaller records in a request");
    ApiError::new(ErrorKind::RequestEntityTooLarge, text)
}
