//! One Raft group on this node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use openraft::entry::RaftEntry;
use openraft::impls::ProgressResponder;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use openraft::{Instant as _, ReadPolicy, ServerState};
use parking_lot::Mutex;
use thalweg_storage::{GroupLog, Health};
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{GroupId, NodeId};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::applier::Applier;
use crate::codec::{LogId, Snapshot, SnapshotMeta, TypeConfig, committed_term};
use crate::groups::NodeParts;
use crate::membership::{self, MembershipError};
use crate::read::{self, Page, ReadBarrierError, ReadError};
use crate::repair::{Damaged, Need, Repairer};
use crate::standing::Standing;
use crate::transport::{AppendResult, Reply, Request};
use crate::{GroupOptions, GroupStatus, Payload, Proposal, ProposeError, failover, fence, hand_over};

pub(crate) type Raft = openraft::Raft<TypeConfig, Applier>;
type RaftInstant = openraft::type_config::alias::InstantOf<TypeConfig>;

/// A group that is open on this node. Cheap to clone.
#[derive(Clone)]
pub struct Group(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) id: GroupId,
    pub(crate) options: GroupOptions,
    pub(crate) node: Arc<NodeParts>,
    pub(crate) log: GroupLog,
    pub(crate) applier: Applier,
    pub(crate) status: watch::Sender<GroupStatus>,
    /// The newest term whose leader has spoken since this replica was opened.
    pub(crate) heard_term: watch::Sender<u64>,
    pub(crate) standing: Standing,
    /// Somebody campaigned who has less than this replica.
    pub(crate) called: Notify,
    /// A task campaigns for this replica.
    pub(crate) campaigning: AtomicBool,
    /// Looks in a row that found this replica without a living leader.
    pub(crate) orphaned_looks: AtomicU64,
    pub(crate) repairer: Arc<Repairer>,
    raft: Raft,
    awake: AtomicBool,
    fenced: AtomicBool,
    /// Everything that was lost is back.
    pub(crate) vouched_for: Arc<Notify>,
    /// When this replica last lost sight of a majority.
    doubted_at: Mutex<Option<RaftInstant>>,
    last_active: Mutex<Instant>,
    wakes: AtomicU64,
    propose_order: tokio::sync::Mutex<()>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What a group is made of besides its node.
pub(crate) struct Parts {
    pub(crate) log: GroupLog,
    pub(crate) applier: Applier,
    pub(crate) repairer: Arc<Repairer>,
    pub(crate) raft: Raft,
}

/// How long a proposal may wait for a sleeping leader to be confirmed.
const WAKE_TIMEOUT: Duration = Duration::from_secs(2);

impl Group {
    pub(crate) fn new(id: GroupId, options: GroupOptions, node: Arc<NodeParts>, parts: Parts) -> Group {
        let Parts { log, applier, repairer, raft } = parts;
        let fenced = log.state().fenced;
        Group(Arc::new(Inner {
            id,
            options,
            node,
            log,
            applier,
            status: watch::Sender::new(GroupStatus { fenced, ..GroupStatus::default() }),
            heard_term: watch::Sender::new(0),
            standing: Standing::new(),
            called: Notify::new(),
            campaigning: AtomicBool::new(false),
            orphaned_looks: AtomicU64::new(0),
            repairer,
            raft,
            awake: AtomicBool::new(false),
            fenced: AtomicBool::new(fenced),
            vouched_for: Arc::default(),
            doubted_at: Mutex::default(),
            last_active: Mutex::new(Instant::now()),
            wakes: AtomicU64::new(0),
            propose_order: tokio::sync::Mutex::new(()),
            tasks: Mutex::default(),
        }))
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// The group's id.
    pub fn id(&self) -> GroupId {
        self.0.id
    }

    /// What this replica knows of the group; changes with leader, term and membership.
    pub fn status(&self) -> watch::Receiver<GroupStatus> {
        self.0.status.subscribe()
    }

    /// Index of the last applied entry; moves after every apply.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.0.applier.applied()
    }

    /// How many entries that the living leader said are committed are not applied here; nothing if
    /// this replica cannot tell, because it knows no such leader, is fenced, or leads and is cut off: there
    /// may be another leader then.
    pub fn entries_behind(&self) -> Option<u64> {
        if planted(Planted::FollowerClaimsNewest) {
            return Some(0);
        }
        let inner = &self.0;
        let status = inner.status.borrow();
        let leads = (status.leading && inner.has_its_majority(&status.voters)).then_some(0);
        let leader = status.leader.filter(|leader| inner.node.peers.is_up(*leader) && !status.fenced);
        leads.or_else(|| leader.and_then(|_| inner.standing.behind(status.term, inner.last_applied())))
    }

