//! Browsers: preflight requests are answered, and answers may be read by any origin.

use ::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use ::http::request::Parts;
use ::http::{HeaderName, HeaderValue, Method, Response};
use axum::body::Body;

/// Two days, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("172800");

/// The answer to a preflight request, if this is one: whatever is asked for is allowed.
pub(crate) fn preflight(parts: &Parts) -> Option<Response<Body>> {
    if parts.method != Method::OPTIONS || !parts.headers.contains_key(ORIGIN) {
        return None;
    }
    let mut response = Response::new(Body::empty());
    let mut echo = |asked: HeaderName, allowed: HeaderName| {
        if let Some(value) = parts.headers.get(asked) {
            response.headers_mut().insert(allowed, value.clone());
        }
    };
    echo(ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS);
    echo(ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS);
    response.headers_mut().insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    Some(response)
}
