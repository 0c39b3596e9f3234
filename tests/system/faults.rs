//! Disks that lie, fail and fill up: nothing wrong is served, nothing acknowledged is lost, and a
//! node that cannot go on says why.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use thalweg_client::{Client, NodeId, Options, Position, ReadOptions, Record, ShardId, StreamName};
use thalweg_proto::v1::record_service_client::RecordServiceClient;
use thalweg_proto::v1::{self, ReadRequest, ShardRef, position::At};
use thalweg_test_cluster::{
    ClusterOptions, Load, LoadOptions, Strace, TestCluster, TestNode, Written, eventually, history, read_all,
};
use thalweg_types::RecordBatch;

const VICTIM: NodeId = NodeId(2);
/// Replicas catch up and are repaired within this.
const REPAIR_TIMEOUT: Duration = Duration::from_secs(60);

async fn start() -> (TestCluster, StreamName, u64) {
    let cluster = TestCluster::start(ClusterOptions::new(env!("CARGO_BIN_EXE_test-node"))).await.unwrap();
    let stream: StreamName = "orders".parse().unwrap();
    let id = cluster.create_stream(&stream, 1).await.unwrap().id.0;
    (cluster, stream, id)
}

/// Writes some records and ends the load.
async fn write(cluster: &TestCluster, stream: &StreamName, records: u64) -> Written {
    let options = LoadOptions { record_bytes: 2_000, ..LoadOptions::default() };
    let load = Load::start(&cluster.client(), stream, options);
    load.wait_acked(records).await.unwrap();
    let written = load.stop().await.unwrap();
    assert_eq!(written.failures(), Vec::<String>::new());
    written
}

/// How many intact records this very node serves of the stream's only shard.
async fn records_at(node: &TestNode, stream_id: u64) -> Option<usize> {
    let mut service = RecordServiceClient::connect(format!("http://{}", node.public_address())).await.ok()?;
    let (mut at, mut records) = (At::TrimHorizon(true), 0);
    loop {
        let shard = Some(ShardRef { stream_id, shard: 0 });
        let position = Some(v1::Position { at: Some(at) });
        let page = service.read(ReadRequest { shard, position, ..ReadRequest::default() }).await.ok()?.into_inner();
        if page.batches.is_empty() {
            return Some(records);
        }
        for stored in page.batches {
            // Refusing is right, serving something else is not.
            records += RecordBatch::parse(stored.batch).expect("a served batch is intact").record_count();
        }
        at = At::AtIndex(page.next_index);
    }
}

/// Waits until the node serves every record, and checks them once more through the client.
async fn assert_whole(cluster: &mut TestCluster, stream: &StreamName, stream_id: u64, written: &Written) {
    let node = cluster.node(VICTIM);
    let all = async || (records_at(node, stream_id).await? == written.acked.len()).then_some(());
    eventually("the node serves every record", REPAIR_TIMEOUT, all).await.unwrap();
    let read = read_all(&cluster.client(), stream, written).await.unwrap();
    assert_eq!(history::check(written, &read), Vec::<String>::new());
}

/// The largest file of a directory whose name ends so.
fn largest(dir: &Path, ending: &str) -> Option<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().flatten().map(|file| file.path());
    let files = files.filter(|path| path.to_string_lossy().ends_with(ending));
    files.max_by_key(|path| std::fs::metadata(path).map_or(0, |file| file.len()))
}

/// Where the marks of this test's records begin and how long it is until the last one.
fn span_of_records(bytes: &[u8]) -> (usize, usize) {
    let dots = b"................";
    let found = |window: &[u8]| window == dots;
    let first = bytes.windows(dots.len()).position(found).expect("records lie here");
    let last = bytes.windows(dots.len()).rposition(found).expect("records lie here");
    (first, last)
}

/// Flips a byte of a record in the middle of those in a file.
fn flip_a_record(node: &TestNode, path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let (first, last) = span_of_records(&bytes);
    let middle = first + (last - first) / 2;
    let at = middle + bytes[middle..].iter().position(|byte| *byte == b'.').unwrap();
    node.open_for_damage(path).unwrap().write_all_at(b"!", at as u64).unwrap();
}

