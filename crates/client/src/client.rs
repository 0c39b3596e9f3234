//! The handle that everything else hangs on: connections, random source, routing caches.

use std::sync::Arc;

use thalweg_types::StreamName;
use tonic::transport::Channel;

use crate::append::Appenders;
use crate::pool::Pool;
use crate::random::Random;
use crate::routing::{Routing, Routings};
use crate::tail::connections::TailConnections;
use crate::{Cluster, ConsumerBuilder, Options, ProducerBuilder, Streams, connect};

/// A client of one cluster. Cheap to clone: clones share connections and caches.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    pool: Arc<Pool>,
    random: Random,
    routings: Routings,
    appenders: Appenders,
    tail_connections: TailConnections,
}

/// Why there is no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No endpoint was given.
    #[error("no endpoint was given: name at least one node as host:port")]
    NoEndpoint,
    /// An endpoint is not `host:port`.
    #[error("`{given}` is not an endpoint: expected host:port")]
    BadEndpoint {
        /// What was given.
        given: String,
    },
}

impl Client {
    /// A client for the cluster behind `options.endpoints`. Connects when first used, to whichever
    /// node answers.
    pub fn connect(options: Options) -> Result<Client, ConnectError> {
        if options.endpoints.is_empty() {
            return Err(ConnectError::NoEndpoint);
        }
        for given in &options.endpoints {
            let valid = given.contains(':') && connect::endpoint(given, &options).is_ok();
            if !valid {
                return Err(ConnectError::BadEndpoint { given: given.clone() });
            }
        }
        let inner = Inner {
            pool: Arc::new(Pool::new(options.clone())),
            random: Random::new(options.seed),
            routings: Routings::default(),
            appenders: Appenders::default(),
            tail_connections: TailConnections::default(),
            options,
        };
        Ok(Client { inner: Arc::new(inner) })
    }

    /// Creating, describing and changing streams.
    pub fn streams(&self) -> Streams {
        Streams::new(self.clone())
    }

    /// Nodes and leaders.
    pub fn cluster(&self) -> Cluster {
        Cluster::new(self.clone())
    }

    /// The routing of a stream, shared by all who ask for it and kept fresh while anyone holds it,
    /// and a while longer.
    pub fn routing(&self, stream: &StreamName) -> Routing {
        let follow = || Routing::follow(self.inner.pool.clone(), stream.clone(), self.inner.random.seed());
        self.inner.routings.get(stream, follow)
    }

    /// Begins to build a producer for a stream.
    pub fn producer(&self, stream: &StreamName) -> ProducerBuilder {
        ProducerBuilder::new(self.clone(), stream.clone())
    }

    /// Begins to build a consumer of a stream.
    pub fn consumer(&self, stream: &StreamName) -> ConsumerBuilder {
        ConsumerBuilder::new(self.clone(), stream.clone())
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.inner.pool
    }

    pub(crate) fn random(&self) -> &Random {
        &self.inner.random
    }

    pub(crate) fn appenders(&self) -> &Appenders {
        &self.inner.appenders
    }

    pub(crate) fn tail_connections(&self) -> &TailConnections {
        &self.inner.tail_connections
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoints", &self.inner.options.endpoints).finish_non_exhaustive()
    }
}

/// The stub of each service, with our message limits.
pub(crate) mod stub {
    use thalweg_proto::v1::cluster_service_client::ClusterServiceClient;
    use thalweg_proto::v1::record_service_client::RecordServiceClient;
    use thalweg_proto::v1::stream_service_client::StreamServiceClient;

    use super::{Channel, connect::MESSAGE_BYTES_MAX};

    pub(crate) fn streams(channel: Channel) -> StreamServiceClient<Channel> {
        StreamServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn cluster(channel: Channel) -> ClusterServiceClient<Channel> {
        ClusterServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn records(channel: Channel) -> RecordServiceClient<Channel> {
        RecordServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}
