//! openraft's network over the node's links: one of these a group and follower, all sharing them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::StreamAppendResult;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend, RaftNetworkV2};
use thalweg_types::{GroupId, NodeId};

use crate::codec::{TypeConfig, Vote};
use crate::company::in_company;
use crate::transport::{AppendResult, CallError, Lane, Peers, Reply, Request};

type GroupSnapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, Bytes>;
type Outcome<T> = Result<T, RPCError<TypeConfig>>;

/// Makes the network of one group.
pub(crate) struct GroupNetwork {
    pub(crate) group: GroupId,
    pub(crate) peers: Arc<Peers>,
    pub(crate) append_window: usize,
}

impl GroupNetwork {
    fn to(&self, target: u64, lane: Lane) -> PeerNetwork {
        let (group, peers, window) = (self.group, self.peers.clone(), self.append_window);
        let commit_wait = peers.timing().commit_wait;
        PeerNetwork { group, peers, target: NodeId(target), lane, window, commit_wait }
    }
}

impl RaftNetworkFactory<TypeConfig> for GroupNetwork {
    type Network = PeerNetwork;

    async fn new_client(&mut self, target: u64, _node: &()) -> PeerNetwork {
        self.to(target, Lane::Data)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &()) -> PeerNetwork {
        self.to(target, Lane::Control)
    }
}

/// One group's way to one node.
pub(crate) struct PeerNetwork {
    group: GroupId,
    peers: Arc<Peers>,
    target: NodeId,
    lane: Lane,
    window: usize,
    commit_wait: Duration,
}

fn failed(error: CallError) -> RPCError<TypeConfig> {
    match error {
        CallError::NotConnected => RPCError::Unreachable(Unreachable::new(&AnyError::new(&error))),
        CallError::NoReply => RPCError::Network(NetworkError::new(&AnyError::new(&error))),
    }
}

fn unexpected(reply: Reply) -> RPCError<TypeConfig> {
    let why = match reply {
        Reply::Refused(why) => why,
        other => format!("unexpected reply {other:?}"),
    };
    RPCError::Unreachable(Unreachable::new(&AnyError::error(why)))
}

fn append_outcome(reply: Reply) -> Outcome<StreamAppendResult<TypeConfig>> {
    match reply {
        Reply::Append(AppendResult::Matched(id)) => Ok(Ok(id)),
        Reply::Append(AppendResult::Conflict(id)) => Ok(Err(StreamAppendError::Conflict(id))),
        Reply::Append(AppendResult::HigherVote(vote)) => Ok(Err(StreamAppendError::HigherVote(vote))),
        other => Err(unexpected(other)),
    }
}

impl PeerNetwork {
    async fn ask(&self, request: Request) -> Outcome<Reply> {
        self.peers.ask(self.target, request).await.map_err(failed)
    }

    async fn ask_vote(&self, request: Request) -> Outcome<VoteResponse<TypeConfig>> {
        match self.ask(request).await? {
            Reply::Vote(response) => Ok(response),
            other => Err(unexpected(other)),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for PeerNetwork {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Outcome<AppendEntriesResponse<TypeConfig>> {
        append_outcome(self.ask(Request::Append(self.group, rpc)).await?).map(Into::into)
    }

    /// Sends in order and takes the answers in order, `window` of them on their way at most.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Outcome<BoxStream<'s, Outcome<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let (group, target, lane, peers) = (self.group, self.target, self.lane, self.peers.clone());
        let reply_timeout = option.soft_ttl();
        let sent = in_company(input, self.commit_wait).then(move |append| {
            let peers = peers.clone();
            async move { peers.send(target, lane, Request::Append(group, append)).await }
        });
        let replies = sent.map(move |sent| async move {
            let reply = tokio::time::timeout(reply_timeout, sent.map_err(failed)?).await;
            append_outcome(reply.map_err(|_| failed(CallError::NoReply))?.map_err(|_| failed(CallError::NoReply))?)
        });
        let results: BoxStream<'s, _> = Box::pin(replies.buffered(self.window));
        Box::pin(async move { Ok(results) })
    }

    async fn vote(&mut self, rpc: VoteRequest<TypeConfig>, _option: RPCOption) -> Outcome<VoteResponse<TypeConfig>> {
        self.ask_vote(Request::Vote(self.group, rpc)).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Outcome<VoteResponse<TypeConfig>> {
        self.ask_vote(Request::PreVote(self.group, rpc)).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: GroupSnapshot,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let meta = snapshot.meta;
        let request = Request::Snapshot(self.group, vote, meta.last_log_id, meta.last_membership, snapshot.snapshot);
        match self.peers.ask(self.target, request).await {
            Ok(Reply::Snapshot(vote)) => Ok(SnapshotResponse::new(vote)),
            Ok(other) => Err(StreamingError::Unreachable(Unreachable::new(&AnyError::error(format!("{other:?}"))))),
            Err(error) => Err(StreamingError::Unreachable(Unreachable::new(&AnyError::new(&error)))),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Outcome<TransferLeaderResponse<TypeConfig>> {
        let last = req.last_log_id().copied();
        match self.ask(Request::Transfer(self.group, *req.from_leader(), *req.to_node_id(), last)).await? {
            Reply::Yes | Reply::No => Ok(Ok(())),
            other => Err(unexpected(other)),
        }
    }
}
