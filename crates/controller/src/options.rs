//! What an operator may set about the controller's part of a node. Data only.

use std::time::Duration;

use thalweg_catalog::on_demand::Policy;

/// Settings of one node's membership and of the control loops, should it lead them.
#[derive(Clone, Debug)]
pub struct Options {
    /// How others reach this node, and its failure domain.
    pub advertised: Advertised,
    /// Peer addresses (`host:port`) of nodes to form or join a cluster with; this node's own may
    /// be among them. Empty: a fresh node forms a cluster alone.
    pub seeds: Vec<String>,
    /// How long a node may be out of contact before its replicas are rebuilt elsewhere.
    /// Default 5 minutes; at least 1 second.
    pub node_dead_after: Duration,
    /// Shards whose replicas may be on the move at the same time. Default 8; at least 1.
    pub moves_max: usize,
    /// How long a mutation may take before its caller learns that the outcome is open. Default 10 s.
    pub mutation_timeout: Duration,
    /// Bytes that the catalog may have before it takes nothing more. Default 24 MiB: twice that has to fit
    /// into a segment of the write-ahead log, because snapshots of it stand there whole.
    pub catalog_bytes_max: u64,
    /// When shards of on-demand streams are split and merged.
    pub on_demand: Policy,
}

/// What a node tells the cluster about itself each time it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertised {
    /// `host:port` that other nodes dial.
    pub peer_address: String,
    /// `host:port` that clients dial.
    pub public_address: String,
    /// `host:port` of health and metrics.
    pub admin_address: String,
    /// Failure domain; replicas are spread over zones.
    pub zone: String,
}

impl Options {
    /// The defaults for a node reachable as `advertised`, looking for its cluster at `seeds`.
    pub fn new(advertised: Advertised, seeds: Vec<String>) -> Options {
        Options {
            advertised,
            seeds,
            node_dead_after: Duration::from_secs(300),
            moves_max: 8,
            mutation_timeout: Duration::from_secs(10),
            catalog_bytes_max: 24 * 1024 * 1024,
            on_demand: Policy::default(),
        }
    }
}
