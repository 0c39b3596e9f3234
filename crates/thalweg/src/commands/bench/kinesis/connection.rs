//! One kept-alive HTTP/1.1 connection to one node: a signed request out, a decoded answer back.
//!
//! Holds: after a failure on the wire the connection is opened anew, to the next node.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use thalweg_kinesis::sign::{BodyHash, RequestParts, Signer};
use thalweg_kinesis::{Operation, Struct, decode, encode};
use thalweg_types::Clock;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Target;

/// For one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Any region is served.
pub(super) const REGION: &str = "us-east-1";

/// A request that is encoded and hashed; only its time and signature are missing.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) operation: Operation,
    body: Bytes,
    hash: BodyHash,
}

impl Prepared {
    pub(super) fn new(target: &Target, operation: Operation, input: &Struct) -> Prepared {
        let body = Bytes::from(encode(target.format, input));
        let hash = BodyHash::of(&body);
        Prepared { operation, body, hash }
    }
}

/// Why a request has no answer to use.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// Asking again may help.
    #[error("{0}")]
    Again(String),
    /// It would be the same again.
    #[error("{0}")]
    Final(String),
}

/// A connection, open or to be opened.
pub(super) struct Connection {
    target: Arc<Target>,
    turn: usize,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// The `nth` of many: nodes take turns.
    pub(super) fn new(target: Arc<Target>, nth: usize) -> Connection {
        Connection { target, turn: nth, open: None }
    }

    /// Encodes and sends; for what is not on the measured path.
    pub(super) async fn ask(&mut self, operation: Operation, input: &Struct) -> Result<Struct, RequestError> {
        let prepared = Prepared::new(&self.target, operation, input);
        self.send(&prepared).await
    }

    /// Sends, and decodes the answer.
    pub(super) async fn send(&mut self, prepared: &Prepared) -> Result<Struct, RequestError> {
        let asked = timeout(REQUEST_TIMEOUT, self.exchange(prepared)).await;
        let (status, body) = match asked.unwrap_or_else(|_| Err(format!("no answer within {REQUEST_TIMEOUT:?}"))) {
            Ok(answered) => answered,
            Err(why) => {
                self.open = None;
                self.turn += 1;
                return Err(RequestError::Again(why));
            }
        };
        if status != StatusCode::OK {
            let said = format!("{} answered {status}: {}", prepared.operation.name(), String::from_utf8_lossy(&body));
            return Err(if status.is_server_error() { RequestError::Again(said) } else { RequestError::Final(said) });
        }
        let shape = prepared.operation.output().expect("only operations with an output are measured");
        decode(self.target.format, shape, &body).map_err(|error| RequestError::Final(format!("an answer: {error:?}")))
    }

    async fn exchange(&mut self, prepared: &Prepared) -> Result<(StatusCode, Bytes), String> {
        let address = self.target.addresses[self.turn % self.target.addresses.len()].clone();
        let request = signed(&self.target, &address, prepared).map_err(|error| error.to_string())?;
        if self.open.as_ref().is_none_or(SendRequest::is_closed) {
            self.open = Some(connect(&address).await?);
        }
        let Some(open) = &mut self.open else { return Err("not connected".to_owned()) };
        let answer: Result<Response<_>, hyper::Error> = async {
            open.ready().await?;
            open.send_request(request).await
        }
        .await;
        let (parts, body) = answer.map_err(|error| format!("{address}: {error}"))?.into_parts();
        let body = body.collect().await.map_err(|error| format!("{address}: {error}"))?;
        Ok((parts.status, body.to_bytes()))
    }
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>, String> {
    let said = |error: &dyn std::fmt::Display| format!("{address}: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| said(&error))?;
    stream.set_nodelay(true).map_err(|error| said(&error))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    // Its end shows in the sender.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

fn signed(target: &Target, address: &str, prepared: &Prepared) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let operation = format!("Kinesis_20131202.{}", prepared.operation.name());
    let content_type = target.format.content_type();
    let headers: [(&str, &[u8]); 3] = [
        (HOST.as_str(), address.as_bytes()),
        (CONTENT_TYPE.as_str(), content_type.as_bytes()),
        ("x-amz-target", operation.as_bytes()),
    ];
    let signer = Signer {
        access_key: &target.access_key,
        secret: &target.secret,
        session_token: None,
        region: REGION,
        now: target.clock.now(),
    };
    let parts = RequestParts { method: "POST", path: "/", query: "", headers: &headers };
    let added = signer.sign(&parts, prepared.hash);
    let mut request = Request::post("/");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    for (name, value) in added {
        request = request.header(name, value);
    }
    request.body(Full::new(prepared.body.clone()))
}
