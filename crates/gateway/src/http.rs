//! HTTP as the service speaks it: what is checked before the body is understood, and what
//! every response carries.
//!
//! Holds: every response has the request ids; a body larger than any legal request is refused
//! before it is read; bodies in memory have a bound in all.

mod cors;
mod head;
mod respond;

use ::http::HeaderMap;
use ::http::header::CONTENT_LENGTH;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use thalweg_kinesis::{ApiError, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use cors::preflight;
pub(crate) use head::Head;
pub(crate) use respond::{Stamp, respond};

/// The largest legal request is 10 MiB of records in base64 and 500 keys of 256 characters.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of bodies in memory at the same time.
const BODIES_BYTES_MAX: usize = 512 * 1024 * 1024;
/// How long a request may wait for that.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);

/// Room for the bodies of requests under way. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BodyRoom(Arc<Semaphore>);

impl BodyRoom {
    pub(crate) fn new() -> BodyRoom {
        BodyRoom(Arc::new(Semaphore::new(BODIES_BYTES_MAX)))
    }

    /// Waits for room for a request with these headers. The room is free again when the permit is
    /// dropped.
    pub(crate) async fn reserve(&self, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, ApiError> {
        let bytes = match declared_length(headers) {
            Some(length) if length > BODY_BYTES_MAX => return Err(too_large()),
            Some(length) => length,
            None => BODY_BYTES_MAX,
        };
        let room = self.0.clone().acquire_many_owned(bytes as u32);
        match tokio::time::timeout(ROOM_TIMEOUT, room).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(ApiError::new(
                ErrorKind::ServiceUnavailable,
                "this node has too many requests under way; try again",
            )),
        }
    }
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a request's body.
pub(crate) async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Err(error) => Err(ApiError::new(ErrorKind::Serialization, format!("the body did not arrive whole: {error}"))),
    }
}

fn too_large() -> ApiError {
    let text =
        format!("the request body is larger than {BODY_BYTES_MAX} bytes; put fewer or smaller records in a request");
    ApiError::new(ErrorKind::RequestEntityTooLarge, text)
}
