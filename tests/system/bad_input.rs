//! Wrong requests are refused with a reason for machines and a message that says what is right.

use thalweg_client::{
    CallError, Client, CreateStream, HashKey, NodeId, ProduceError, Reason, Record, ShardId, StreamName, WireError,
};
use thalweg_proto::v1::record_service_client::RecordServiceClient;
use thalweg_proto::v1::{
    AppendRequest, AppendResponse, Position, ProducerTag, ReadRequest, ReadResponse, ShardRef, position::At,
};
use thalweg_test_cluster::{ClusterOptions, TestCluster};
use thalweg_types::{BatchBuilder, RecordBatch};

/// A cluster with the stream `orders` of two shards.
struct Setting {
    cluster: TestCluster,
    client: Client,
    stream: StreamName,
    stream_id: u64,
}

impl Setting {
    async fn new() -> Setting {
        let options = ClusterOptions::new(env!("CARGO_BIN_EXE_test-node"));
        let cluster = TestCluster::start(options).await.unwrap();
        let stream: StreamName = "orders".parse().unwrap();
        let stream_id = cluster.create_stream(&stream, 2).await.unwrap().id.0;
        let client = cluster.client();
        client.append(&stream, vec![Record::new("a", "warm"), Record::new("b", "warm")]).await.unwrap();
        Setting { cluster, client, stream, stream_id }
    }

    fn shard(&self, shard: u32) -> Option<ShardRef> {
        Some(ShardRef { stream_id: self.stream_id, shard })
    }

    /// The first shard's leader.
    async fn leader(&mut self) -> NodeId {
        self.cluster.leader_of(&self.client, &self.stream, ShardId(0)).await.unwrap()
    }

    async fn append_at(&mut self, node: NodeId, request: AppendRequest) -> Result<AppendResponse, WireError> {
        let address = format!("http://{}", self.cluster.node(node).public_address());
        let service = RecordServiceClient::connect(address).await.unwrap();
        let answer = service.max_encoding_message_size(usize::MAX).append(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| WireError::from_status(&status))
    }

    async fn append(&mut self, request: AppendRequest) -> Result<AppendResponse, WireError> {
        let leader = self.leader().await;
        self.append_at(leader, request).await
    }

    async fn read(&mut self, at: Option<At>) -> Result<ReadResponse, WireError> {
        let leader = self.leader().await;
        let address = format!("http://{}", self.cluster.node(leader).public_address());
        let mut service = RecordServiceClient::connect(address).await.unwrap();
        let position = Some(Position { at });
        let request = ReadRequest { shard: self.shard(0), position, ..ReadRequest::default() };
        let answer = service.read(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| WireError::from_status(&status))
    }
}

/// A batch of one record that belongs to the lower of two shards.
fn batch(data: &[u8]) -> RecordBatch {
    batch_at(HashKey::MIN, data)
}

fn batch_at(key: HashKey, data: &[u8]) -> RecordBatch {
    let mut builder = BatchBuilder::with_capacity(64);
    let record = Record { explicit_hash_key: Some(key), ..Record::new("key", data.to_vec()) };
    builder.push(&record).unwrap();
    builder.finish().unwrap()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, WireError>, reason: Reason, says: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.reason, reason, "{error:?}");
    assert!(error.message.contains(says), "`{}` does not say `{says}`", error.message);
    assert!(!error.perhaps_applied());
}

