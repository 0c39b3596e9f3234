//! The peers' service: committed entries, for those whose copy is damaged.

use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::peer::shard_peer_service_server::ShardPeerService;
use thalweg_proto::peer::{FetchEntriesRequest, FetchEntriesResponse, LogEntry};
use thalweg_types::GroupId;
use tonic::{Request, Response, Status};

use crate::host::ShardHost;

/// Bytes of entries in one answer; at least one comes anyway.
const FETCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Answers peers.
pub struct PeerApi {
    host: ShardHost,
}

impl PeerApi {
    pub(super) fn new(host: ShardHost) -> PeerApi {
        PeerApi { host }
    }

    async fn entries(&self, request: FetchEntriesRequest) -> Result<Vec<LogEntry>, WireError> {
        let group = GroupId(request.group);
        let replica = self.host.replica_of(group);
        let replica = replica
            .ok_or_else(|| WireError::new(Reason::ShardNotFound, format!("group {group} does not run on this node")))?;
        // Never from a copy that is damaged as well: the log checks every byte it gives out.
        let page = replica.group().read(request.from_index, FETCH_BYTES_MAX).await;
        let page = page.map_err(|error| WireError::new(Reason::CorruptData, error.to_string()))?;
        let wanted = page.entries.into_iter().filter(|entry| entry.index <= request.to_index);
        let entries = wanted.map(|entry| LogEntry {
            index: entry.index,
            term: entry.term,
            head: entry.payload.head,
            body: entry.payload.body,
        });
        Ok(entries.collect())
    }
}

#[tonic::async_trait]
impl ShardPeerService for PeerApi {
    async fn fetch_entries(
        &self,
        request: Request<FetchEntriesRequest>,
    ) -> Result<Response<FetchEntriesResponse>, Status> {
        let entries = self.entries(request.into_inner()).await?;
        Ok(Response::new(FetchEntriesResponse { entries }))
    }
}
