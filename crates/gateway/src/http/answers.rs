//! Answers that may be large, held to a bound on all of them.
//!
//! A page of records is in memory twice while it is written as JSON or CBOR, and then until its reader
//! has taken it. Room is taken before the page is read, and given back with the last of its bytes.
//!
//! ```text
//!   room? ──► read what fits in it ──► encode ──► keep what is left to send ──► sent
//!    │ half is taken: a small page │                │ not taken for 20 s: cut
//!    └ all is taken for 5 s:       └ a single batch is larger: give the room back,
//!      throttled                     take room for the largest batch, read again
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
use thalweg_types::limits::BATCH_BYTES_MAX;
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
/// What a record takes besides its data and key, at most: what was read, its members, their text.
const RECORD_BYTES: usize = 1024;

/// How large a page may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageSize {
    /// Bytes of batches at most.
    pub(crate) bytes: u32,
    /// Records at most.
    pub(crate) records: usize,
}

/// Room for answers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AnswerRoom {
    free: Arc<Semaphore>,
    bytes_max: usize,
    stall_max: Duration,
}

/// The room of one answer, free again when this is dropped.
pub(crate) struct Room {
    taken: OwnedSemaphorePermit,
    stall_max: Duration,
}

impl PageSize {
    /// What such a page takes in all: itself, and as base64.
    fn weight(self) -> usize {
        self.bytes as usize * 5 / 2 + self.records * RECORD_BYTES
    }

    fn at_most(self, other: PageSize) -> PageSize {
        PageSize { bytes: self.bytes.min(other.bytes), records: self.records.min(other.records) }
    }
}

impl AnswerRoom {
    pub(crate) fn new(bytes_max: usize, stall_max: Duration) -> AnswerRoom {
        AnswerRoom { free: Arc::new(Semaphore::new(bytes_max)), bytes_max, stall_max }
    }

    /// Reads a page that has room: of size `wanted`, or `least` where many answers are under way. A
    /// page that cannot be read in the size it may have is read again in room for the largest batch.
    pub(crate) async fn page<P, F>(
        &self,
        wanted: PageSize,
        least: PageSize,
        read: impl Fn(PageSize) -> F,
    ) -> Result<(Room, PageSize, P), ApiError>
    where
        F: Future<Output = Result<Option<P>, ApiError>>,
    {
        let plenty = self.free.available_permits() >= wanted.weight().saturating_add(self.bytes_max / 2);
        let size = if plenty { wanted } else { least.at_most(wanted) };
        let room = self.room(size).await?;
        if let Some(page) = read(size).await? {
            return Ok((room, size, page));
        }
        // Two that waited for more while they hold some would wait for each other.
        drop(room);
        let size = PageSize { bytes: BATCH_BYTES_MAX as u32, records: least.at_most(wanted).records };
        let room = self.room(size).await?;
        let page = read(size).await?;
        let text = "a batch is larger than any that may be written";
        Ok((room, size, page.ok_or_else(|| ApiError::new(ErrorKind::InternalFailure, text))?))
    }