    /// Whether this replica votes and has not been close to its leader yet since it was opened.
    pub fn is_catching_up(&self) -> bool {
        let inner = &self.0;
        let status = inner.status.borrow();
        let greeting = inner.node.options.timing.greeting();
        status.voters.contains(&inner.node.id)
            && !status.leading
            && inner.standing.is_catching_up(status.term, inner.last_applied(), greeting)
    }

    /// The group's log on this node. Only entries up to [`applied`](Self::applied) are committed.
    pub fn log(&self) -> &GroupLog {
        &self.0.log
    }

    /// Queues a command, in the order of these calls; its outcome comes from the [`Proposal`].
    pub async fn propose(&self, payload: Payload) -> Result<Proposal, ProposeError> {
        self.queue(payload, None).await
    }

    /// As [`Self::propose`], if this replica leads in `term` when the command's turn comes.
    pub async fn propose_in(&self, term: u64, payload: Payload) -> Result<Proposal, ProposeError> {
        self.queue(payload, Some(term)).await
    }

    async fn queue(&self, payload: Payload, term: Option<u64>) -> Result<Proposal, ProposeError> {
        let inner = &self.0;
        if let Health::DiskFull { .. } = *inner.node.health.borrow() {
            return Err(ProposeError::DiskFull);
        }
        if inner.is_fenced() && inner.leads() {
            return Err(ProposeError::Unavailable { reason: "an entry of the log is damaged here".to_owned() });
        }
        let _in_order = inner.propose_order.lock().await;
        inner.ready_to_propose().await?;
        let (responder, receiver) = ProgressResponder::complete_only();
        let write = inner.raft.write(payload).responder(responder);
        let queued = match term {
            Some(term) => write.with_leader(committed_term(term)).into_future().await,
            None => write.into_future().await,
        };
        queued.map_err(|fatal| ProposeError::Unavailable { reason: fatal.to_string() })?;
        Ok(Proposal { receiver, status: self.status() })
    }

    /// Waits until this replica has applied everything that was acknowledged before the call.
    pub async fn read_barrier(&self) -> Result<u64, ReadBarrierError> {
        let inner = &self.0;
        if inner.is_fenced() {
            return Err(ReadBarrierError("this replica is fenced".to_owned()));
        }
        if planted(Planted::FreshReadUnconfirmed) && inner.leads() {
            return Ok(*self.applied().borrow());
        }
        inner.wake();
        let barrier = inner.raft.ensure_linearizable(ReadPolicy::ReadIndex).boxed();
        let timeout = inner.node.options.timing.rpc_timeout;
        match tokio::time::timeout(timeout, barrier).await {
            Ok(Ok(_)) => Ok(*self.applied().borrow()),
            Ok(Err(error)) => Err(ReadBarrierError(error.to_string())),
            Err(_) => Err(ReadBarrierError(format!("no answer within {timeout:?}"))),
        }
    }

    /// Committed commands from index `from`, at most `max_bytes` but at least one if there is any.
    pub async fn read(&self, from: u64, max_bytes: usize) -> Result<Page, ReadError> {
        let mut applied = *self.applied().borrow();
        if planted(Planted::UncommittedRead) {
            applied = self.0.log.state().last.map_or(0, |(index, _)| index);
        }
        read::read(&self.0.log, from, applied, max_bytes).await
    }

    /// Makes `voters` the group's voters: new ones learn first, then one joint change, then the
    /// others leave. Only on the leader, as long as the term lasts; repeating it is harmless.
    pub async fn change_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), MembershipError> {
        let term = self.status().borrow().term;
        self.change_voters_in(term, voters).await
    }

    /// As [`Self::change_voters`], if this replica leads in `term`: what the caller went by may be
    /// outdated in any other, even if this replica leads again.
    pub async fn change_voters_in(&self, term: u64, voters: BTreeSet<NodeId>) -> Result<(), MembershipError> {
        self.0.wake();
        // One that slept has no lease, without which openraft refuses.
        self.0.confirm_leading().await.map_err(|error| MembershipError::Refused(error.to_string()))?;
        membership::change_voters(&self.0, term, voters).boxed().await
    }

    /// Hands leadership to `to`. Only on the leader; returns when another replica leads, or without
    /// any effect when `to` is not there or has not caught up.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), MembershipError> {
        self.0.wake();
        hand_over::hand_over(&self.0, to).boxed().await
    }

    /// Puts a peer's copy in the place of an entry whose bytes are damaged here; nothing if they
    /// are not. Asks every node once.
    pub async fn repair(&self, index: u64) -> Result<(), Damaged> {
        self.0.repairer.repair(index, Need::Once).await
    }
}

