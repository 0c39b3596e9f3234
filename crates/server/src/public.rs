//! The public port: one listener for everything that clients speak.
//!
//! ```text
//!   first byte 0x16 ──► TLS, ALPN h2 or http/1.1 ─┐
//!   anything else ──────────────────────────────►├─► HTTP/1.1 or HTTP/2 by its first bytes
//!                                                 │      content type application/grpc* ──► gRPC
//!                                                 └────► everything else ────────────────► Kinesis
//! ```
//! Holds: a connection that says nothing at first is closed after a bounded time; connections have a
//! bound, and none delays another.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use http::header::CONTENT_TYPE;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::grpc::{
    CONNECTION_WINDOW_BYTES, FRAME_BYTES, GOODBYE, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW_BYTES,
    STREAMS_MAX,
};

/// Connections at the same time.
const CONNECTIONS_MAX: usize = 16_384;
/// For the first byte, and for the TLS handshake.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of an HTTP/1.1 request, once it has begun.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// After an accept that failed, when the process has no more descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// gRPC calls to one router, all else to the other.
pub(crate) fn by_content_type(grpc: Router, kinesis: Router) -> Router {
    Router::new().fallback(move |request: Request| {
        let router = if is_grpc(&request) { grpc.clone() } else { kinesis.clone() };
        async move {
            match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    })
}

fn is_grpc(request: &Request) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Serves until `stop` says so; then open requests get a moment to end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    let serving = Arc::new(Serving { router, tls, http: http() });
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = accept(&listener, &room) => {
                if let Some((socket, permit)) = accepted {
                    connections.spawn(serving.clone().connection(socket, permit, graceful.watcher()));
                }
            }
            Some(_) = connections.join_next() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    drop(listener);
    // Idle connections end at once, busy ones after their answers; what is left is cut.
    let _ = tokio::time::timeout(GOODBYE, graceful.shutdown()).await;
    connections.abort_all();
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
    match listener.accept().await {
        Ok((socket, _)) => Some((socket, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

struct Serving {
    router: Router,
    tls: Option<TlsAcceptor>,
    http: auto::Builder<TokioExecutor>,
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    http.http2()
        .timer(TokioTimer::new())
        .max_frame_size(FRAME_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    http
}

impl Serving {
    async fn connection(self: Arc<Self>, socket: TcpStream, _room: OwnedSemaphorePermit, ending: Watcher) {
        if socket.set_nodelay(true).is_err() {
            return;
        }
        let mut first = [0];
        let greeted = tokio::time::timeout(GREETING_TIMEOUT, socket.peek(&mut first)).await;
        if !matches!(greeted, Ok(Ok(1))) {
            return;
        }
        match &self.tls {
            Some(tls) if first[0] == TLS_HANDSHAKE => {
                let handshake = tokio::time::timeout(GREETING_TIMEOUT, tls.accept(socket)).await;
                if let Ok(Ok(secured)) = handshake {
                    self.http_on(secured, ending).await;
                }
            }
            _ => self.http_on(socket, ending).await,
        }
    }

    async fn http_on(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, ending: Watcher) {
        let service = TowerToHyperService::new(self.router.clone());
        let connection = self.http.serve_connection(TokioIo::new(io), service);
        if let Err(error) = ending.watch(connection.into_owned()).await {
            tracing::debug!(%error, "a connection ended");
        }
    }
}
