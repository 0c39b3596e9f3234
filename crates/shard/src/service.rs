//! The gRPC service over a [`ShardHost`]: records for clients.
//!
//! Errors become wire errors in [`wire`] and nowhere else.

mod append_stream;
mod position;
mod record;
mod tail_stream;
mod wire;

use std::sync::Arc;

use thalweg_proto::v1::record_service_server::RecordServiceServer;
use thalweg_types::{NodeId, ShardId, StreamId};

use crate::host::ShardHost;

pub use record::RecordApi;

/// Bytes of one message, either way: the largest batch and room for its frame.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where a shard is that does not run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// The cluster has no such stream, or has it in another incarnation.
    StreamUnknown,
    /// The stream has no such shard.
    ShardUnknown,
    /// The cluster has it.
    Elsewhere {
        /// Who leads it, if known.
        leader: Option<NodeId>,
    },
}

/// What a node knows of the rest of the cluster, so that it can send callers on.
pub trait Directory: Send + Sync + 'static {
    /// Where a shard is, by this node's image of the catalog.
    fn locate(&self, stream: StreamId, shard: ShardId) -> Located;

    /// Where clients reach a node.
    fn public_address(&self, node: NodeId) -> Option<String>;
}

/// The public service for records.
pub fn record_service(host: ShardHost, directory: Arc<dyn Directory>) -> RecordServiceServer<RecordApi> {
    RecordServiceServer::new(RecordApi::new(host, directory))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}
