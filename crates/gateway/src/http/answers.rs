//! Answers that may be large, held to a bound on all of them.
//!
//! A page of records is in memory twice while it is written as JSON or CBOR, and then until its reader
//! has taken it. Room is taken before the page is read, and given back with the last of its bytes.
//!
//! ```text
//!   room? ──► read a page ──► keep what it needs ──► encode ──► keep what is left to send ──► sent
//!    │ half is taken: a small page                               │ not taken for 20 s: cut
//!    └ all is taken for 5 s: throttled
//! ```
//! Holds: what is in memory for pages has a bound in all; while half of it is free, pages have their
//! full size, then small ones, so that reads which wait for something else hold up few others. A
//! reader that takes nothing for [`STALL_MAX`], or not all within [`SENDING_MAX`], gets no more: its
//! answer breaks off.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use thalweg_kinesis::{ApiError, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

/// Bytes of pages in memory at the same time.
pub(crate) const ANSWERS_BYTES_MAX: usize = 512 * 1024 * 1024;
/// How long a reader may take nothing of its answer.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(20);
/// How long it may take for all of it.
const SENDING_MAX: Duration = Duration::from_secs(300);
/// How long a read may wait for room.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);
/// What is handed to a connection at once.
const PIECE_BYTES: usize = 64 * 1024;
/// A record's part of an answer besides its data and key, at most.
const RECORD_BYTES: usize = 256;

/// Room for answers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AnswerRoom {
    free: Arc<Semaphore>,
    bytes_max: usize,
    stall_max: Duration,
}

/// The room of one answer, free again when this is dropped.
pub(crate) struct Room {
    of: AnswerRoom,
    taken: OwnedSemaphorePermit,
}

/// What a page of so many bytes takes in all: itself, and as base64.
fn weight(page_bytes: usize) -> usize {
    page_bytes * 5 / 2
}

impl AnswerRoom {
    pub(crate) fn new(bytes_max: usize, stall_max: Duration) -> AnswerRoom {
        AnswerRoom { free: Arc::new(Semaphore::new(bytes_max)), bytes_max, stall_max }
    }

    /// Takes room for a page, and says how many bytes it may have: `wanted`, or less where many
    /// answers are under way.
    pub(crate) async fn for_page(&self, wanted: u32, least: u32) -> Result<(Room, u32), ApiError> {
        let much = weight(wanted as usize);
        let plenty = self.free.available_permits() >= much.saturating_add(self.bytes_max / 2);
        let page = if plenty { wanted } else { least.min(wanted) };
        let taken = self.take(weight(page as usize)).await?;
        Ok((Room { of: self.clone(), taken }, page))
    }

    async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let permits = u32::try_from(bytes.min(self.bytes_max)).unwrap_or(u32::MAX);
        match timeout(ROOM_TIMEOUT, self.free.clone().acquire_many_owned(permits)).await {
            Ok(Ok(taken)) => Ok(taken),
            _ => {
                let text = "this node has as many answers under way as it can hold; try again in a moment";
                Err(ApiError::new(ErrorKind::ProvisionedThroughputExceeded, text))
            }
        }
    }
}

impl Room {
    /// Takes more room or less: for a page that has been read. One batch comes whatever was asked for,
    /// so it may be larger than that.
    pub(crate) async fn fit(&mut self, page_bytes: usize, records: usize) -> Result<(), ApiError> {
        let needed = weight(page_bytes) + records * RECORD_BYTES;
        let more = needed.min(self.of.bytes_max).saturating_sub(self.taken.num_permits());
        if more > 0 {
            self.taken.merge(self.of.take(more).await?);
        }
        self.keep(needed);
        Ok(())
    }

    /// Gives back what is more than so many bytes.
    fn keep(&mut self, bytes: usize) {
        let spare = self.taken.num_permits().saturating_sub(bytes);
        drop(self.taken.split(spare));
    }

    /// The answer as a body that takes it along.
    pub(crate) fn body(mut self, answer: Bytes) -> Body {
        if answer.len() <= PIECE_BYTES {
            return Body::from(answer);
        }
        self.keep(answer.len());
        let stall_max = self.of.stall_max;
        let sending = Arc::new(Mutex::new(Sending { rest: answer, room: Some(self), cut: false }));
        let watch = tokio::spawn(watch(sending.clone(), stall_max)).abort_handle();
        Body::from_stream(futures::stream::unfold(Pieces { sending, watch }, |pieces| async move {
            let piece = pieces.sending.lock().next()?;
            Some((piece, pieces))
        }))
    }
}

/// What has not been handed to the connection yet.
struct Sending {
    rest: Bytes,
    room: Option<Room>,
    cut: bool,
}

impl Sending {
    fn give_up(&mut self) {
        (self.rest, self.room) = (Bytes::new(), None);
    }

