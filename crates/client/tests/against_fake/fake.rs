//! A cluster in memory: nodes that can be stopped, shards with logs, and faults on demand.
//!
//! What the cluster holds is in [`world`], what nodes answer in [`service`], and how clients reach
//! them in [`network`].

pub(crate) mod network;
pub(crate) mod service;
pub(crate) mod world;

use std::sync::{Arc, Mutex, MutexGuard};

use thalweg_client::{Client, Options};
use tokio::sync::watch;

use network::Network;
use world::World;

/// A running cluster of three nodes with the stream `s`.
#[derive(Clone)]
pub(crate) struct Fake {
    world: Arc<Mutex<World>>,
    changes: Arc<watch::Sender<u64>>,
    pub(crate) network: Network,
}

impl Fake {
    /// Three nodes and a stream of `shard_count` shards.
    pub(crate) fn start(shard_count: u32) -> Fake {
        let fake = Fake {
            world: Arc::new(Mutex::new(World::new(shard_count))),
            changes: Arc::new(watch::Sender::new(0)),
            network: Network::default(),
        };
        for node in 1..=3 {
            fake.network.serve(node, service::router(&fake, node));
        }
        fake
    }

    /// A client that knows all nodes.
    pub(crate) fn client(&self) -> Client {
        self.client_of(["n1:1", "n2:1", "n3:1"])
    }

    /// A client that knows these nodes.
    pub(crate) fn client_of<'a>(&self, endpoints: impl IntoIterator<Item = &'a str>) -> Client {
        Client::connect(self.options(endpoints)).unwrap()
    }

    /// How a client that knows these nodes reaches them.
    pub(crate) fn options<'a>(&self, endpoints: impl IntoIterator<Item = &'a str>) -> Options {
        Options { connector: Arc::new(self.network.clone()), seed: Some(1), ..Options::new(endpoints) }
    }

    /// Looks at the cluster.
    pub(crate) fn look(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Changes the cluster; whoever waits for a change wakes up.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.look());
        self.changes.send_modify(|version| *version += 1);
        result
    }

    /// Sees every later change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Stops a node: its connections break, its leaderships go to the next node.
    pub(crate) fn stop(&self, node: u64) {
        self.network.stop(node);
        self.change(|world| world.lose_node(node));
    }
}
