//! HTTP as the service speaks it: what is checked before the body is understood, and what
//! every response carries.
//!
//! Holds: every response has the request ids; a body larger than any legal request is refused
//! before it is read.

mod cors;
mod head;
mod respond;

use ::http::HeaderMap;
use ::http::header::CONTENT_LENGTH;
use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use thalweg_kinesis::{ApiError, ErrorKind};

pub(crate) use cors::preflight;
pub(crate) use head::Head;
pub(crate) use respond::{Stamp, respond};

/// The largest legal request is 10 MiB of records in base64 and 500 keys of 256 characters.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Reads a request's body.
pub(crate) async fn read_body(body: Body, headers: &HeaderMap) -> Result<Bytes, ApiError> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
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
