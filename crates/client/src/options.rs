//! Settings of a client. Data, and the two things a simulation replaces: connector and seed.

use std::sync::Arc;
use std::time::Duration;

use crate::connect::{Connector, TcpConnector};

/// How to reach a cluster and how long to try.
#[derive(Clone)]
pub struct Options {
    /// `host:port` of any nodes; more are learned from the cluster. At least one.
    pub endpoints: Vec<String>,
    /// Whether every call begins at the first endpoint, rather than where the last one succeeded:
    /// for who must see its own changes there. Default false.
    pub home_first: bool,
    /// For one connection attempt; default 1 s.
    pub connect_timeout: Duration,
    /// For one call including its retries, unless said otherwise; default 10 s.
    pub request_timeout: Duration,
    /// Opens connections; default [`TcpConnector`].
    pub connector: Arc<dyn Connector>,
    /// Makes producer ids and jitter repeatable; default: seeded by the operating system.
    pub seed: Option<u64>,
}

impl Options {
    /// Defaults for a cluster reachable at any of `endpoints`.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Options {
        Options {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            home_first: false,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(10),
            connector: Arc::new(TcpConnector),
            seed: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}
