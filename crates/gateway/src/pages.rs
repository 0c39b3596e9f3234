//! Page tokens of listings: made here, read here.
//!
//! Holds: a listing goes on only by a token of its own operation, of the same stream and not too old.

use thalweg_kinesis::ApiError;
use thalweg_kinesis::token::{BadToken, Listing, PageToken};
use thalweg_types::StreamId;

use crate::Gateway;
use crate::call::Call;

/// The token that a request goes on by.
pub(crate) fn opened(gateway: &Gateway, call: &Call, listing: Listing, text: &str) -> Result<PageToken, ApiError> {
    let token = PageToken::open(&gateway.token_key()?, listing, text).map_err(BadToken::as_page)?;
    token.check_age(call.now)?;
    Ok(token)
}

/// As [`opened`], of a listing of this stream's parts.
pub(crate) fn opened_of(
    gateway: &Gateway,
    call: &Call,
    (listing, stream): (Listing, StreamId),
    text: &str,
) -> Result<PageToken, ApiError> {
    let token = opened(gateway, call, listing, text)?;
    if token.stream == Some(stream) { Ok(token) } else { Err(BadToken.as_page()) }
}

/// The token for what comes after `last`; nothing if nothing does.
pub(crate) fn next(
    gateway: &Gateway,
    call: &Call,
    listing: (Listing, Option<StreamId>),
    last: Option<String>,
    detail: Vec<u8>,
) -> Result<Option<String>, ApiError> {
    let Some(after) = last else { return Ok(None) };
    let token = PageToken { listing: listing.0, stream: listing.1, after, detail, issued: call.now };
    Ok(Some(token.seal(&gateway.token_key()?)))
}