    /// The next piece, as bytes of its own: the whole answer must not stay for the sake of a piece.
    fn next(&mut self) -> Option<io::Result<Bytes>> {
        if std::mem::take(&mut self.cut) {
            return Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not taken in time")));
        }
        let piece = Bytes::copy_from_slice(&self.rest[..self.rest.len().min(PIECE_BYTES)]);
        self.rest.advance(piece.len());
        if self.rest.is_empty() {
            self.give_up();
        }
        (!piece.is_empty()).then_some(Ok(piece))
    }
}

/// Ends the watch with the body.
struct Pieces {
    sending: Arc<Mutex<Sending>>,
    watch: AbortHandle,
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.watch.abort();
        self.sending.lock().give_up();
    }
}

/// Breaks off an answer that is not taken.
async fn watch(sending: Arc<Mutex<Sending>>, stall_max: Duration) {
    let since = Instant::now();
    let mut left = sending.lock().rest.len();
    loop {
        sleep(stall_max).await;
        let mut sending = sending.lock();
        if sending.rest.len() == left || since.elapsed() >= SENDING_MAX {
            sending.cut = !sending.rest.is_empty();
            return sending.give_up();
        }
        left = sending.rest.len();
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    const KIB: usize = 1024;

    fn room(kib: usize) -> AnswerRoom {
        AnswerRoom::new(kib * KIB, STALL_MAX)
    }

    fn free(room: &AnswerRoom) -> usize {
        room.free.available_permits() / KIB
    }

    #[tokio::test(start_paused = true)]
    async fn pages_get_smaller_before_reads_have_to_wait_and_are_then_throttled() {
        let room = room(1_000);
        let mut held = Vec::new();
        let mut sizes = Vec::new();
        let error = loop {
            match room.for_page(100 * KIB as u32, 10 * KIB as u32).await {
                Ok((page, bytes)) => {
                    sizes.push(bytes as usize / KIB);
                    held.push(page);
                }
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, ErrorKind::ProvisionedThroughputExceeded);
        assert_eq!(sizes, [vec![100, 100], vec![10; 20]].concat(), "half in large pages, half in small ones");
        held.truncate(1);
        assert_eq!(free(&room), 750);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_keeps_what_it_needs() {
        let room = room(1_000);
        let (mut page, _) = room.for_page(100 * KIB as u32, 1).await.unwrap();
        page.fit(0, 0).await.unwrap();
        assert_eq!(free(&room), 1_000, "an empty page takes nothing");
        page.fit(200 * KIB, 4).await.unwrap();
        assert_eq!(free(&room), 499, "one that came larger than it was asked for takes more");
        let body = page.body(Bytes::from(vec![0; 300 * KIB]));
        assert_eq!(free(&room), 700, "only the answer is left");
        drop(body);
        assert_eq!(free(&room), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_arrives_whole_and_leaves_no_trace() {
        let room = room(1_000);
        let answer: Vec<u8> = (0..300 * KIB).map(|at| (at % 251) as u8).collect();
        for bytes in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, answer.len()] {
            let (page, _) = room.for_page(10 * KIB as u32, 1).await.unwrap();
            let body = page.body(Bytes::copy_from_slice(&answer[..bytes]));
            let mut pieces = body.into_data_stream();
            let mut arrived = Vec::new();
            while let Some(piece) = pieces.next().await {
                arrived.extend_from_slice(&piece.unwrap());
                sleep(STALL_MAX / 2).await;
            }
            assert!(arrived == answer[..bytes], "{bytes} bytes");
            assert_eq!(free(&room), 1_000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_gives_its_room_back_and_its_answer_breaks_off() {
        let room = room(1_000);
        let (page, _) = room.for_page(100 * KIB as u32, 1).await.unwrap();
        let mut pieces = page.body(Bytes::from(vec![0; 200 * KIB])).into_data_stream();
        pieces.next().await.unwrap().unwrap();
        assert_eq!(free(&room), 800);
        sleep(2 * STALL_MAX + Duration::from_secs(1)).await;
        assert_eq!(free(&room), 1_000);
        assert!(pieces.next().await.unwrap().is_err(), "it must not look like the end");
        assert!(pieces.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_too_slow_is_cut_as_well() {
        let room = room(100_000);
        let (page, _) = room.for_page(10_000 * KIB as u32, 1).await.unwrap();
        let mut pieces = page.body(Bytes::from(vec![0; 10_000 * KIB])).into_data_stream();
        let begun = Instant::now();
        while let Some(Ok(_)) = pieces.next().await {
            sleep(STALL_MAX - Duration::from_secs(1)).await;
        }
        assert!(begun.elapsed() < SENDING_MAX + 3 * STALL_MAX, "cut after {:?}", begun.elapsed());
        assert_eq!(free(&room), 100_000);
    }
}
