//! What stands in front of a cluster where an SDK knows one address: a balancer of TCP connections.
//!
//! Holds: each connection goes to the next node in turn that takes it, and lives as long as both of
//! its ends; nothing is tried again once a byte was sent.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running balancer; it ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Balancer {
    address: String,
    _serving: JoinSet<()>,
}

impl Balancer {
    /// Begins to balance over `nodes`, each `host:port`.
    pub async fn start(nodes: Vec<String>) -> std::io::Result<Balancer> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, nodes.into()));
        Ok(Balancer { address, _serving: serving })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }
}

async fn serve(listener: TcpListener, nodes: Arc<[String]>) {
    let mut connections = JoinSet::new();
    for turn in 0.. {
        let Ok((client, _)) = listener.accept().await else { return };
        connections.spawn(connection(client, nodes.clone(), turn));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut client: TcpStream, nodes: Arc<[String]>, turn: usize) {
    for at in 0..nodes.len() {
        let Ok(mut node) = TcpStream::connect(&nodes[(turn + at) % nodes.len()]).await else { continue };
        // How it ended, both ends see for themselves.
        let _ = copy_bidirectional(&mut client, &mut node).await.is_ok();
        return;
    }
}
