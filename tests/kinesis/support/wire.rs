//! Requests and replies as bytes and headers.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

pub(crate) const JSON: &str = "application/x-amz-json-1.1";
pub(crate) const CBOR: &str = "application/x-amz-cbor-1.1";

/// A reply that came whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers are ASCII"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) enum Wire {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

impl Wire {
    /// HTTP/1.1 on a new connection.
    pub(crate) async fn h1(to: SocketAddr) -> Wire {
        Wire::h1_on(TcpStream::connect(to).await.expect("the port is open")).await
    }

    /// HTTP/2 by prior knowledge on a new connection.
    pub(crate) async fn h2(to: SocketAddr) -> Wire {
        Wire::h2_on(TcpStream::connect(to).await.expect("the port is open")).await
    }

    pub(crate) async fn h1_on(io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static) -> Wire {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        Wire::H1(sender)
    }

    pub(crate) async fn h2_on(io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static) -> Wire {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.expect("HTTP/2");
        tokio::spawn(connection);
        Wire::H2(sender)
    }

    /// Sends a request, returns when the head of the reply is there.
    pub(crate) async fn open(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let replied = async {
            match self {
                Wire::H1(sender) => {
                    sender.ready().await.expect("the connection is open");
                    sender.send_request(request).await
                }
                Wire::H2(sender) => sender.send_request(request).await,
            }
        };
        timeout(PATIENCE, replied).await.expect("a reply in time").expect("a reply")
    }

    /// Sends a request, returns the whole reply.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Reply {
        whole(self.open(request).await).await
    }
}

/// Collects a reply.
pub(crate) async fn whole(response: Response<Incoming>) -> Reply {
    let (head, body) = response.into_parts();
    let body = timeout(PATIENCE, body.collect()).await.expect("a body in time").expect("a body").to_bytes();
    Reply { status: head.status.as_u16(), headers: head.headers, body }
}

/// A request for an operation.
pub(crate) fn request(operation: &str, content_type: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    post(&[("x-amz-target", &format!("Kinesis_20131202.{operation}")), ("content-type", content_type)], body)
}

/// A request with these headers.
pub(crate) fn post(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    raw("POST", headers, body)
}

/// A request with this method and these headers. The host never matters.
pub(crate) fn raw(method: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri("http://localhost/").header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).expect("a request")
}

/// Sends a request on a bare HTTP/1.1 connection and takes the first line of its answer, and nothing more.
pub(crate) async fn begun(socket: &mut TcpStream, operation: &str, body: &str) {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.expect("the connection is open");
    let mut status = [0; 15];
    timeout(PATIENCE, socket.read_exact(&mut status)).await.expect("an answer in time").expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 200 OK");
}
