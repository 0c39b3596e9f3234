//! What a request says before its body: operation and encoding, or why it is none of ours.

use ::http::header::CONTENT_TYPE;
use ::http::request::Parts;
use ::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use axum::body::Body;
use thalweg_kinesis::Format;

/// The service and version that every operation is addressed to.
const SERVICE: &str = "Kinesis_20131202";
const TARGET: &str = "x-amz-target";

/// A request's operation, not yet known to exist, and its encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The name after the service's; empty when the target is not ours.
    pub(crate) operation: String,
    /// In which the answer is written too.
    pub(crate) format: Format,
}

/// A request that is refused before an encoding for its error is known: the service answers XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// Neither method nor headers name an operation.
    NoOperation,
    /// An operation in an encoding that the service does not speak.
    UnknownEncoding,
}

impl Head {
    /// Reads method and headers.
    pub(crate) fn read(parts: &Parts) -> Result<Head, Rejection> {
        let target = text(&parts.headers, TARGET);
        if parts.method != Method::POST {
            return Err(Rejection::NoOperation);
        }
        let encoding = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match (encoding.and_then(Format::from_content_type), target) {
            (Some(format), target) => Ok(Head { operation: operation(target.unwrap_or("")), format }),
            (None, Some(_)) => Err(Rejection::UnknownEncoding),
            (None, None) => Err(Rejection::NoOperation),
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
}

fn operation(target: &str) -> String {
    match target.split_once('.') {
        Some((SERVICE, operation)) => operation.to_owned(),
        _ => String::new(),
    }
}

impl Rejection {
    /// The service's answer, byte for byte.
    pub(crate) fn into_response(self) -> Response<Body> {
        let (status, body) = match self {
            Rejection::NoOperation => (
                StatusCode::FORBIDDEN,
                "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be \
                 authorized</Message>\n</AccessDeniedException>\n",
            ),
            Rejection::UnknownEncoding => (StatusCode::NOT_FOUND, "<UnknownOperationException/>\n"),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        response
    }
}

#[cfg(test)]
mod tests {
    use ::http::Request;

    use super::*;

    fn head(method: Method, headers: &[(&str, &str)]) -> Result<Head, Rejection> {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Head::read(&request.body(()).unwrap().into_parts().0)
    }

    const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");
    const LIST: (&str, &str) = (TARGET, "Kinesis_20131202.ListStreams");

    #[test]
    fn an_operation_and_an_encoding_are_needed() {
        let listed = Head { operation: "ListStreams".to_owned(), format: Format::Json };
        assert_eq!(head(Method::POST, &[JSON, LIST]), Ok(listed));
        assert_eq!(head(Method::GET, &[JSON, LIST]), Err(Rejection::NoOperation));
        assert_eq!(head(Method::POST, &[]), Err(Rejection::NoOperation));
        assert_eq!(head(Method::POST, &[LIST]), Err(Rejection::UnknownEncoding));
        assert_eq!(head(Method::POST, &[("content-type", "application/json"), LIST]), Err(Rejection::UnknownEncoding));
    }

    #[test]
    fn a_target_of_another_service_names_no_operation() {
        let other = head(Method::POST, &[JSON, (TARGET, "DynamoDB_20120810.ListTables")]).unwrap();
        assert_eq!(other.operation, "");
    }
}
