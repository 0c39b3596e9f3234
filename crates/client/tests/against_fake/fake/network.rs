//! In-memory connections to nodes, which can be cut.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use thalweg_client::Connector;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::server::Router;
use tonic::transport::{Channel, Endpoint, Error};

const PIPE_BYTES: usize = 1 << 20;

struct Node {
    incoming: mpsc::UnboundedSender<DuplexStream>,
    up: bool,
    /// Whether opening a connection takes for ever.
    hangs: bool,
    frozen: watch::Sender<bool>,
    bridges: Vec<AbortHandle>,
}

/// All nodes by id, reached as `n<id>:1`.
#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Mutex<HashMap<u64, Node>>>);

impl Network {
    pub(crate) fn serve(&self, id: u64, router: Router) {
        let (incoming, accepted) = mpsc::unbounded_channel();
        let accepted = UnboundedReceiverStream::new(accepted).map(Ok::<_, io::Error>);
        tokio::spawn(router.serve_with_incoming(accepted));
        self.0
            .lock()
            .unwrap()
            .insert(id, Node { incoming, up: true, hangs: false, frozen: watch::Sender::new(false), bridges: vec![] });
    }

    fn hangs(&self, host: &str) -> bool {
        host[1..].parse().is_ok_and(|id: u64| self.0.lock().unwrap()[&id].hangs)
    }

    fn open(&self, host: &str) -> io::Result<DuplexStream> {
        let mut nodes = self.0.lock().unwrap();
        let node = host[1..].parse().ok().and_then(|id: u64| nodes.get_mut(&id));
        let node = node.filter(|node| node.up).ok_or(io::ErrorKind::ConnectionRefused)?;
        let (client, near) = tokio::io::duplex(PIPE_BYTES);
        let (far, server) = tokio::io::duplex(PIPE_BYTES);
        let bridge = tokio::spawn(carry(near, far, node.frozen.subscribe()));
        node.bridges.push(bridge.abort_handle());
        node.incoming.send(server).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(client)
    }

    /// Breaks all connections to a node; new ones can be made.
    pub(crate) fn cut(&self, id: u64) {
        let mut nodes = self.0.lock().unwrap();
        nodes.get_mut(&id).unwrap().bridges.drain(..).for_each(|bridge| bridge.abort());
    }

    pub(crate) fn stop(&self, id: u64) {
        self.0.lock().unwrap().get_mut(&id).unwrap().up = false;
        self.cut(id);
    }

    /// Who tries to connect to a node hears nothing.
    pub(crate) fn hang(&self, id: u64) {
        self.0.lock().unwrap().get_mut(&id).unwrap().hangs = true;
        self.cut(id);
    }

    /// Nothing reaches a node or comes from it any more, and nobody is told.
    pub(crate) fn freeze(&self, id: u64) {
        self.0.lock().unwrap()[&id].frozen.send_replace(true);
    }

    pub(crate) fn start(&self, id: u64) {
        self.0.lock().unwrap().get_mut(&id).unwrap().up = true;
    }
}

/// Carries bytes both ways, except while frozen.
async fn carry(mut near: DuplexStream, mut far: DuplexStream, mut frozen: watch::Receiver<bool>) {
    let mut copy = pin!(tokio::io::copy_bidirectional(&mut near, &mut far));
    while frozen.wait_for(|frozen| !frozen).await.is_ok() {
        tokio::select! {
            _ = &mut copy => return,
            _ = frozen.wait_for(|frozen| *frozen) => {}
        }
    }
}

impl Connector for Network {
    fn connect(&self, endpoint: Endpoint) -> BoxFuture<'static, Result<Channel, Error>> {
        let network = self.clone();
        let connector = tower::service_fn(move |uri: tonic::transport::Uri| {
            let network = network.clone();
            async move {
                let host = uri.host().unwrap_or_default();
                if network.hangs(host) {
                    std::future::pending::<()>().await;
                }
                network.open(host).map(TokioIo::new)
            }
        });
        async move { endpoint.connect_with_connector(connector).await }.boxed()
    }
}
