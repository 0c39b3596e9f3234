//! Connections: HTTP/1.1, HTTP/2 and TLS on one port beside gRPC, bodies of any size and speed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::wire::{JSON, post, request, whole};
use crate::support::{Api, PATIENCE, Wire, main_cluster};

const PROMPT: Duration = Duration::from_secs(4);

async fn lists(wire: &mut Wire) {
    let reply = wire.send(request("ListStreams", JSON, "{}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.json()["StreamNames"].is_array());
}

async fn tls(protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    let cluster = main_cluster();
    let mut roots = RootCertStore::empty();
    let certificate = cluster.certificate.as_ref().expect("the cluster has TLS");
    roots.add(CertificateDer::from_pem_file(certificate).expect("PEM")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let socket = TcpStream::connect(cluster.endpoints[0]).await.expect("the port is open");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("a handshake")
}

#[tokio::test]
async fn one_port_speaks_http_1_and_http_2_in_clear_and_over_tls() {
    let address = main_cluster().endpoints[0];
    lists(&mut Wire::h1(address).await).await;
    lists(&mut Wire::h2(address).await).await;

    let stream = tls(&[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 is preferred");
    lists(&mut Wire::h2_on(stream).await).await;

    let stream = tls(&[b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    lists(&mut Wire::h1_on(stream).await).await;

    lists(&mut Wire::h1_on(tls(&[]).await).await).await;
}

#[tokio::test]
async fn grpc_is_answered_on_the_same_connection() {
    for mut wire in [Wire::h2(main_cluster().endpoints[0]).await, Wire::h2_on(tls(&[b"h2"]).await).await] {
        lists(&mut wire).await;
        let mut call = post(&[("content-type", "application/grpc"), ("te", "trailers")], &[0; 5][..]);
        *call.uri_mut() = "http://localhost/grpc.health.v1.Health/Check".parse().unwrap();
        let reply = whole(wire.open(call).await).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/grpc"));
        assert_eq!(&reply.body[..], [0, 0, 0, 0, 2, 8, 1], "serving");
        lists(&mut wire).await;
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let mut wire = Wire::h1(main_cluster().endpoints[0]).await;
    for _ in 0..20 {
        lists(&mut wire).await;
    }
    let api = Api::to(main_cluster(), 0).await;
    let all = (0..200).map(|_| api.call("ListStreams", json!({})));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_ok));
}

/// Bytes as they are written by hand; the reply's head and body as text.
async fn by_hand(head: &str, body: &[u8]) -> String {
    let mut socket = TcpStream::connect(main_cluster().endpoints[0]).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    // The answer may come, and the connection end, before all is sent.
    let _ = socket.write_all(body).await;
    let mut reply = vec![0; 4096];
    let mut length = 0;
    while !String::from_utf8_lossy(&reply[..length]).contains("}") {
        match timeout(PATIENCE, socket.read(&mut reply[length..])).await.expect("an answer in time") {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) => panic!("no answer before {error}: {}", String::from_utf8_lossy(&reply[..length])),
        }
    }
    String::from_utf8_lossy(&reply[..length]).into_owned()
}

fn head(more: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nX-Amz-Target: Kinesis_20131202.PutRecords\r\n{more}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_declared_body_beyond_any_legal_request_is_refused_before_it_is_sent() {
    let reply = by_hand(&head("Content-Length: 16777217"), b"").await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert!(reply.contains(r#""__type":"RequestEntityTooLargeException""#), "{reply}");
    let reply = by_hand(&head("Content-Length: 16777217\r\nExpect: 100-continue"), b"").await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "no body is asked for: {reply}");
}

#[tokio::test]
async fn an_undeclared_body_is_refused_once_it_is_too_long() {
    let chunk = [b"10000\r\n", vec![b' '; 65536].as_slice(), b"\r\n"].concat();
    let reply = by_hand(&head("Transfer-Encoding: chunked"), &chunk.repeat(257)).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[tokio::test]
async fn the_largest_legal_request_is_accepted() {
    let api = Api::to(main_cluster(), 0).await;
    api.stream("largest", 2).await;
    // 10 records of 1 MiB with their keys: 10 MiB, as base64 13.4 MiB.
    let data = STANDARD.encode(vec![b'x'; 1024 * 1024 - 2]);
    let records: Vec<_> = (10..20).map(|key| json!({ "Data": data, "PartitionKey": key.to_string() })).collect();
    let put = api.ok("PutRecords", json!({ "StreamName": "largest", "Records": records })).await;
    assert_eq!(put["FailedRecordCount"], 0, "{put}");

    let mut one_more = records;
    one_more.push(json!({ "Data": "", "PartitionKey": "k" }));
    let refused = api.refused("PutRecords", json!({ "StreamName": "largest", "Records": one_more })).await;
    assert_eq!(refused.kind, "InvalidArgumentException", "{refused:?}");
}

#[tokio::test]
async fn slow_and_half_requests_block_nobody() {
    let address = main_cluster().endpoints[1];
    let mut half = Vec::new();
    for more in ["Content-Length: 16777216", "Transfer-Encoding: chunked"] {
        for _ in 0..100 {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(head(more).as_bytes()).await.unwrap();
            half.push(socket);
        }
    }
    for part in ["", "P", "POST / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n", "\u{16}\u{3}"] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(part.as_bytes()).await.unwrap();
        half.push(socket);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    lists(&mut Wire::h1(address).await).await;
    lists(&mut Wire::h2(address).await).await;
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    drop(half);
}

#[tokio::test]
async fn a_body_that_comes_slowly_is_taken() {
    let body = br#"{"Limit":1}"#;
    let mut socket = TcpStream::connect(main_cluster().endpoints[0]).await.unwrap();
    let head = head(&format!("Content-Length: {}", body.len())).replace("PutRecords", "ListStreams");
    for piece in head.as_bytes().chunks(40).chain(body.chunks(1)) {
        socket.write_all(piece).await.unwrap();
        socket.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut reply = [0; 15];
    timeout(PATIENCE, socket.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(&reply, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn who_waits_to_be_asked_for_a_body_is_asked() {
    let mut socket = TcpStream::connect(main_cluster().endpoints[0]).await.unwrap();
    let head = head("Content-Length: 11\r\nExpect: 100-continue").replace("PutRecords", "ListStreams");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; 25];
    timeout(PATIENCE, socket.read_exact(&mut asked)).await.unwrap().unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(br#"{"Limit":1}"#).await.unwrap();
    let mut reply = [0; 15];
    timeout(PATIENCE, socket.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(&reply, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn an_idle_half_request_ends_by_itself() {
    let mut socket = TcpStream::connect(main_cluster().endpoints[0]).await.unwrap();
    socket.write_all(head("Content-Length: 100").as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut reply)).await.expect("it ends").unwrap();
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 408 ") || reply.starts_with("HTTP/1.1 400 "), "{reply}");
}