#[track_caller]
fn assert_call_refused<T: std::fmt::Debug>(outcome: Result<T, CallError>, reason: Reason, says: &str) {
    match outcome.unwrap_err() {
        CallError::Refused(error) => assert_refused::<()>(Err(error), reason, says),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_that_cannot_be_are_refused_and_the_shard_goes_on() {
    let mut setting = Setting::new().await;
    let (lower, unknown_shard) = (setting.shard(0), setting.shard(77));
    let good = AppendRequest { shard: lower, batch: batch(b"good").bytes().clone(), ..AppendRequest::default() };

    let garbage = AppendRequest { batch: "garbage".into(), ..good.clone() };
    assert_refused(setting.append(garbage).await, Reason::InvalidArgument, "");
    let mut flipped = batch(b"good").bytes().to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let flipped = AppendRequest { batch: flipped.into(), ..good.clone() };
    assert_refused(setting.append(flipped).await, Reason::CorruptBatch, "checksum");
    let large = AppendRequest { batch: batch(&[0; 1024 * 1024 + 1]).bytes().clone(), ..good.clone() };
    assert_refused(setting.append(large).await, Reason::InvalidArgument, "1048576");
    let stray = AppendRequest { batch: batch_at(HashKey::MAX, b"stray").bytes().clone(), ..good.clone() };
    assert_refused(setting.append(stray).await, Reason::WrongShard, "");
    let unknown = AppendRequest { shard: unknown_shard, ..good.clone() };
    assert_refused(setting.append(unknown).await, Reason::ShardNotFound, "");
    let unknown = AppendRequest { shard: Some(ShardRef { stream_id: 4711, shard: 0 }), ..good.clone() };
    assert_refused(setting.append(unknown).await, Reason::StreamNotFound, "4711");
    let nowhere = AppendRequest { shard: None, ..good.clone() };
    assert_refused(setting.append(nowhere).await, Reason::InvalidArgument, "");
    // Larger than any message may be: the transport itself refuses, and cannot say more.
    let huge = AppendRequest { batch: vec![0; 64 * 1024 * 1024].into(), ..good.clone() };
    setting.append(huge).await.unwrap_err();

    let leader = setting.leader().await;
    let other = [1, 2, 3].map(NodeId).into_iter().find(|node| *node != leader).unwrap();
    let refused = setting.append_at(other, good.clone()).await.unwrap_err();
    let address = setting.cluster.node(leader).public_address();
    assert_eq!((refused.reason, refused.metadata.get("leader_address")), (Reason::NotLeader, Some(&address)));
    assert_eq!(setting.append(good).await.unwrap().record_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_batch_returns_its_first_result_and_a_gap_is_refused() {
    let mut setting = Setting::new().await;
    let tagged = |sequence: u64, shard| AppendRequest {
        shard,
        batch: batch(b"once").bytes().clone(),
        producer: Some(ProducerTag { producer_id: vec![7; 16].into(), sequence }),
        ..AppendRequest::default()
    };
    let shard = setting.shard(0);
    let first = setting.append(tagged(1, shard)).await.unwrap();
    let again = setting.append(tagged(1, shard)).await.unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.first_sequence_number, again.first_sequence_number);
    assert_refused(setting.append(tagged(3, shard)).await, Reason::OutOfOrder, "");
    let short = Some(ProducerTag { producer_id: vec![7; 3].into(), sequence: 1 });
    let short = AppendRequest { producer: short, ..tagged(1, shard) };
    assert_refused(setting.append(short).await, Reason::InvalidArgument, "16");
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_make_no_sense_are_refused() {
    let mut setting = Setting::new().await;
    assert_refused(setting.read(None).await, Reason::InvalidArgument, "");
    let text = At::AtSequenceNumber("twelve".to_owned());
    assert_refused(setting.read(Some(text)).await, Reason::InvalidArgument, "");
    let endless = At::AfterSequenceNumber("9".repeat(100));
    assert_refused(setting.read(Some(endless)).await, Reason::InvalidArgument, "");
    assert!(setting.read(Some(At::TrimHorizon(true))).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_streams_that_cannot_be_are_refused() {
    let setting = Setting::new().await;
    let (streams, stream) = (setting.client.streams(), &setting.stream);
    let unknown: StreamName = "nothing".parse().unwrap();
    assert_call_refused(streams.describe(&unknown).await, Reason::StreamNotFound, "`nothing`");
    assert_call_refused(streams.create(stream, CreateStream::default()).await, Reason::AlreadyExists, "`orders`");
    for edge in [HashKey::MIN, HashKey::MAX] {
        let split = streams.split(stream, ShardId(0), Some(edge)).await;
        assert_call_refused(split, Reason::InvalidArgument, "choose a hash key above");
    }
    assert_call_refused(streams.split(stream, ShardId(9), None).await, Reason::ShardNotFound, "shardId-000000000009");
    streams.split(stream, ShardId(0), None).await.unwrap();
    // 2 and 1 have 3 between them.
    let apart = streams.merge(stream, ShardId(2), ShardId(1)).await;
    assert_call_refused(apart, Reason::InvalidArgument, "");
    for hours in [23, 8_761] {
        assert_call_refused(streams.set_retention(stream, hours).await, Reason::InvalidArgument, "retention");
    }
    let shards = CreateStream { shard_count: Some(10_001), ..CreateStream::default() };
    assert_call_refused(streams.create(&unknown, shards).await, Reason::LimitExceeded, "1 to 10000 shards");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_have_1_to_256_characters() {
    let setting = Setting::new().await;
    let producer = setting.client.producer(&setting.stream).build();
    for chars in [0, 257] {
        let refused = producer.send(Record::new("ä".repeat(chars), "data")).await.unwrap_err();
        assert_eq!(refused, ProduceError::PartitionKey { chars });
    }
    producer.send(Record::new("ä".repeat(256), "data")).await.unwrap().await.unwrap();
}
