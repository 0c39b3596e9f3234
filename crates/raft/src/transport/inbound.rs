//! What one stream from a peer carries, brought to the groups.
//!
//! Holds: appends of one group reach it in the order they were sent, through one worker a group and
//! stream; groups do not wait for each other. Appends without entries keep that order too: one that
//! overtook the entries it speaks of would find them missing, and the leader would take the log for
//! lost and search it anew. Everything else is answered as it comes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use openraft::raft::{AppendEntriesRequest, StreamAppendError};
use parking_lot::Mutex;
use thalweg_types::{GroupId, NodeId};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{AppendResult, Frame, Reply, Request};
use crate::codec::{LogId, TypeConfig};
use crate::{Group, Groups, repair};

/// Appends of one group that may wait; the sender's window is smaller.
const WORKER_QUEUE: usize = 64;
/// A worker without work for this long ends.
const WORKER_IDLE: Duration = Duration::from_secs(5);

type Append = (u64, AppendEntriesRequest<TypeConfig>);

/// One stream from one peer.
pub(super) struct Inbound {
    groups: Groups,
    from: NodeId,
    replies: mpsc::Sender<Result<Frame, Status>>,
    workers: Mutex<HashMap<GroupId, mpsc::Sender<Append>>>,
}

impl Inbound {
    pub(super) fn new(groups: Groups, from: NodeId, replies: mpsc::Sender<Result<Frame, Status>>) -> Inbound {
        Inbound { groups, from, replies, workers: Mutex::default() }
    }

    /// Takes one request; its reply leaves by itself.
    pub(super) async fn take(self: &Arc<Self>, number: u64, request: Request) {
        if let Request::Ping = request {
            return self.reply(number, &Reply::Yes).await;
        }
        if let Request::Fetch(group, index, term) = request {
            let this = self.clone();
            tokio::spawn(async move {
                let reply = repair::answer(this.groups.node_log(), group, index, term).await;
                this.reply(number, &reply).await;
            });
            return;
        }
        let Some(group) = self.groups.get(request.group()) else {
            return self.reply(number, &Reply::Refused("the group is not open here".to_owned())).await;
        };
        match request {
            Request::Append(_, append) if !append.entries.is_empty() || self.has_worker(group.id()) => {
                self.queue(group, (number, append)).await;
            }
            other => {
                let this = self.clone();
                tokio::spawn(async move {
                    let reply = group.inner().answer(this.from, other).await;
                    this.reply(number, &reply).await;
                });
            }
        }
    }

    async fn reply(&self, number: u64, reply: &Reply) {
        // A closed channel means that the peer is gone and wants no reply any more.
        let _ = self.replies.send(Ok(reply.encode(number))).await;
    }

    async fn queue(self: &Arc<Self>, group: Group, mut append: Append) {
        // A worker may just be ending; the second attempt starts a fresh one.
        for _ in 0..2 {
            let queue = self.worker(&group);
            match queue.send(append).await {
                Ok(()) => return,
                Err(mpsc::error::SendError(unsent)) => append = unsent,
            }
            self.forget(group.id(), &queue);
        }
        self.reply(append.0, &Reply::Refused("the group is closing".to_owned())).await;
    }

    fn worker(self: &Arc<Self>, group: &Group) -> mpsc::Sender<Append> {
        let mut workers = self.workers.lock();
        let start = || {
            let (sender, receiver) = mpsc::channel(WORKER_QUEUE);
            tokio::spawn(self.clone().work(group.clone(), receiver, sender.downgrade()));
            sender
        };
        workers.entry(group.id()).or_insert_with(start).clone()
    }

    /// Whether appends of the group may be on their way to it. Heartbeats come on a stream of their
    /// own, where nothing is ahead of them.
    fn has_worker(&self, group: GroupId) -> bool {
        self.workers.lock().contains_key(&group)
    }

    fn forget(&self, group: GroupId, queue: &mpsc::Sender<Append>) {
        let mut workers = self.workers.lock();
        if workers.get(&group).is_some_and(|current| current.same_channel(queue)) {
            workers.remove(&group);
        }
    }

    /// Feeds one group until nothing comes any more.
    async fn work(self: Arc<Self>, group: Group, mut queue: mpsc::Receiver<Append>, own: mpsc::WeakSender<Append>) {
        while self.feed(&group, &mut queue).await == Feed::Failed {}
        // Taken out of the table first, so that nothing is queued to a worker that has ended.
        if let Some(own) = own.upgrade() {
            self.forget(group.id(), &own);
        }
        queue.close();
        while self.feed(&group, &mut queue).await == Feed::Failed {}
    }

    /// Pipelines appends into the group until it runs idle or one fails; those behind a failed one
    /// are refused, and the leader begins anew from where the follower stands.
    async fn feed(&self, group: &Group, queue: &mut mpsc::Receiver<Append>) -> Feed {
        let (to_raft, requests) = mpsc::channel(WORKER_QUEUE);
        let mut results = Box::pin(group.inner().raft().stream_append(ReceiverStream::new(requests)));
        let mut sent = VecDeque::new();
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                result = results.next(), if !sent.is_empty() => {
                    let (number, commit) = sent.pop_front().expect("an append is being answered");
                    let (reply, goes_on) = append_reply(result);
                    group.inner().observe_commit(commit);
                    self.reply(number, &reply).await;
                    if !goes_on {
                        return self.refuse(sent, "an append before this one failed").await;
                    }
                }
                append = queue.recv(), if open && sent.len() < WORKER_QUEUE => {
                    let Some((number, append)) = append else { open = false; continue };
                    let commit = append.leader_commit;
                    let admitted = group.inner().admit(&append).and_then(|()| {
                        to_raft.try_send(append).map_err(|_| "the group stopped".to_owned())
                    });
                    sent.push_back((number, commit));
                    if let Err(why) = admitted {
                        return self.refuse(sent, &why).await;
                    }
                }
                () = tokio::time::sleep(WORKER_IDLE), if open && sent.is_empty() => return Feed::Idle,
                else => return Feed::Idle,
            }
        }
    }

    async fn refuse(&self, unanswered: VecDeque<(u64, Option<LogId>)>, why: &str) -> Feed {
        for (number, _) in unanswered {
            self.reply(number, &Reply::Refused(why.to_owned())).await;
        }
        Feed::Failed
    }
}

/// How a pipeline ended.
#[derive(PartialEq, Eq)]
enum Feed {
    Idle,
    Failed,
}

type StreamedResult =
    Option<Result<openraft::raft::StreamAppendResult<TypeConfig>, openraft::errors::Fatal<TypeConfig>>>;

/// The reply to an append, and whether the pipeline goes on after it.
fn append_reply(result: StreamedResult) -> (Reply, bool) {
    match result {
        Some(Ok(Ok(matched))) => (Reply::Append(AppendResult::Matched(matched)), true),
        Some(Ok(Err(StreamAppendError::Conflict(id)))) => (Reply::Append(AppendResult::Conflict(id)), false),
        Some(Ok(Err(StreamAppendError::HigherVote(vote)))) => (Reply::Append(AppendResult::HigherVote(vote)), false),
        Some(Err(fatal)) => (Reply::Refused(fatal.to_string()), false),
        None => (Reply::Refused("the group stopped".to_owned()), false),
    }
}
