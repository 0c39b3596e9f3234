//! Frames of `application/vnd.amazon.eventstream`: what SubscribeToShard answers with.
//!
//! ```text
//!   total length 4 B │ length of headers 4 B │ CRC of the 8 B before │ headers │ payload │ CRC of all before
//!   a header: length of name 1 B │ name │ 7 = a string │ length of value 2 B │ value      (big endian)
//! ```
//! Holds: a frame carries three string headers and a JSON payload; the first frame of a stream is
//! [`initial_response`], without which some SDKs refuse the stream.
//!
//! Written here rather than taken from `aws-smithy-eventstream`: that brings the whole HTTP body
//! stack into a crate without I/O, for a format whose one shape is on the lines above. The tests
//! read every frame back with that crate, and with botocore.

use bytes::{BufMut, Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, checksum};

use crate::error::ApiError;

/// The content type of an answer that is an event stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

const JSON: &str = "application/json";
const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;
const HEADER_IS_STRING: u8 = 7;

/// The frame that opens every stream.
pub fn initial_response() -> Bytes {
    event("initial-response", b"{}")
}

/// An event; `payload` is JSON.
pub fn event(name: &'static str, payload: &[u8]) -> Bytes {
    frame([(":message-type", "event"), (":event-type", name), (":content-type", JSON)], payload)
}

/// An error that ends a stream which has begun. Before that, errors are ordinary answers.
pub fn exception(error: &ApiError) -> Bytes {
    let payload = match &error.message {
        Some(message) => serde_json::json!({ error.kind.message_member(): message }).to_string(),
        None => "{}".to_owned(),
    };
    let headers = [(":message-type", "exception"), (":exception-type", error.kind.name()), (":content-type", JSON)];
    frame(headers, payload.as_bytes())
}

fn frame(headers: [(&'static str, &'static str); 3], payload: &[u8]) -> Bytes {
    let header_bytes: usize = headers.iter().map(|(name, value)| 1 + name.len() + 1 + 2 + value.len()).sum();
    let total = PRELUDE_BYTES + header_bytes + payload.len() + CRC_BYTES;
    let length = |length: usize| u32::try_from(length).expect("a payload is far below 4 GiB");
    let mut out = BytesMut::with_capacity(total);
    out.put_u32(length(total));
    out.put_u32(length(header_bytes));
    out.put_u32(crc(&out));
    for (name, value) in headers {
        out.put_u8(u8::try_from(name.len()).expect("header names are short constants"));
        out.put_slice(name.as_bytes());
        out.put_u8(HEADER_IS_STRING);
        out.put_u16(u16::try_from(value.len()).expect("header values are short constants"));
        out.put_slice(value.as_bytes());
    }
    out.put_slice(payload);
    out.put_u32(crc(&out));
    out.freeze()
}

fn crc(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) as u32
}
