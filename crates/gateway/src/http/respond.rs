//! Answers and errors as HTTP, and the headers that every response carries.

use ::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LENGTH,
    CONTENT_TYPE, ORIGIN,
};
use ::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use thalweg_kinesis::{ApiError, Format, codec};

use crate::answer::Answer;
use crate::identity::RequestIds;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const EXTENDED_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("application/vnd.amazon.eventstream");

/// An answer, or an error, in the request's encoding.
pub(crate) fn respond(format: Format, answered: Result<Answer, ApiError>) -> Response<Body> {
    match answered {
        Ok(Answer::Empty) => with_type(format, Body::empty()),
        Ok(Answer::Output(output)) => with_type(format, Body::from(codec::encode(format, &output))),
        Ok(Answer::Page(output, room)) => {
            let encoded = Bytes::from(codec::encode(format, &output));
            drop(output);
            let length = HeaderValue::from(encoded.len());
            let mut response = with_type(format, room.body(encoded));
            response.headers_mut().insert(CONTENT_LENGTH, length);
            response
        }
        Ok(Answer::Events(frames)) => {
            let frames = frames.map(Ok::<Bytes, std::convert::Infallible>);
            let mut response = Response::new(Body::from_stream(frames));
            response.headers_mut().insert(CONTENT_TYPE, EVENT_STREAM);
            response
        }
        Err(error) => failed(format, &error),
    }
}

fn with_type(format: Format, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    response
}

fn failed(format: Format, error: &ApiError) -> Response<Body> {
    let mut response = with_type(format, Body::from(error.body(format)));
    *response.status_mut() = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(error.kind.name()));
    response
}

/// The ids of one request, to be put on its response.
pub(crate) struct Stamp {
    request_id: String,
    extended_id: Option<String>,
    from_browser: bool,
}

impl Stamp {
    /// Ids for a request with these headers. A preflight gets no extended id.
    pub(crate) fn new(ids: &RequestIds, headers: &HeaderMap) -> Stamp {
        let from_browser = headers.contains_key(ORIGIN);
        let preflight = from_browser && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let extended_id = (!preflight).then(|| ids.extended_id());
        Stamp { request_id: ids.request_id(), extended_id, from_browser }
    }

    /// Puts them on the response.
    pub(crate) fn on(self, mut response: Response<Body>) -> Response<Body> {
        let headers = response.headers_mut();
        let value = |text: &str| HeaderValue::from_str(text).expect("ids are ASCII");
        headers.insert(REQUEST_ID, value(&self.request_id));
        if let Some(id) = &self.extended_id {
            headers.insert(EXTENDED_ID, value(id));
        }
        if self.from_browser {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        response
    }
}
