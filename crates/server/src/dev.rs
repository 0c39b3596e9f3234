//! A whole cluster in one process, for a laptop or CI: real nodes, real gRPC on loopback.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::{Auth, Config, Listeners, Node, SelfSigned, StartError, TlsFiles};

/// What `thalweg dev` is asked for.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// Nodes, 1 or more. Default 3.
    pub nodes: u32,
    /// Where the data lives; a temporary directory when absent.
    pub data_dir: Option<PathBuf>,
    /// Keep a temporary directory afterwards.
    pub retain: bool,
    /// Public port of the first node, 0 for a free one. Default 4567. The others take free ports.
    pub port: u16,
    /// How long a node may be gone before its replicas are rebuilt. Default 5 min.
    pub node_dead_after: Duration,
    /// Answer TLS too, with a certificate made on the spot and kept with the data.
    pub tls: bool,
    /// Whether Kinesis requests have to be signed. Default off.
    pub auth: Auth,
}

impl Default for DevOptions {
    fn default() -> Self {
        DevOptions {
            nodes: 3,
            data_dir: None,
            retain: false,
            port: 4567,
            node_dead_after: Duration::from_secs(300),
            tls: false,
            auth: Auth::Off,
        }
    }
}

/// Where a running cluster is reached.
#[derive(Clone, Debug, Serialize)]
pub struct DevReady {
    /// `host:port` of each node for clients, first node first.
    pub endpoints: Vec<String>,
    /// `host:port` of each node for health and metrics.
    pub admin: Vec<String>,
    /// Where the data lives.
    pub data_dir: PathBuf,
    /// This process.
    pub pid: u32,
    /// The certificate that TLS clients have to trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
}

/// A cluster in this process.
pub struct DevCluster {
    nodes: Vec<Node>,
    ready: DevReady,
    retain: bool,
    temporary: Option<tempfile::TempDir>,
}

/// Why a development cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// A node did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The data directory cannot be made.
    #[error("cannot make a data directory: {0}")]
    DataDir(std::io::Error),
    /// A node will never be ready.
    #[error("the cluster did not form: {0}")]
    Form(String),
}

impl DevCluster {
    /// Starts the nodes and returns when all of them can serve.
    pub async fn start(options: DevOptions) -> Result<DevCluster, DevError> {
        let temporary = match options.data_dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("thalweg-dev-").tempdir().map_err(DevError::DataDir)?),
        };
        let dir = options.data_dir.clone().or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned()));
        let data_dir = dir.expect("either a directory was given or a temporary one was made");
        let tls = options.tls.then(|| certificate_in(&data_dir)).transpose().map_err(DevError::DataDir)?;
        let mut prepared = Vec::new();
        for id in 1..=options.nodes.max(1) {
            let config = Config {
                node_id: u64::from(id),
                data_dir: data_dir.join(format!("node-{id}")),
                public_address: format!("127.0.0.1:{}", if id == 1 { options.port } else { 0 }),
                peer_address: "127.0.0.1:0".to_owned(),
                admin_address: "127.0.0.1:0".to_owned(),
                node_dead_after: options.node_dead_after,
                tls: tls.clone(),
                auth: options.auth,
                ..Config::default()
            };
            let listeners = Listeners::bind(&config).await?;
            prepared.push((config, listeners));
        }
        let seeds: Vec<String> = prepared.iter().map(|(_, listeners)| listeners.peer().to_string()).collect();
        let ready = DevReady {
            endpoints: prepared.iter().map(|(_, listeners)| listeners.public().to_string()).collect(),
            admin: prepared.iter().map(|(_, listeners)| listeners.admin().to_string()).collect(),
            data_dir,
            pid: std::process::id(),
            certificate: tls.map(|files| files.certificate),
        };
        let starting = prepared.into_iter().map(|(config, listeners)| {
            let config = Config { seeds: seeds.clone(), ..config };
            Node::start(config, listeners)
        });
        let nodes = futures::future::try_join_all(starting).await?;
        futures::future::try_join_all(nodes.iter().map(Node::wait_ready)).await.map_err(DevError::Form)?;
        Ok(DevCluster { nodes, ready, retain: options.retain, temporary })
    }

    /// Where it is reached.
    pub fn ready(&self) -> &DevReady {
        &self.ready
    }

    /// Resolves, with the reason, when a node must end.
    pub async fn failed(&self) -> String {
        let failures = self.nodes.iter().map(|node| Box::pin(node.failed()));
        futures::future::select_all(failures).await.0
    }

    /// Ends all nodes. A temporary directory goes with them unless it is to be kept; returns where
    /// the data still is.
    pub async fn shutdown(mut self) -> Option<PathBuf> {
        let kept = match self.temporary.take() {
            None => Some(self.ready.data_dir.clone()),
            Some(dir) if self.retain => Some(dir.keep()),
            Some(dir) => {
                self.temporary = Some(dir);
                None
            }
        };
        futures::future::join_all(self.nodes.drain(..).map(Node::stop_all)).await;
        kept
    }
}

/// The certificate of an earlier start in this directory, or a new one.
fn certificate_in(data_dir: &Path) -> std::io::Result<TlsFiles> {
    let known = TlsFiles::in_directory(data_dir);
    if known.certificate.is_file() && known.key.is_file() {
        return Ok(known);
    }
    SelfSigned::generate()?.write_to(data_dir)
}