/// The segment of the write-ahead log that holds records.
fn segment_with_records(node: &TestNode) -> PathBuf {
    let segments = std::fs::read_dir(node.data_dir().join("wal")).unwrap().flatten().map(|file| file.path());
    let holds = |path: &PathBuf| std::fs::read(path).unwrap().windows(16).any(|window| window == b"................");
    segments.filter(|path| path.is_file()).find(holds).expect("a segment with records")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_the_write_ahead_log_is_noticed_and_made_good_by_peers() {
    let (mut cluster, stream, id) = start().await;
    let written = write(&cluster, &stream, 1_000).await;
    let node = cluster.node(VICTIM);
    node.kill().unwrap();
    flip_a_record(node, &segment_with_records(node));
    node.restart().await.unwrap();
    assert!(node.log().contains("acknowledged bytes may be missing"), "{}", node.log_end());
    assert_whole(&mut cluster, &stream, id, &written).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_of_the_write_ahead_log_is_made_good_by_peers() {
    let (mut cluster, stream, id) = start().await;
    let written = write(&cluster, &stream, 500).await;
    let node = cluster.node(VICTIM);
    node.kill().unwrap();
    let segment = segment_with_records(node);
    let (_, last) = span_of_records(&std::fs::read(&segment).unwrap());
    node.open_for_damage(&segment).unwrap().write_all_at(&[0; 4096], last as u64 - 100).unwrap();
    node.restart().await.unwrap();
    assert_whole(&mut cluster, &stream, id, &written).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_the_record_store_is_never_served() {
    let (mut cluster, stream, id) = start().await;
    let written = write(&cluster, &stream, 1_000).await;
    let node = cluster.node(VICTIM);
    // An orderly end moves all records into the store.
    assert!(node.stop().await.unwrap().success(), "{}", node.log_end());
    let blobs = largest(&node.data_dir().join("store"), ".blob").expect("large values lie in blob files");
    flip_a_record(node, &blobs);
    node.restart().await.unwrap();
    assert_whole(&mut cluster, &stream, id, &written).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_sync_fails_ends_with_a_message_and_the_others_go_on() {
    if !Strace::works() {
        return eprintln!("skipped: strace is missing or may not trace here");
    }
    let (mut cluster, stream, id) = start().await;
    let client = cluster.client();
    let load = Load::start(&client, &stream, LoadOptions::default());
    load.wait_acked(200).await.unwrap();
    let node = cluster.node(VICTIM);
    let failing = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"];
    let strace = Strace::attach(node, &failing).await.unwrap();
    assert!(!node.wait_ended().await.unwrap().success());
    drop(strace);
    assert!(node.log().contains("storage failed and takes no more writes"), "{}", node.log_end());
    load.wait_acked(500).await.unwrap();
    cluster.node(VICTIM).restart().await.unwrap();
    load.wait_acked(500).await.unwrap();
    let written = load.stop().await.unwrap();
    assert_eq!(written.failures(), Vec::<String>::new());
    assert_whole(&mut cluster, &stream, id, &written).await;
}

const GIB: u64 = 1 << 30;

/// Bytes that are free on the file system of `dir`.
fn free_bytes(dir: &Path) -> u64 {
    let df = Command::new("df").args(["--output=avail", "-B1"]).arg(dir).output().unwrap();
    String::from_utf8(df.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap()
}

/// A file that takes room; nothing where the file system cannot do that.
fn ballast(dir: &Path, bytes: u64) -> Option<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new_in(dir).unwrap();
    let filled = Command::new("fallocate").args(["-l", &bytes.to_string()]).arg(file.path()).status();
    filled.is_ok_and(|status| status.success()).then_some(file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_serves_reads_and_recovers_with_room() {
    let dir = std::env::temp_dir();
    let free = free_bytes(&dir);
    if free < 16 * GIB {
        return eprintln!("skipped: needs 16 GiB free in {}", dir.display());
    }
    // The nodes are to leave so much free that 4 GiB more or less do not matter.
    let reserve = (free - 4 * GIB).to_string();
    let options = ClusterOptions::new(env!("CARGO_BIN_EXE_test-node")).set("THALWEG_RESERVE_BYTES", &reserve);
    let cluster = TestCluster::start(options).await.unwrap();
    let stream: StreamName = "orders".parse().unwrap();
    cluster.create_stream(&stream, 1).await.unwrap();
    let options = Options { request_timeout: Duration::from_secs(5), ..Options::new(cluster.endpoints()) };
    let client = Client::connect(options).unwrap();
    client.append(&stream, vec![Record::new("key", "before")]).await.unwrap();

    let Some(ballast) = ballast(&dir, 8 * GIB) else {
        return eprintln!("skipped: no room can be taken in {}", dir.display());
    };
    // A write that is on its way when the leader notices may be left in doubt, and says so; soon
    // every write is refused for certain.
    let refused = async || {
        let error = client.append(&stream, vec![Record::new("key", "full")]).await.err()?;
        (!error.perhaps_applied()).then_some(error)
    };
    let refused = eventually("a write is refused for certain", REPAIR_TIMEOUT, refused).await.unwrap();
    assert!(refused.to_string().contains("the disk has no room for writes"), "{refused}");
    let page = client.read_page(&stream, ShardId(0), Position::TrimHorizon, ReadOptions::default()).await.unwrap();
    assert_eq!(&page.records[0].data[..], b"before");

    drop(ballast);
    let taken = async || client.append(&stream, vec![Record::new("key", "after")]).await.ok();
    eventually("writes are taken again", REPAIR_TIMEOUT, taken).await.unwrap();
}
