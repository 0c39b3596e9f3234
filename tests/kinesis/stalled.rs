//! Readers of GetRecords that do not take their answers: what they cost, and for how long.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use thalweg_gateway::{Gateway, GatewayConfig, GatewayParts};
use thalweg_types::SystemClock;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::api::data_of;
use crate::support::{Api, PATIENCE, main_cluster, wire};

const MIB: usize = 1024 * 1024;
/// What a record weighs: more than sockets hold.
const RECORD_BYTES: usize = 9 * MIB;
const STALL: Duration = Duration::from_secs(8);

/// A front of its own, with room for a page that is written and one answer that is not taken.
async fn narrow_front() -> SocketAddr {
    let cluster = main_cluster();
    let parts = GatewayParts {
        client: cluster.client(0),
        catalog: cluster.catalog.clone(),
        clock: std::sync::Arc::new(SystemClock),
        seed: 11,
        config: GatewayConfig::default(),
    };
    let gateway = Gateway::new(parts).with_answer_room(40 * MIB, STALL);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, gateway.router()).await });
    address
}

/// Asks for a page, takes the head of the answer and nothing more.
async fn stalled(address: SocketAddr, iterator: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut socket = socket.connect(address).await.unwrap();
    wire::begun(&mut socket, "GetRecords", &json!({ "ShardIterator": iterator }).to_string()).await;
    socket
}

#[tokio::test]
async fn readers_that_take_nothing_hold_a_bounded_room_for_a_bounded_time() {
    let api = Api::to(main_cluster(), 0).await;
    let wanted = json!({ "StreamName": "not-taken", "ShardCount": 1, "MaxRecordSizeInKiB": 10_240 });
    api.ok("CreateStream", wanted).await;
    api.until_active("not-taken").await;
    let data = STANDARD.encode(vec![b'x'; RECORD_BYTES]);
    api.ok("PutRecord", json!({ "StreamName": "not-taken", "PartitionKey": "k", "Data": data })).await;
    let iterator = api.iterator("not-taken", 0, "TRIM_HORIZON").await;
    let address = narrow_front().await;
    let front = Api::at(address).await;
    assert_eq!(data_of(&front.page(&iterator).await)[0].len(), RECORD_BYTES, "a brisk reader gets all");

    let begun = Instant::now();
    let mut first = stalled(address, &iterator).await;
    let _second = stalled(address, &iterator).await;
    let refused = front.refused("GetRecords", json!({ "ShardIterator": iterator })).await;
    assert!(begun.elapsed() < STALL + PATIENCE, "refused after {:?}", begun.elapsed());
    assert_eq!(refused.kind, "ProvisionedThroughputExceededException", "there is no room for a third page");

    let served = loop {
        match front.call("GetRecords", json!({ "ShardIterator": iterator })).await {
            Ok(page) => break page,
            Err(refused) => assert!(begun.elapsed() < STALL + PATIENCE, "the room does not come back: {refused:?}"),
        }
    };
    assert_eq!(data_of(&served)[0].len(), RECORD_BYTES);
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, first.read_to_end(&mut rest)).await.expect("the connection ends");
    let sent = rest.len();
    assert!(sent < RECORD_BYTES * 4 / 3, "{sent} bytes came of an answer that was cut, and then {ended:?}");
}
