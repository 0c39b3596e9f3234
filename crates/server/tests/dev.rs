//! A whole cluster in this process: forms, creates a stream, takes and serves records.

use std::time::{Duration, Instant};

use thalweg_proto::v1;
use thalweg_proto::v1::record_service_client::RecordServiceClient;
use thalweg_proto::v1::stream_service_client::StreamServiceClient;
use thalweg_server::dev::{DevCluster, DevOptions};
use thalweg_types::{BatchBuilder, Record, RecordBatch};

fn batch(records: &[(&str, &str)]) -> RecordBatch {
    let mut builder = BatchBuilder::with_capacity(1024);
    for (key, data) in records {
        builder.push(&Record::new(*key, data.to_string())).unwrap();
    }
    builder.finish().unwrap()
}

async fn append(endpoints: &[String], request: v1::AppendRequest) -> v1::AppendResponse {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        for endpoint in endpoints {
            let mut client = RecordServiceClient::connect(format!("http://{endpoint}")).await.unwrap();
            match client.append(request.clone()).await {
                Ok(response) => return response.into_inner(),
                Err(status) => assert!(Instant::now() < deadline, "{status:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_take_a_record_and_give_it_back() {
    let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
    let cluster = DevCluster::start(DevOptions { port: 0, ..DevOptions::default() }).await.unwrap();
    let endpoints = cluster.ready().endpoints.clone();
    let mut streams = StreamServiceClient::connect(format!("http://{}", endpoints[0])).await.unwrap();
    let request = v1::CreateStreamRequest { name: "orders".to_owned(), shard_count: 1, ..Default::default() };
    let stream = streams.create_stream(request).await.unwrap().into_inner().stream.unwrap();
    assert_eq!((stream.open_shard_count, stream.replication), (1, 3));
    let shard = Some(v1::ShardRef { stream_id: stream.stream_id, shard: 0 });
    let written = batch(&[("a", "1"), ("b", "2")]);
    let request = v1::AppendRequest { shard, batch: written.bytes().clone(), ..Default::default() };
    let appended = append(&endpoints, request).await;
    assert_eq!(appended.record_count, 2);
    for endpoint in &endpoints {
        let mut client = RecordServiceClient::connect(format!("http://{endpoint}")).await.unwrap();
        let at = Some(v1::position::At::TrimHorizon(true));
        let request =
            v1::ReadRequest { shard, position: Some(v1::Position { at }), wait_ms: 5_000, ..Default::default() };
        let page = client.read(request).await.unwrap().into_inner();
        assert_eq!(RecordBatch::parse(page.batches[0].batch.clone()).unwrap(), written);
    }
    cluster.shutdown().await;
}
