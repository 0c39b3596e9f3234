//! gRPC over the simulated network: dialling, accepting, and cutting connections off.
//!
//! The simulated TCP does not send again what a partition swallowed, so a connection that lost a
//! segment stands still for ever. A real one goes on after the partition, or is reset. Hence:
//! partitions either hold what is sent (it comes late, as after retransmissions), or swallow it
//! and reset the connections concerned when they end. [`Connections::reset`] does that, and is a
//! fault of its own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint};
use turmoil::net::{TcpListener, TcpStream};

/// The port for clients, on every node.
pub const PUBLIC_PORT: u16 = 4567;
/// The port for other nodes, on every node.
pub const PEER_PORT: u16 = 4568;

/// The connections of the whole cluster, as those who dialled them know them.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<Vec<Dialled>>>);

/// Who dialled whom, and how to end it.
type Dialled = (String, String, Arc<Cut>);

/// Ends one connection.
#[derive(Default)]
struct Cut {
    done: AtomicBool,
    readers: Mutex<Vec<Waker>>,
}

impl Cut {
    fn cut(&self) {
        self.done.store(true, Ordering::Release);
        self.readers.lock().drain(..).for_each(Waker::wake);
    }

    fn check(&self) -> io::Result<()> {
        if self.done.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Connections {
    fn add(&self, from: &str, to: &str) -> Arc<Cut> {
        let cut = Arc::new(Cut::default());
        let mut known = self.0.lock();
        known.retain(|(_, _, cut)| Arc::strong_count(cut) > 1);
        known.push((from.to_owned(), to.to_owned(), cut.clone()));
        cut
    }

    /// Resets the connections of two machines that `which` picks; says how many.
    pub fn reset(&self, which: impl Fn(&str, &str) -> bool) -> usize {
        let mut known = self.0.lock();
        let mut count = 0;
        known.retain(|(from, to, cut)| {
            let picked = which(from, to);
            if picked && Arc::strong_count(cut) > 1 {
                cut.cut();
                count += 1;
            }
            !picked
        });
        count
    }
}

/// A connection that can be cut off.
pub struct Wire {
    stream: TcpStream,
    cut: Arc<Cut>,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.cut.check()?;
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_pending() {
            let mut readers = self.cut.readers.lock();
            if !readers.iter().any(|waker| waker.will_wake(cx.waker())) {
                readers.clear();
                readers.push(cx.waker().clone());
            }
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Dials as one machine.
#[derive(Clone)]
pub struct Dialler {
    from: Arc<str>,
    connections: Connections,
}

impl Dialler {
    /// The dialler of the machine `from`.
    pub fn new(from: &str, connections: Connections) -> Dialler {
        Dialler { from: from.into(), connections }
    }

    async fn dial(self, to: Uri) -> io::Result<TokioIo<Wire>> {
        let host = to.host().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let port = to.port_u16().ok_or(io::ErrorKind::InvalidInput)?;
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        let cut = self.connections.add(&self.from, &host);
        Ok(TokioIo::new(Wire { stream, cut }))
    }
}

impl thalweg_raft::Connector for Dialler {
    fn connect_lazy(&self, endpoint: Endpoint) -> Channel {
        let dialler = self.clone();
        endpoint.connect_with_connector_lazy(tower::service_fn(move |to| dialler.clone().dial(to)))
    }
}

impl thalweg_client::Connector for Dialler {
    fn connect(&self, endpoint: Endpoint) -> BoxFuture<'static, Result<Channel, tonic::transport::Error>> {
        let dialler = self.clone();
        Box::pin(
            async move { endpoint.connect_with_connector(tower::service_fn(move |to| dialler.clone().dial(to))).await },
        )
    }
}

/// A connection as the node that accepted it has it.
pub struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What comes in on a port of the machine that this runs on.
pub async fn listen(port: u16) -> io::Result<impl futures::Stream<Item = io::Result<Accepted>>> {
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    Ok(futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| Accepted(stream));
        Some((accepted, listener))
    }))
}