impl Inner {
    pub(crate) fn raft(&self) -> &Raft {
        &self.raft
    }

    /// Whether this replica may not vote, campaign, lead or vouch for what is newest: its log lost
    /// acknowledged entries, or one that it needs is damaged.
    pub(crate) fn is_fenced(&self) -> bool {
        self.lost_entries() || self.repairer.lacks().borrow().any()
    }

    fn lost_entries(&self) -> bool {
        self.fenced.load(Ordering::Acquire) && !planted(Planted::FenceIgnored)
    }

    pub(crate) fn is_awake(&self) -> bool {
        self.awake.load(Ordering::Acquire)
    }

    /// Whether a majority of the voters is there, and has not been away since it last answered this
    /// leader: while it was, it may have elected another one.
    fn has_its_majority(&self, voters: &BTreeSet<NodeId>) -> bool {
        use openraft::async_runtime::WatchReceiver;
        if self.is_cut_off(voters) {
            return false;
        }
        let Some(doubted_at) = *self.doubted_at.lock() else { return true };
        let acked = self.raft.metrics().borrow_watched().last_quorum_acked.as_deref().copied();
        acked.is_some_and(|acked| acked > doubted_at)
    }

    fn is_cut_off(&self, voters: &BTreeSet<NodeId>) -> bool {
        let up = |voter: &&NodeId| **voter == self.node.id || self.node.peers.is_up(**voter);
        voters.iter().filter(up).count() * 2 <= voters.len()
    }

    /// A voter is not there any more.
    pub(crate) fn lose_sight(&self) {
        let voters = self.status.borrow().voters.clone();
        if self.is_cut_off(&voters) {
            *self.doubted_at.lock() = Some(RaftInstant::now());
        }
    }

    /// How long nothing but heartbeats has happened.
    pub(crate) fn idle_for(&self) -> Duration {
        self.last_active.lock().elapsed()
    }

    fn touch(&self) {
        *self.last_active.lock() = Instant::now();
    }

