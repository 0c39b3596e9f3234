//! What one stream from a peer carries, brought to the groups, and their answers brought back.
//!
//! Everything happens in the task that sends the answers: no request is handed from task to task
//! on its way to its group's core, and whatever is answered meanwhile leaves together.
//!
//! Holds: appends of one group reach it in the order they were sent; groups do not wait for each
//! other. Appends without entries keep that order too: one that overtook the entries it speaks of
//! would find them missing, and the leader would take the log for lost and search it anew. Answers
//! leave as they come. Requests that are being answered have a bound.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt};
use thalweg_types::NodeId;
use tonic::body::Body;

use super::incoming::Incoming;
use super::{Frame, Reply, Request};
use crate::{Groups, repair};

/// Requests of one stream that may wait for their answers; beyond it the stream is not read.
const ANSWERING_MAX: usize = 4096;

/// One stream from one peer, as the stream of its answers.
pub(super) struct Inbound {
    groups: Groups,
    from: NodeId,
    requests: Incoming<Body>,
    ended: bool,
    answers: FuturesUnordered<BoxFuture<'static, Frame>>,
}

impl Inbound {
    pub(super) fn new(groups: Groups, from: NodeId, body: Body) -> Inbound {
        let answers = FuturesUnordered::new();
        Inbound { groups, from, requests: Incoming::new(body), ended: false, answers }
    }

    /// Begins to answer what has arrived.
    fn take_requests(&mut self, context: &mut Context<'_>) {
        while !self.ended && self.answers.len() < ANSWERING_MAX {
            match self.requests.poll_next(context) {
                Poll::Pending => return,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(frame)) => match Request::decode(frame) {
                    Ok((number, request)) => self.begin(number, request),
                    Err(error) => {
                        tracing::warn!(%error, "a peer sent a frame that cannot be read; closing its stream");
                        self.ended = true;
                    }
                },
            }
        }
    }

    fn begin(&self, number: u64, request: Request) {
        let answer = answer(self.groups.clone(), self.from, request).map(move |reply| reply.encode(number));
        // A task's budget must not come between the appends of a group: futures that run out of it
        // are woken in another order.
        self.answers.push(tokio::task::unconstrained(answer).boxed());
    }
}

impl Stream for Inbound {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.take_requests(context);
        match self.answers.poll_next_unpin(context) {
            Poll::Ready(Some(answer)) => Poll::Ready(Some(answer)),
            // An end that was not the peer's is still to be told.
            Poll::Ready(None) if self.ended => Poll::Ready(None),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Up to the first wait this does nothing but hand an append to its group's core.
async fn answer(groups: Groups, from: NodeId, request: Request) -> Reply {
    match request {
        Request::Ping => groups.now().map_or(Reply::Yes, Reply::Time),
        Request::Fetch(group, index, term, or_snapshot) => {
            repair::answer(&groups, group, index, term, or_snapshot).await
        }
        Request::Append(group, append) => match groups.get(group) {
            Some(group) => group.inner().answer_append(append).await,
            None => not_open(),
        },
        other => match groups.get(other.group()) {
            // Goes on to its end even when the peer goes away meanwhile.
            Some(group) => {
                let answering = tokio::spawn(async move { group.inner().answer(from, other).await });
                answering.await.unwrap_or_else(|error| Reply::Refused(error.to_string()))
            }
            None => not_open(),
        },
    }
}

fn not_open() -> Reply {
    Reply::Refused("the group is not open here".to_owned())
}
