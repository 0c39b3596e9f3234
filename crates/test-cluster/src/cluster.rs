//! A cluster of processes under one temporary directory; KEEP_TEST_DATA=1 leaves it behind.

use std::path::PathBuf;

use anyhow::Context;
use futures::future::try_join_all;
use rustix::process::Signal;
use tempfile::TempDir;
use thalweg_client::{Client, CreateStream, ListShards, NodeId, Options, ShardId, StreamDescription, StreamName};

use crate::node::{Launch, TestNode};

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The node's program; `THALWEG_BIN` wins over it.
    pub binary: PathBuf,
    /// Nodes that start and form the cluster.
    pub nodes: u64,
    /// Settings of every node, in the words of the environment: `THALWEG_NODE_DEAD_AFTER`.
    pub environment: Vec<(String, String)>,
}

impl ClusterOptions {
    /// Three nodes with small log segments, so that a test's log has several.
    pub fn new(binary: &str) -> ClusterOptions {
        let binary = std::env::var_os("THALWEG_BIN").map_or_else(|| PathBuf::from(binary), PathBuf::from);
        let options = ClusterOptions { binary, nodes: 3, environment: Vec::new() };
        // Test machines are small and often full.
        options.set("THALWEG_SEGMENT_BYTES", "50331648").set("THALWEG_CACHE_BYTES", "33554432")
    }

    /// Changes the number of nodes.
    #[must_use]
    pub fn nodes(mut self, nodes: u64) -> Self {
        self.nodes = nodes;
        self
    }

    /// Adds a setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Nodes, the directory they live in, and a client.
#[derive(Debug)]
pub struct TestCluster {
    // Before the directory: processes end first.
    nodes: Vec<TestNode>,
    options: ClusterOptions,
    dir: TempDir,
}

impl TestCluster {
    /// Starts the nodes and waits until all can serve.
    pub async fn start(options: ClusterOptions) -> anyhow::Result<TestCluster> {
        let mut dir = tempfile::Builder::new().prefix("thalweg-test-").tempdir()?;
        dir.disable_cleanup(std::env::var_os("KEEP_TEST_DATA").is_some());
        let mut cluster = TestCluster { nodes: Vec::new(), options, dir };
        for id in 1..=cluster.options.nodes {
            let node = cluster.new_node(NodeId(id))?;
            cluster.nodes.push(node);
        }
        let seeds: Vec<String> = cluster.nodes.iter().map(TestNode::peer_address).collect();
        for node in &mut cluster.nodes {
            node.set_seeds(&seeds);
            node.start()?;
        }
        cluster.wait_ready().await?;
        Ok(cluster)
    }

    fn new_node(&self, id: NodeId) -> anyhow::Result<TestNode> {
        let launch = Launch {
            binary: self.options.binary.clone(),
            arguments: Vec::new(),
            environment: self.options.environment.clone(),
        };
        TestNode::new(id, self.dir.path().join(format!("node-{id}")), launch)
    }

    /// Adds a node that knows the others and starts it; it may not be ready yet.
    pub fn add_node(&mut self, id: NodeId) -> anyhow::Result<&mut TestNode> {
        let mut node = self.new_node(id)?;
        let seeds: Vec<String> = self.nodes.iter().map(TestNode::peer_address).collect();
        node.set_seeds(&seeds);
        node.start()?;
        self.nodes.push(node);
        Ok(self.nodes.last_mut().expect("one was just added"))
    }

    /// The nodes, first node first.
    pub fn nodes(&mut self) -> &mut [TestNode] {
        &mut self.nodes
    }

    /// One node.
    pub fn node(&mut self, id: NodeId) -> &mut TestNode {
        self.nodes.iter_mut().find(|node| node.id() == id).expect("a node of this cluster")
    }

    /// Waits until all nodes can serve.
    pub async fn wait_ready(&mut self) -> anyhow::Result<()> {
        try_join_all(self.nodes.iter_mut().map(TestNode::wait_ready)).await.map(drop)
    }

    /// SIGKILL to all nodes at once: no time lies between the signals in which one could act on
    /// the end of another.
    pub fn kill_all(&mut self) -> anyhow::Result<()> {
        // Halted first, so that none sees another end.
        self.nodes.iter().try_for_each(|node| node.signal(Signal::STOP))?;
        self.nodes.iter().try_for_each(|node| node.signal(Signal::KILL))?;
        self.nodes.iter_mut().try_for_each(TestNode::reap)
    }

    /// Starts all nodes and waits until they can serve.
    pub async fn restart_all(&mut self) -> anyhow::Result<()> {
        self.nodes.iter_mut().try_for_each(TestNode::start)?;
        self.wait_ready().await
    }

    /// Where clients reach the nodes.
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(TestNode::public_address).collect()
    }

    /// A new client that knows all nodes.
    pub fn client(&self) -> Client {
        let mut options = Options::new(self.endpoints());
        options.request_timeout = std::time::Duration::from_secs(30);
        Client::connect(options).expect("the endpoints are addresses")
    }

    /// Creates a stream.
    pub async fn create_stream(&self, name: &StreamName, shards: u32) -> anyhow::Result<StreamDescription> {
        let settings = CreateStream { shard_count: Some(shards), ..CreateStream::default() };
        Ok(self.client().streams().create(name, settings).await?)
    }

    /// The node that leads a shard, as the cluster says.
    pub async fn leader_of(&self, client: &Client, stream: &StreamName, shard: ShardId) -> anyhow::Result<NodeId> {
        let shards = client.streams().list_shards(stream, ListShards::default()).await?;
        let found = shards.iter().find(|found| found.id == shard).context("no such shard")?;
        found.leader.with_context(|| format!("{shard} has no leader"))
    }
}
