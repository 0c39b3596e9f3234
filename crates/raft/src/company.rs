//! Commit indexes travel with entries where they can.
//!
//! openraft tells a follower of every commit in an append of its own when no entries are there to
//! carry it. Nobody waits for that news (it moves the follower's applied position, never an
//! acknowledgement), yet it costs both nodes as much as entries do: a frame each way and a turn of
//! both cores. So an append without entries waits a moment for one with entries, which says the
//! same and more, and is dropped when that comes. Not the first of a stream: a new leader tells its
//! followers at once where they stand.
//!
//! Holds: order is kept, and no answer is made up. What the follower answers to the later append
//! also answers the dropped one: it stands at or behind the later one's entries.

use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::raft::AppendEntriesRequest;
use tokio::time::{Instant, timeout_at};

use crate::codec::TypeConfig;

type Append = AppendEntriesRequest<TypeConfig>;

/// The appends of `input`, those without entries at most `wait` later than they came.
pub(crate) fn in_company(
    input: impl Stream<Item = Append> + Send + Unpin,
    wait: Duration,
) -> impl Stream<Item = Append> + Send {
    let (first, held): (bool, Option<(Append, Instant)>) = (true, None);
    futures::stream::unfold((input.fuse(), first, held), move |(mut input, mut first, mut held)| async move {
        loop {
            let next = match &held {
                None => Ok(input.next().await),
                Some((_, until)) => timeout_at(*until, input.next()).await,
            };
            let ready = match next {
                Ok(Some(append)) if append.entries.is_empty() && !first => {
                    // A newer commit says more; it leaves when the first would have.
                    let until = held.map_or_else(|| Instant::now() + wait, |(_, until)| until);
                    held = Some((append, until));
                    continue;
                }
                Ok(Some(append)) => {
                    (first, held) = (first && !append.entries.is_empty(), None);
                    append
                }
                Ok(None) | Err(_) => held.take()?.0,
            };
            return Some((ready, (input, first, held)));
        }
    })
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;
    use openraft::entry::RaftEntry;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;
    use crate::codec::{Entry, Vote, log_id};

    const WAIT: Duration = Duration::from_millis(20);

    fn append(commit: u64, entries: impl IntoIterator<Item = u64>) -> Append {
        let entry = |index| Entry::new(log_id(1, index), EntryPayload::Blank);
        AppendEntriesRequest {
            vote: Vote::new_committed(1, 1),
            prev_log_id: None,
            entries: entries.into_iter().map(entry).collect(),
            leader_commit: Some(log_id(1, commit)),
        }
    }

    /// Commit index and number of entries of each append that leaves, once the input has ended.
    async fn all(appends: Vec<Append>) -> Vec<(u64, usize)> {
        let leaving = in_company(futures::stream::iter(appends), WAIT);
        leaving.map(|append| (append.leader_commit.unwrap().index, append.entries.len())).collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_news_of_a_stream_does_not_wait() {
        assert_eq!(all(vec![append(1, [2]), append(2, []), append(2, [3])]).await, [(1, 1), (2, 0), (2, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_leaves_with_the_entries_that_follow() {
        let appends = vec![append(1, []), append(1, [2]), append(2, []), append(2, [3])];
        assert_eq!(all(appends).await, [(1, 0), (1, 1), (2, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_commit_leaves_when_the_input_ends() {
        let appends = vec![append(1, []), append(1, [2]), append(2, []), append(3, [])];
        assert_eq!(all(appends).await, [(1, 0), (1, 1), (3, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_without_company_leaves_once_it_has_waited() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut leaving = Box::pin(in_company(UnboundedReceiverStream::new(receiver), WAIT));
        let since = Instant::now();
        [append(4, []), append(5, [])].into_iter().for_each(|append| sender.send(append).unwrap());
        assert_eq!(leaving.next().await.unwrap().leader_commit.unwrap().index, 4);
        assert_eq!(since.elapsed(), Duration::ZERO);
        assert_eq!(leaving.next().await.unwrap().leader_commit.unwrap().index, 5);
        assert_eq!(since.elapsed(), WAIT);
        sender.send(append(6, [7])).unwrap();
        assert_eq!(leaving.next().await.unwrap().entries.len(), 1);
        assert_eq!(since.elapsed(), WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn news_upon_news_does_not_wait_longer() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut leaving = Box::pin(in_company(UnboundedReceiverStream::new(receiver), WAIT));
        sender.send(append(0, [])).unwrap();
        leaving.next().await.unwrap();
        let since = Instant::now();
        tokio::spawn(async move {
            for commit in 1.. {
                tokio::time::sleep(WAIT / 4).await;
                if sender.send(append(commit, [])).is_err() {
                    return;
                }
            }
        });
        leaving.next().await.unwrap();
        assert_eq!(since.elapsed(), WAIT + WAIT / 4);
    }
}
