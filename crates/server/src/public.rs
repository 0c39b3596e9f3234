//! The public port: one listener for everything that clients speak.
//!
//! ```text
//!   first byte 0x16 ──► TLS, ALPN h2 or http/1.1 ─┐
//!   anything else ──────────────────────────────►├─► HTTP/1.1 or HTTP/2 by its first bytes
//!                                                 │      content type application/grpc* ──► gRPC
//!                                                 └────► everything else ────────────────► Kinesis
//! ```
//! Holds: a connection that does not say at first what it speaks is closed after a bounded time;
//! connections have a bound, and none delays another. When the node stops in order, every request
//! that has arrived gets its answer, for as long as [`ANSWERS_TIMEOUT`]: [`crate::open`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use http::header::CONTENT_TYPE;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, watch};
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
use crate::open::OpenRequests;

/// Connections at the same time.
const CONNECTIONS_MAX: usize = 16_384;
/// For the first byte, for the TLS handshake, and for what tells HTTP/1.1 from HTTP/2.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of an HTTP/1.1 request, once it has begun.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// When the node stops: for the answers to requests that have arrived.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(5);
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// After an accept that failed, when the process has no more descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// gRPC calls to one router, all else to the other. Whether a peer may make gRPC calls at all is
/// decided when it makes its first one on a connection: most connections never do.
pub(crate) fn by_content_type(grpc: Router, kinesis: Router, neighbours: Neighbours) -> Router {
    let neighbours = Arc::new(neighbours);
    Router::new().fallback(move |request: Request| {
        let caller = is_grpc(&request).then(|| request.extensions().get::<Caller>().cloned());
        let router = if caller.is_some() { grpc.clone() } else { kinesis.clone() };
        let neighbours = neighbours.clone();
        async move {
            if let Some(caller) = caller
                && !may_call(caller, &neighbours).await
            {
                return Status::unauthenticated(GRPC_REFUSED).into_http();
            }
            match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    })
}

/// Who is at the other end of a connection; every request on it carries this.
#[derive(Clone, Debug)]
struct Caller {
    ip: IpAddr,
    may_call_grpc: Arc<OnceCell<bool>>,
}

impl Caller {
    fn new(ip: IpAddr) -> Caller {
        Caller { ip, may_call_grpc: Arc::default() }
    }
}

async fn may_call(caller: Option<Caller>, neighbours: &Neighbours) -> bool {
    let Some(Caller { ip, may_call_grpc }) = caller else { return false };
    *may_call_grpc.get_or_init(|| neighbours.may_call(ip)).await
}

const GRPC_REFUSED: &str =
    "this cluster wants signed requests, which gRPC has not: use the Kinesis API, or call from one of the nodes";

fn is_grpc(request: &Request) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Serves until `stop` says so; returns when all that had arrived by then is answered. The rest of
/// the node has to go on until then.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    mut stop: watch::Receiver<bool>,
) {
    let serving = Arc::new(Serving { router, tls, http: http(), open: OpenRequests::default() });
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
    // Idle connections end at once, busy ones after their answers. What has its answer and goes on
    // all the same follows something: it is cut, and begins anew at another node.
    tokio::select! {
        () = graceful.shutdown() => {}
        () = serving.open.wait_quiet(GOODBYE, ANSWERS_TIMEOUT) => {}
    }
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
    open: OpenRequests,
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
        let caller = Caller::new(peer.ip());
        let mut first = [0];
        let greeted = tokio::time::timeout(GREETING_TIMEOUT, socket.peek(&mut first)).await;
        if !matches!(greeted, Ok(Ok(1))) {
            return;
        }
        match &self.tls {
            Some(tls) if first[0] == TLS_HANDSHAKE => {
                let handshake = tokio::time::timeout(GREETING_TIMEOUT, tls.accept(socket)).await;
                if let Ok(Ok(secured)) = handshake {
                    self.http_on(secured, caller, ending).await;
                }
            }
            _ => self.http_on(socket, caller, ending).await,
        }
    }

    async fn http_on(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, caller: Caller, ending: Watcher) {
        let (router, open) = (self.router.clone(), self.open.clone());
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(caller.clone());
            let (router, waiting) = (router.clone(), open.begin());
            async move {
                let answer = router.oneshot(request).await;
                drop(waiting);
                answer
            }
        });
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
    use std::net::Ipv4Addr;

    use axum::body::Body;
    use http::StatusCode;
    use thalweg_controller::Image;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::sync::Notify;
    use tokio::time::Instant;

    use super::*;

    fn connection() -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let graceful = GracefulShutdown::new();
        let watcher = graceful.watcher();
        let serving = Serving { router: Router::new(), tls: None, http: http(), open: OpenRequests::default() };
        tokio::spawn(async move {
            let _graceful = graceful;
            serving.http_on(theirs, Caller::new(Ipv4Addr::LOCALHOST.into()), watcher).await;
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

    #[tokio::test]
    async fn a_request_that_has_arrived_is_answered_although_the_node_stops() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (at_handler, at_release) = (arrived.clone(), release.clone());
        let router = Router::new().fallback(move || async move {
            at_handler.notify_one();
            at_release.notified().await;
            "answered"
        });
        let stop = watch::Sender::new(false);
        let mut serving = tokio::spawn(serve(listener, router, None, stop.subscribe()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        arrived.notified().await;
        stop.send_replace(true);
        let ended = tokio::time::timeout(2 * GOODBYE, &mut serving).await;
        assert!(ended.is_err(), "it is waited for, longer than for what follows something");
        release.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("answered"), "{answer}");
        serving.await.unwrap();
    }

    /// What a stranger's request gets where signatures are required.
    async fn answer(caller: &Caller, content_type: &str) -> http::Response<Body> {
        let served = |text: &'static str| Router::new().fallback(move || async move { text });
        let (_image, image) = watch::channel(Arc::new(Image::default()));
        let router = by_content_type(served("grpc"), served("kinesis"), Neighbours::new(true, image));
        let request = http::Request::builder().header(CONTENT_TYPE, content_type).extension(caller.clone());
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn who_may_call_grpc_is_asked_at_a_connections_first_grpc_request() {
        let stranger = Caller::new(Ipv4Addr::new(192, 0, 2, 1).into());
        let kinesis = answer(&stranger, "application/x-amz-json-1.1").await;
        assert_eq!((kinesis.status(), stranger.may_call_grpc.get()), (StatusCode::OK, None));
        let refused = answer(&stranger, "application/grpc").await;
        let status = Status::from_header_map(refused.headers()).map(|status| status.code());
        assert_eq!((status, stranger.may_call_grpc.get()), (Some(tonic::Code::Unauthenticated), Some(&false)));
        let neighbour = Caller::new(Ipv4Addr::LOCALHOST.into());
        let called = answer(&neighbour, "application/grpc+proto").await;
        assert_eq!(Status::from_header_map(called.headers()).map(|status| status.code()), None);
    }
}
