//! A tail as a gRPC stream. The caller's flow control pulls: a page is read when there is room
//! for it on the connection, so that a slow reader holds one page and no more.
//!
//! The first page comes at once, if need be empty: it tells the caller where reading began, which
//! a position like "latest" does not say.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use thalweg_proto::v1::TailResponse;
use tonic::Status;

use super::position;
use super::record::RecordApi;
use crate::read::Tail;
use crate::replica::Replica;

struct Open {
    api: RecordApi,
    replica: Arc<Replica>,
    tail: Tail,
    patience: Duration,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.api.host.metrics().tail_closed();
    }
}

/// Pages until the shard ends, an error, or the caller goes away.
pub(super) fn pages(
    api: RecordApi,
    replica: Arc<Replica>,
    tail: Tail,
) -> impl Stream<Item = Result<TailResponse, Status>> + Send {
    api.host.metrics().tail_opened();
    futures::stream::unfold(Some(Open { api, replica, tail, patience: Duration::ZERO }), |open| async {
        let mut open = open?;
        match open.tail.next_page(open.patience).await {
            Ok(page) => {
                open.patience = open.api.host.options().tail_heartbeat;
                let ended = page.end.is_some();
                let page = position::to_response(page, &open.replica.spec());
                Some((Ok(TailResponse { page: Some(page) }), (!ended).then_some(open)))
            }
            Err(error) => {
                let error = open.api.read_error(&open.replica, error);
                Some((Err(open.api.count(error).into()), None))
            }
        }
    })
}
