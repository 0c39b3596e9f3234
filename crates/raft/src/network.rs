//! openraft's network over the node's links: one of these a group and follower, all sharing them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::async_runtime::WatchReceiver;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::metrics::RaftMetrics;
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::StreamAppendResult;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::WatchReceiverOf;
use openraft::{AnyError, OptionalSend, RaftNetworkV2};
use thalweg_types::{GroupId, NodeId};

use crate::codec::{Snapshot, TypeConfig, Vote};
use crate::company::in_company;
use crate::fence;
use crate::transport::{AppendResult, CallError, Lane, Peers, Reply, Request};

type Outcome<T> = Result<T, RPCError<TypeConfig>>;

/// What openraft says of one group, as soon as it runs.
pub(crate) type OwnMetrics = Arc<OnceLock<WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>>>;

/// How long a vote waits until openraft's metrics show that it is asked for.
const METRICS_LAG: Duration = Duration::from_millis(100);

/// Makes the network of one group.
pub(crate) struct GroupNetwork {
    pub(crate) group: GroupId,
    pub(crate) peers: Arc<Peers>,
    pub(crate) append_window: usize,
    pub(crate) own: OwnMetrics,
}

impl GroupNetwork {
    fn to(&self, target: u64, lane: Lane) -> PeerNetwork {
        let (group, peers, window, own) = (self.group, self.peers.clone(), self.append_window, self.own.clone());
        let commit_wait = peers.timing().commit_wait;
        PeerNetwork { group, peers, target: NodeId(target), lane, window, commit_wait, own }
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
    own: OwnMetrics,
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

    /// Whether this candidate and the target are a pair, by the log that the candidate asks with.
    async fn is_pair(&self, rpc: &VoteRequest<TypeConfig>, pre_vote: bool) -> bool {
        let pair = |metrics: &RaftMetrics<TypeConfig>| {
            fence::is_pair(metrics.membership_config.membership().get_joint_config(), metrics.id, self.target)
        };
        let Some(mut metrics) = self.own.get().cloned() else { return false };
        if !pair(&metrics.borrow_watched()) {
            return false;
        }
        // openraft tells its metrics before it turns to the next thing, so those with this vote (a
        // pre-vote is nobody's vote yet) and this end of the log have the configuration in that log.
        let last = rpc.last_log_id.map(|last| last.index);
        let asking =
            metrics.wait_until(|metrics| (pre_vote || metrics.vote == rpc.vote) && metrics.last_log_index == last);
        matches!(tokio::time::timeout(METRICS_LAG, asking).await, Ok(Ok(metrics)) if pair(&metrics))
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
        let pair = self.is_pair(&rpc, false).await;
        self.ask_vote(Request::Vote(self.group, rpc, pair)).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Outcome<VoteResponse<TypeConfig>> {
        let pair = self.is_pair(&rpc, true).await;
        self.ask_vote(Request::PreVote(self.group, rpc, pair)).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
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