    /// Counts wake-ups, so that falling asleep can tell whether something happened meanwhile.
    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Acquire)
    }

    /// The group's core ended without being told to: the node must not limp on.
    pub(crate) fn report_stopped(&self) {
        use openraft::async_runtime::WatchReceiver;
        let state = self.raft.metrics().borrow_watched().running_state.clone();
        let why = state.err().map_or_else(|| "it ended".to_owned(), |fatal| fatal.to_string());
        tracing::error!(group = %self.id, why, "a raft group stopped; this node must be restarted");
        self.node.failure.send_replace(Some(format!("raft group {} stopped: {why}", self.id)));
    }

    /// Lets timers run: heartbeats on the leader, election time-outs on followers.
    pub(crate) fn wake(&self) {
        self.touch();
        self.wakes.fetch_add(1, Ordering::AcqRel);
        if !self.awake.swap(true, Ordering::AcqRel) {
            self.raft.runtime_config().elect(!self.is_fenced());
            self.raft.runtime_config().tick(true);
            self.node.awake.lock().insert(self.id);
        }
    }

    /// Stops all timers; node-level liveness takes their place.
    pub(crate) fn sleep(&self) {
        if self.awake.swap(false, Ordering::AcqRel) {
            self.raft.runtime_config().tick(false);
            self.node.awake.lock().remove(&self.id);
        }
    }

    /// A leader that slept has no lease: it must hear from a majority before it takes a command.
    async fn ready_to_propose(&self) -> Result<(), ProposeError> {
        if self.is_awake() {
            self.touch();
            return Ok(());
        }
        let status = self.status.borrow().clone();
        if status.leader != Some(self.node.id) {
            return Err(ProposeError::NotLeader { leader: status.leader });
        }
        self.wake();
        self.confirm_leading().await
    }

    /// Hears from a majority.
    async fn confirm_leading(&self) -> Result<(), ProposeError> {
        let confirmed = self.raft.ensure_linearizable(ReadPolicy::ReadIndex).boxed();
        match tokio::time::timeout(WAKE_TIMEOUT, confirmed).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ProposeError::NotLeader { leader: None }),
            Err(_) => Err(ProposeError::Unavailable { reason: "no majority answers".to_owned() }),
        }
    }

    /// Notes that the leader of `term` speaks.
    fn hear(&self, term: u64) {
        if !self.is_awake() {
            self.wake();
        }
        self.heard_term.send_if_modified(|heard| {
            let newer = term > *heard;
            *heard = term.max(*heard);
            newer
        });
    }

    /// Whether an append from a leader may come in.
    pub(crate) fn admit(&self, append: &AppendEntriesRequest<TypeConfig>) -> Result<(), String> {
        if append.vote.leader_id.voted_for == self.node.id.0 {
            return Err("an append in the name of its receiver".to_owned());
        }
        self.hear(append.vote.leader_id.term);
        self.standing.hear(append.vote.leader_id.term, append.leader_commit);
        if append.entries.is_empty() {
            return Ok(());
        }
        self.touch();
        if self.repairer.lacks().borrow().stands_still() {
            return Err("a damaged entry keeps this replica from applying".to_owned());
        }
        match &*self.node.health.borrow() {
            Health::Ok => Ok(()),
            Health::DiskFull { .. } => Err("the disk has no room for entries".to_owned()),
            Health::Failed(why) => Err(format!("storage failed: {why}")),
        }
    }

    /// After an append of the leader of `leader_term`, whom this replica follows: lowers the fence when
    /// the leader's word shows that everything is back.
    fn observe_commit(&self, leader_term: u64, committed: Option<LogId>) {
        if self.lost_entries() && fence::may_lower(leader_term, committed, |index| self.log.read_term(index)) {
            self.take_fence_down();
        }
    }

    /// Whether a candidate is answered. In a pair a replica that lost entries is, and if it has all
    /// that the candidate has, it has everything back.
    fn may_vote(&self, request: &VoteRequest<TypeConfig>, pair: bool) -> bool {
        if !self.is_fenced() {
            return true;
        }
        if !pair || self.repairer.lacks().borrow().any() {
            return false;
        }
        if fence::has_all_of(request.last_log_id, |index| self.log.read_term(index)) {
            self.take_fence_down();
        }
        true
    }

    /// Everything is back. The fence comes down when the disk knows it: what only memory knows, all
    /// voters may forget together, and then none of them could elect another ever again.
    pub(crate) fn take_fence_down(&self) {
        self.vouched_for.notify_one();
    }

    /// Once [`take_fence_down`](Self::take_fence_down) was called.
    pub(crate) async fn save_lowered_fence(&self) {
        if !self.lost_entries() {
            return;
        }
        self.log.lower_fence();
        if let Err(error) = self.node.save().await {
            return tracing::warn!(group = %self.id, %error, "the fence stays until it is saved that it may come down");
        }
        self.fenced.store(false, Ordering::Release);
        self.mind_fence();
        tracing::warn!(group = %self.id, "replica has its lost entries back; the fence is lowered");
    }

    /// The fence was raised or lowered.
    pub(crate) fn mind_fence(&self) {
        let fenced = self.is_fenced();
        self.raft.runtime_config().elect(!fenced);
        self.status.send_if_modified(|status| std::mem::replace(&mut status.fenced, fenced) != fenced);
    }

    /// Answers a question of another node.
    pub(crate) async fn answer(&self, from: NodeId, request: Request) -> Reply {
        match request {
            Request::Append(_, append) => self.answer_append(append).await,
            Request::Vote(_, ref vote, pair) | Request::PreVote(_, ref vote, pair) if !self.may_vote(vote, pair) => {
                Reply::Refused("fenced".to_owned())
            }
            Request::Vote(_, vote, _) => {
                self.wake();
                let candidate_last = vote.last_log_id;
                self.answer_candidate(candidate_last, self.raft.vote(vote).await)
            }
            Request::PreVote(_, vote, _) => {
                // Somebody misses a leader. If it lacks entries it will never be one, and asks nobody for
                // a vote: whoever has more must not sleep on, as one that a higher term deposed may.
                self.wake();
                let candidate_last = vote.last_log_id;
                self.answer_candidate(candidate_last, self.raft.pre_vote(vote).await)
            }
            Request::Snapshot(_, vote, last_log_id, last_membership, data) => {
                let meta = SnapshotMeta { last_log_id, last_membership };
                let snapshot = Snapshot { meta, snapshot: data };
                let installed = self.raft.install_full_snapshot(vote, snapshot).await;
                installed.map_or_else(refused, |response| Reply::Snapshot(response.vote))
            }
            Request::Transfer(_, vote, to, last) => {
                if self.is_fenced() {
                    return Reply::No;
                }
                self.wake();
                let request = openraft::raft::TransferLeaderRequest::new(vote, to, last);
                match self.raft.handle_transfer_leader(request).await {
                    Ok(Ok(())) => Reply::Yes,
                    Ok(Err(_)) if to == self.node.id.0 && self.status.borrow().leader.is_none_or(|l| l == from) => {
                        // An earlier attempt moved this node's vote on and was not answered: again.
                        failover::give_up_lease(self, self.node.id).await;
                        Reply::Yes
                    }
                    Ok(Err(_)) => Reply::No,
                    Err(fatal) => refused(fatal),
                }
            }
            Request::Hibernate(_, term, last) => self.answer_hibernate(from, term, last),
            Request::Ping => Reply::Yes,
            // Answered by the node, for which the group need not be open.
            Request::Fetch(..) => Reply::No,
        }
    }

    /// openraft's answer to a candidate whose log ends at `candidate_last`. If this replica has more, it is
    /// called to campaign itself. Who names no log is no candidate, see [`crate::inquiry`].
    fn answer_candidate(
        &self,
        candidate_last: Option<LogId>,
        answer: Result<VoteResponse<TypeConfig>, impl std::fmt::Display>,
    ) -> Reply {
        let has_more = |answer: &VoteResponse<TypeConfig>| answer.last_log_id > candidate_last;
        if candidate_last.is_some() && answer.as_ref().is_ok_and(|answer| !answer.vote_granted && has_more(answer)) {
            self.called.notify_one();
        }
        answer.map_or_else(refused, Reply::Vote)
    }

    /// Answers entries, or a heartbeat when there are none. Up to the first wait it only hands them
    /// to the core: in the order of the first polls.
    pub(crate) async fn answer_append(&self, append: AppendEntriesRequest<TypeConfig>) -> Reply {
        if let Err(why) = self.admit(&append) {
            return Reply::Refused(why);
        }
        let (leader_term, commit, prev) = (append.vote.leader_id.term, append.leader_commit, append.prev_log_id);
        let matched = append.entries.last().map(|last| last.log_id()).or(prev);
        let response = match self.raft.append_entries(append).await {
            Ok(response) => response,
            Err(error) => return refused(error),
        };
        self.standing.look(self.status.borrow().term, self.last_applied());
        if matches!(response, AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_)) {
            self.observe_commit(leader_term, commit);
        }
        Reply::Append(match response {
            AppendEntriesResponse::Success => AppendResult::Matched(matched),
            AppendEntriesResponse::PartialSuccess(id) => AppendResult::Matched(id),
            AppendEntriesResponse::HigherVote(vote) => AppendResult::HigherVote(vote),
            AppendEntriesResponse::Conflict => match prev {
                Some(prev) => AppendResult::Conflict(prev),
                None => return Reply::Refused("conflict at the beginning of the log".to_owned()),
            },
        })
    }

    /// A follower sleeps when the leader does, if it stands exactly where the leader says.
    fn answer_hibernate(&self, leader: NodeId, term: u64, last: u64) -> Reply {
        let status = self.status.borrow().clone();
        let applied = *self.applier.applied().borrow();
        let at_rest = status.leader == Some(leader) && status.term == term && applied == last && !status.fenced;
        if at_rest {
            self.sleep();
            Reply::Yes
        } else {
            Reply::No
        }
    }

    /// Whether this replica leads right now, by openraft's own word.
    pub(crate) fn leads(&self) -> bool {
        use openraft::async_runtime::WatchReceiver;
        self.raft.server_metrics().borrow_watched().state == ServerState::Leader
    }

    /// The state machine's answer to nothing: used where only progress matters.
    pub(crate) fn last_applied(&self) -> u64 {
        *self.applier.applied().borrow()
    }
}

fn refused(error: impl std::fmt::Display) -> Reply {
    Reply::Refused(error.to_string())
}
