//! A node whose disk and store the test keeps a hand on, and entries to put into it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use thalweg_storage::{Done, Driver, GroupLog, LogEntry, MemoryStore, NodeLog, OpenReport, Options, StorageError};
use thalweg_types::GroupId;
use thalweg_wal::SimDisk;

pub(crate) const A: GroupId = GroupId(7);
pub(crate) const B: GroupId = GroupId(8);

/// A node on a simulated disk and a store in memory.
pub(crate) struct Node {
    pub(crate) options: Options,
    pub(crate) disk: SimDisk,
    pub(crate) store: MemoryStore,
    pub(crate) log: NodeLog,
    pub(crate) report: OpenReport,
}

impl Node {
    pub(crate) fn start() -> Node {
        Node::with(small_options())
    }

    pub(crate) fn with(options: Options) -> Node {
        let (disk, store) = (SimDisk::new(1), MemoryStore::new());
        let (log, report) = open(&options, &disk, &store);
        Node { options, disk, store, log, report }
    }

    /// On a disk whose seed the test chose.
    pub(crate) fn on(disk: SimDisk) -> Node {
        let (options, store) = (small_options(), MemoryStore::new());
        let (log, report) = open(&options, &disk, &store);
        Node { options, disk, store, log, report }
    }

    /// The process dies and starts again.
    pub(crate) fn restart(self) -> Node {
        drop(self.log);
        let (log, report) = open(&self.options, &self.disk, &self.store);
        Node { log, report, ..self }
    }

    /// The machine dies and starts again.
    pub(crate) fn crash(self) -> Node {
        self.disk.crash();
        self.store.crash();
        self.restart()
    }

    /// Writes everything that is queued.
    pub(crate) fn write(&self) {
        while self.log.run_writer_once() {}
    }

    /// Appends entries and makes them durable.
    pub(crate) fn put(&self, group: GroupId, entries: Vec<LogEntry>) {
        let (done, answer) = done();
        self.log.group(group).append(entries, true, done);
        self.write();
        assert_eq!(answer.try_recv(), Ok(Ok(())));
    }
}

fn open(options: &Options, disk: &SimDisk, store: &MemoryStore) -> (NodeLog, OpenReport) {
    let (disk, store) = (Arc::new(disk.clone()), Arc::new(store.clone()));
    NodeLog::open(options.clone(), disk, store, Driver::Manual).unwrap()
}

/// Limits small enough that a test reaches them.
pub(crate) fn small_options() -> Options {
    Options {
        segment_bytes: 64 * 1024,
        cache_bytes: 64 * 1024,
        move_bytes: 32 * 1024,
        hot_tail_bytes: 256 * 1024,
        wal_bytes_max: 1024 * 1024,
        reserve_bytes: 128 * 1024,
        ..Options::new("/data/wal")
    }
}

/// A callback and where its answer arrives.
pub(crate) fn done() -> (Done, Receiver<Result<(), StorageError>>) {
    let (sender, receiver) = channel();
    (Box::new(move |result| drop(sender.send(result))), receiver)
}

/// A callback for those who do not ask.
pub(crate) fn unasked() -> Done {
    Box::new(|_| {})
}

/// Entries of term 1 with bodies of `bytes` that differ by index.
pub(crate) fn entries(range: Range<u64>, bytes: usize) -> Vec<LogEntry> {
    entries_of_term(range, 1, bytes)
}

pub(crate) fn entries_of_term(range: Range<u64>, term: u64, bytes: usize) -> Vec<LogEntry> {
    let entry = |index: u64| LogEntry {
        index,
        term,
        head: Bytes::from(format!("{term}.{index}")),
        body: Bytes::from(vec![(index * 7 + term) as u8; bytes]),
    };
    range.map(entry).collect()
}

/// Everything readable from `from` on, read in pages of `page_bytes`.
pub(crate) fn read_all(group: &GroupLog, from: u64, page_bytes: usize) -> Vec<LogEntry> {
    let end = group.state().last.map_or(0, |(index, _)| index + 1);
    let mut entries: Vec<LogEntry> = Vec::new();
    while from + (entries.len() as u64) < end {
        let page = group.read(from + entries.len() as u64, end, page_bytes).unwrap();
        assert!(!page.is_empty(), "a read returns at least one entry");
        entries.extend(page);
    }
    entries
}

impl Node {
    /// Bytes of all files of the write-ahead log.
    pub(crate) fn disk_used(&self) -> u64 {
        use thalweg_wal::Disk;
        self.disk.set_capacity(Some(1 << 40));
        let free = self.disk.free_bytes(&self.options.dir).unwrap();
        self.disk.set_capacity(None);
        (1 << 40) - free
    }

    /// Flips a bit of the segment that is being written.
    pub(crate) fn flip_in_newest_segment(&self, offset: u64) {
        use thalweg_wal::Disk;
        let names = self.disk.list(&self.options.dir).unwrap();
        let newest = names.into_iter().rfind(|name| name.starts_with("wal-")).unwrap();
        self.disk.flip_bit(&self.options.dir.join(newest), offset, 3);
    }
}
