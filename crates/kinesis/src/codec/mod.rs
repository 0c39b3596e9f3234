//! Bodies to values and back, in the two formats of the service.
//!
//! A body is read along the shape of its operation in one pass: what the shape does not name is
//! skipped, what has a wrong type is refused in the service's words. The formats differ in two
//! leaves: a time is seconds with a fraction in JSON and milliseconds in CBOR, a blob is base64
//! or bytes.
//!
//! Holds: memory taken is in proportion to the body, whatever lengths it declares; a body that
//! is not well-formed gets a bare `SerializationException`, even if a wrong type comes first in
//! it, because the service parses before it looks at types.
//!
//! Reading: [`json_read`], [`cbor_read`], with the rules they share in [`leaf`]. Writing:
//! [`json_write`], [`cbor_write`].

mod cbor_read;
mod cbor_write;
mod json_read;
mod json_write;
mod leaf;

use bytes::Bytes;

use crate::model::StructShape;
use crate::{ApiError, ErrorKind, Struct};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/x-amz-json-1.1`.
    Json,
    /// `application/x-amz-cbor-1.1`, which the Java SDKs speak by default.
    Cbor,
}

impl Format {
    /// Both.
    pub const ALL: [Format; 2] = [Format::Json, Format::Cbor];

    /// The format that a `Content-Type` names, parameters aside. `application/json` is not one.
    pub fn from_content_type(content_type: &str) -> Option<Format> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        Format::ALL.into_iter().find(|format| format.content_type().eq_ignore_ascii_case(essence))
    }

    /// The `Content-Type` of a body in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/x-amz-json-1.1",
            Format::Cbor => "application/x-amz-cbor-1.1",
        }
    }
}

/// Why a body cannot be read.
enum Fault {
    /// It is not JSON, or not CBOR.
    Malformed,
    /// A member has a wrong type; the text says which.
    Refused(String),
}

/// Reads a body along a shape. Null is absent, unknown members are ignored, and blobs of CBOR
/// share the bytes of the body.
pub fn decode(format: Format, shape: &'static StructShape, body: &Bytes) -> Result<Struct, ApiError> {
    let decoded = match format {
        Format::Json => json_read::decode(shape, body),
        Format::Cbor => cbor_read::decode(shape, body),
    };
    decoded.map_err(|fault| match fault {
        Fault::Refused(text) if is_well_formed(format, body) => ApiError::new(ErrorKind::Serialization, text),
        _ => malformed(),
    })
}

/// Checks that a body can be parsed, whatever it says: the service does so before it looks at
/// the credentials of a request.
pub fn check_well_formed(format: Format, body: &Bytes) -> Result<(), ApiError> {
    if is_well_formed(format, body) { Ok(()) } else { Err(malformed()) }
}

fn is_well_formed(format: Format, body: &Bytes) -> bool {
    match format {
        Format::Json => json_read::is_well_formed(body),
        Format::Cbor => cbor_read::is_well_formed(body),
    }
}

fn malformed() -> ApiError {
    ApiError::bare(ErrorKind::Serialization)
}

/// Writes a body.
pub fn encode(format: Format, body: &Struct) -> Vec<u8> {
    match format {
        Format::Json => json_write::encode(body),
        Format::Cbor => cbor_write::encode(body),
    }
}

impl ApiError {
    /// The body of the answer that tells this error: `{"__type": ..., "message": ...}`.
    pub fn body(&self, format: Format) -> Vec<u8> {
        let message = self.message.as_deref();
        let body = Struct::new().with("__type", self.kind.name()).with_some(self.kind.message_member(), message);
        encode(format, &body)
    }
}
