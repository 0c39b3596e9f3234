//! The public port: one listener for everything that clients speak.
//!
//! ```text
//!   first byte 0x16 ──► TLS, ALPN h2 or http/1.1 ─┐
//!   anything else ──────────────────────────────►├─► HTTP/1.1 or HTTP/2 by its first bytes
//!                                                 │      content type application/grpc* ──► gRPC
//!                                                 └────► everything else ────────────────► Kinesis
//! ```
//! Holds: a connection that does not say at first what it speaks is closed after a bounded time;
//! connections have a bound, and none delays another.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use http::header::CONTENT_TYPE;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tower::ServiceExt;

use crate::greeting;
use crate::grpc::{
    CONNECTION_WINDOW_BYTES, FRAME_BYTES, GOODBYE, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW_BYTES,
    STREAMS_MAX,
};
use crate::neighbours::Neighbours;

/// Connections at the same time.
const CONNECTIONS_MAX: usize = 16_384;
/// For the first byte, for the TLS handshake, and for what tells HTTP/1.1 from HTTP/2.
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
        let is_grpc = is_grpc(&request);
        let refused = is_grpc && !request.extensions().get::<MayCallGrpc>().is_none_or(|may| may.0);
        let router = if is_grpc { grpc.clone() } else { kinesis.clone() };
        async move {
            if refused {
                return Status::unauthenticated(GRPC_REFUSED).into_http();
            }
            match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    })
}

/// Whether the connection that a request came on may make gRPC calls.
#[derive(Clone, Copy, Debug)]
struct MayCallGrpc(bool);

const GRPC_REFUSED: &str =
    "this cluster wants signed requests, which gRPC has not: use the Kinesis API, or call from one of the nodes";

fn is_grpc(request: &Request) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Serves until `stop` says so; then open requests get a moment to end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    neighbours: Neighbours,
    mut stop: watch::Receiver<bool>,
) {
    let serving = Arc::new(Serving { router, tls, neighbours: Some(neighbours), http: http() });
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
    neighbours: Option<Neighbours>,
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
        let (Ok(()), Ok(peer)) = (socket.set_nodelay(true), socket.peer_addr()) else { return };
        let may_call_grpc = MayCallGrpc(match &self.neighbours {
            Some(neighbours) => neighbours.may_call(peer.ip()).await,
            None => true,
        });
        let mut first = [0];
        let greeted = tokio::time::timeout(GREETING_TIMEOUT, socket.peek(&mut first)).await;
        if !matches!(greeted, Ok(Ok(1))) {
            return;
        }
        match &self.tls {
            Some(tls) if first[0] == TLS_HANDSHAKE => {
                let handshake = tokio::time::timeout(GREETING_TIMEOUT, tls.accept(socket)).await;
                if let Ok(Ok(secured)) = handshake {
                    self.http_on(secured, may_call_grpc, ending).await;
                }
            }
            _ => self.http_on(socket, may_call_grpc, ending).await,
        }
    }

    async fn http_on(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        may_call_grpc: MayCallGrpc,
        ending: Watcher,
    ) {
        let marked = self.router.clone().map_request(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(may_call_grpc);
            request
        });
        let service = TowerToHyperService::new(marked);
        let (io, silent) = greeting::heard(io, GREETING_TIMEOUT);
        let connection = self.http.serve_connection(TokioIo::new(io), service).into_owned();
        tokio::select! {
            ended = ending.watch(connection) => if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            },
            () = silent => tracing::debug!("a connection did not say what it speaks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;

    use super::*;

    fn connection() -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let graceful = GracefulShutdown::new();
        let watcher = graceful.watcher();
        let serving = Serving { router: Router::new(), tls: None, neighbours: None, http: http() };
        tokio::spawn(async move {
            let _graceful = graceful;
            serving.http_on(theirs, MayCallGrpc(true), watcher).await;
        });
        ours
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_does_not_say_what_it_speaks_is_closed() {
        for said in ["", "P", "PRI * HTTP/2.0\r\n"] {
            let (mut ours, since) = (connection(), Instant::now());
            ours.write_all(said.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let closed = tokio::time::timeout(2 * GREETING_TIMEOUT, ours.read_to_end(&mut answer)).await;
            assert!(closed.is_ok(), "{said:?} is open after {:?}", since.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_said_it_stays_open() {
        let mut ours = connection();
        for _ in 0..3 {
            ours.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            let mut answer = [0; 12];
            ours.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 404");
            tokio::time::sleep(GREETING_TIMEOUT + Duration::from_secs(1)).await;
            let mut rest = vec![0; 4_096];
            assert!(ours.read(&mut rest).await.unwrap() > 0, "the rest of the answer");
        }
    }
}