    async fn room(&self, size: PageSize) -> Result<Room, ApiError> {
        Ok(Room { taken: self.take(size.weight()).await?, stall_max: self.stall_max })
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
        let stall_max = self.stall_max;
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
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use futures::StreamExt;

    use super::*;

    const KIB: usize = 1024;

    fn room(kib: usize) -> AnswerRoom {
        AnswerRoom::new(kib * KIB, STALL_MAX)
    }

    fn free(room: &AnswerRoom) -> usize {
        room.free.available_permits() / KIB
    }

    fn size(kib: usize) -> PageSize {
        PageSize { bytes: (kib * KIB) as u32, records: 0 }
    }

    /// Room for a page of so many KiB.
    async fn page(room: &AnswerRoom, kib: usize) -> Room {
        room.page(size(kib), size(kib), |_| std::future::ready(Ok(Some(())))).await.unwrap().0
    }

    #[tokio::test(start_paused = true)]
    async fn pages_get_smaller_before_reads_have_to_wait_and_are_then_throttled() {
        let room = room(1_000);
        let mut held = Vec::new();
        let mut sizes = Vec::new();
        let error = loop {
            match room.page(size(100), size(10), |_| std::future::ready(Ok(Some(())))).await {
                Ok((page, size, ())) => {
                    sizes.push(size.bytes as usize / KIB);
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
    async fn an_answer_keeps_what_it_needs() {
        let room = room(1_000);
        let body = page(&room, 100).await.body(Bytes::from(vec![0; 120 * KIB]));
        assert_eq!(free(&room), 880, "only the answer is left");
        drop(body);
        assert_eq!(free(&room), 1_000);
    }

    /// What readers have in memory: counted where it comes and goes, against the bound.
    struct Memory {
        held: AtomicUsize,
        most: AtomicUsize,
    }

    struct Held(Arc<Memory>, usize);

    impl Memory {
        fn hold(self: &Arc<Self>, bytes: usize) -> Held {
            self.most.fetch_max(self.held.fetch_add(bytes, SeqCst) + bytes, SeqCst);
            Held(self.clone(), bytes)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.held.fetch_sub(self.1, SeqCst);
        }
    }

    /// One reader of a shard whose next batches have so many bytes: nothing comes that does not fit.
    async fn reader(room: AnswerRoom, memory: Arc<Memory>, batch_bytes: usize) -> Result<usize, ApiError> {
        let mib = |mib: u32| PageSize { bytes: mib << 20, records: 100 };
        let held = &memory;
        let read = |size: PageSize| async move {
            sleep(Duration::from_millis(5)).await;
            if batch_bytes > size.bytes as usize {
                return Ok(None);
            }
            let arrived = held.hold(size.bytes as usize / batch_bytes * batch_bytes);
            sleep(Duration::from_millis(20)).await;
            Ok(Some(arrived))
        };
        let (room, _, arrived) = room.page(mib(10), mib(1), read).await?;
        let encoded = memory.hold(arrived.1 * 4 / 3);
        let answer = Bytes::from(vec![0; encoded.1]);
        drop(arrived);
        let mut taken = room.body(answer).into_data_stream();
        let mut bytes = 0;
        while let Some(piece) = taken.next().await {
            bytes += piece.map_or(0, |piece| piece.len());
        }
        Ok(bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_memory_for_pages_stays_below_the_bound_however_large_batches_are() {
        const BOUND: usize = 96 << 20;
        let room = AnswerRoom::new(BOUND, STALL_MAX);
        let memory = Arc::new(Memory { held: AtomicUsize::new(0), most: AtomicUsize::new(0) });
        let mut readers = tokio::task::JoinSet::new();
        let batches = [BATCH_BYTES_MAX, 9 << 20, 2 << 20, 3 << 10];
        for at in 0..400 {
            readers.spawn(reader(room.clone(), memory.clone(), batches[at % batches.len()]));
        }
        let answered = readers.join_all().await;
        assert!(answered.iter().filter(|answer| answer.is_ok()).count() > 350, "they come one after another");
        assert!(answered.iter().flatten().all(|bytes| *bytes > 1 << 20));
        let most = memory.most.load(SeqCst);
        assert!((BOUND / 4..=BOUND).contains(&most), "{} MiB at once", most >> 20);
        assert_eq!(free(&room), BOUND / KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_arrives_whole_and_leaves_no_trace() {
        let room = room(1_000);
        let answer: Vec<u8> = (0..300 * KIB).map(|at| (at % 251) as u8).collect();
        for bytes in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, answer.len()] {
            let body = page(&room, 400).await.body(Bytes::copy_from_slice(&answer[..bytes]));
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
        let mut pieces = page(&room, 100).await.body(Bytes::from(vec![0; 200 * KIB])).into_data_stream();
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
        let mut pieces = page(&room, 10_000).await.body(Bytes::from(vec![0; 10_000 * KIB])).into_data_stream();
        let begun = Instant::now();
        while let Some(Ok(_)) = pieces.next().await {
            sleep(STALL_MAX - Duration::from_secs(1)).await;
        }
        assert!(begun.elapsed() < SENDING_MAX + 3 * STALL_MAX, "cut after {:?}", begun.elapsed());
        assert_eq!(free(&room), 100_000);
    }
}
