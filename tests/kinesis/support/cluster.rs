//! Whole clusters in this process, on a thread of their own so that tests can share them.
//!
//! A shared cluster lives until the process ends, so its data is left behind: in a directory that
//! carries the process id, and that the next run removes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Once, mpsc};
use std::time::Duration;

use thalweg_catalog::Catalog;
use thalweg_client::{Client, Options};
use thalweg_server::{Auth, Config, Listeners, Node, SelfSigned, TlsFiles};
use thalweg_types::{Clock, SystemClock, UnixMillis};
use tokio::sync::watch;

/// What a cluster is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Tells its data from that of other clusters.
    pub(crate) name: &'static str,
    pub(crate) nodes: u32,
    pub(crate) tls: bool,
    pub(crate) auth: Auth,
}

/// A running cluster.
pub(crate) struct Cluster {
    pub(crate) endpoints: Vec<SocketAddr>,
    pub(crate) admin: Vec<SocketAddr>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) clock: TestClock,
    /// As the first node knows it.
    pub(crate) catalog: watch::Receiver<Arc<Catalog>>,
}

/// Three nodes without authentication: what most tests share.
pub(crate) fn main_cluster() -> &'static Cluster {
    static MAIN: LazyLock<Cluster> =
        LazyLock::new(|| Cluster::start(Shape { name: "main", nodes: 3, tls: true, auth: Auth::Off }));
    &MAIN
}

/// The machine's time, and as much more or less as a test says.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// Moves the clock of all nodes forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }

    /// Moves it back: what is written now will be old once it has been advanced again. (Retention
    /// does not believe a clock that leaps beyond the machine's.)
    pub(crate) fn rewind(&self, by: Duration) {
        self.0.fetch_sub(by.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(SystemClock.now().0.saturating_add_signed(self.0.load(Ordering::SeqCst)))
    }
}

impl Cluster {
    /// Starts one and waits until it serves.
    pub(crate) fn start(shape: Shape) -> Cluster {
        let (tell, started) = mpsc::channel();
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (cluster, _nodes) = start(shape).await;
                tell.send(cluster).expect("somebody waits");
                std::future::pending::<()>().await;
            });
        });
        started.recv().expect("the cluster starts")
    }

    /// A native client that first asks one node.
    pub(crate) fn client(&self, node: usize) -> Client {
        Client::connect(Options::new([self.endpoints[node].to_string()])).expect("an endpoint")
    }
}

async fn start(shape: Shape) -> (Cluster, Vec<Node>) {
    let dir = data_dir(shape.name);
    let tls = shape.tls.then(|| SelfSigned::generate().and_then(|made| made.write_to(&dir)).expect("a certificate"));
    let clock = TestClock::default();
    let mut prepared = Vec::new();
    for id in 1..=shape.nodes {
        let config = config(shape, id, &dir, tls.clone());
        let listeners = Listeners::bind(&config).await.expect("free ports");
        prepared.push((config, listeners));
    }
    let seeds: Vec<String> = prepared.iter().map(|(_, listeners)| listeners.peer().to_string()).collect();
    let endpoints = prepared.iter().map(|(_, listeners)| listeners.public()).collect();
    let admin = prepared.iter().map(|(_, listeners)| listeners.admin()).collect();
    let starting = prepared.into_iter().map(|(config, listeners)| {
        let config = Config { seeds: seeds.clone(), ..config };
        Node::start_with(config, listeners, Arc::new(clock.clone()))
    });
    let nodes = futures::future::try_join_all(starting).await.expect("nodes start");
    futures::future::try_join_all(nodes.iter().map(Node::wait_ready)).await.expect("the cluster forms");
    let catalog = catalogs(&nodes[0]);
    (Cluster { endpoints, admin, certificate: tls.map(|files| files.certificate), clock, catalog }, nodes)
}

fn config(shape: Shape, id: u32, dir: &Path, tls: Option<TlsFiles>) -> Config {
    let any = || "127.0.0.1:0".to_owned();
    Config {
        node_id: u64::from(id),
        data_dir: dir.join(format!("node-{id}")),
        public_address: any(),
        peer_address: any(),
        admin_address: any(),
        auth: shape.auth,
        tls,
        retention_interval: Duration::from_secs(1),
        segment_bytes: 48 * 1024 * 1024,
        cache_bytes: 32 * 1024 * 1024,
        ..Config::default()
    }
}

fn catalogs(node: &Node) -> watch::Receiver<Arc<Catalog>> {
    let mut images = node.image();
    let (sender, catalogs) = watch::channel(images.borrow_and_update().catalog.clone());
    tokio::spawn(async move {
        while images.changed().await.is_ok() {
            sender.send_replace(images.borrow_and_update().catalog.clone());
        }
    });
    catalogs
}

fn data_dir(name: &str) -> PathBuf {
    static SWEEP: Once = Once::new();
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kinesis");
    SWEEP.call_once(|| sweep(&root));
    root.join(std::process::id().to_string()).join(name)
}

/// Removes what processes left that are no more.
fn sweep(root: &Path) {
    for left in std::fs::read_dir(root).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(left.file_name()).exists() {
            let _ = std::fs::remove_dir_all(left.path());
        }
    }
}
