//! Clients that misbehave: nonsense on every port, and far too much of everything.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::Kind;
use super::arena::{Arena, Happening};
use crate::load;
use crate::node::{admin_address, peer_address, public_address};

/// Connections that say a little and then nothing.
const SILENT_MAX: usize = 64;
/// For one exchange of nonsense.
const EXCHANGE: Duration = Duration::from_millis(300);
/// Longest nonsense.
const NONSENSE_BYTES_MAX: usize = 256 * 1024;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A fault of clients.
pub(super) async fn happen(
    kind: Kind,
    arena: &Arena,
    lasts: Duration,
    random: &mut StdRng,
) -> anyhow::Result<Happening> {
    match kind {
        Kind::Overload => overload(arena, lasts, random).await,
        _ => malformed(arena, lasts, random).await,
    }
}

async fn malformed(arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let nodes = arena.cluster.active();
    let until = Instant::now() + lasts;
    let (mut silent, mut exchanges) = (Vec::new(), 0u32);
    while Instant::now() < until {
        let id = nodes[random.random_range(0..nodes.len())];
        let addresses = [public_address(id), public_address(id), peer_address(id), admin_address(id)];
        let address = &addresses[random.random_range(0..addresses.len())];
        let said = nonsense(random);
        let Ok(Ok(mut connection)) = timeout(EXCHANGE, TcpStream::connect(address)).await else { continue };
        let exchange = async {
            connection.write_all(&said).await?;
            let mut answer = [0; 4_096];
            connection.read(&mut answer).await
        };
        // Being refused, cut off or ignored is all the same: the node has to live on.
        let _ = timeout(EXCHANGE, exchange).await;
        exchanges += 1;
        if silent.len() < SILENT_MAX {
            silent.push(connection);
        }
    }
    Ok(match exchanges {
        0 => Happening::NotNow("no node was reached"),
        _ => Happening::Happened(format!("{exchanges} connections")),
    })
}

fn nonsense(random: &mut StdRng) -> Vec<u8> {
    let mut noise = vec![0; random.random_range(1..=NONSENSE_BYTES_MAX)];
    random.fill(&mut noise[..]);
    let post = |target: &str, body: &[u8]| {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: Kinesis_20131202.{target}\r\n\
             content-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    match random.random_range(0..8) {
        0 => noise,
        1 => [PREFACE, &noise].concat(),
        2 => PREFACE[..random.random_range(1..PREFACE.len())].to_vec(),
        3 => post("PutRecord", &noise),
        4 => post("PutRecords", b"{\"Records\":[{\"Data\":1}],\"StreamName\":[]}"),
        5 => b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n".to_vec(),
        6 => [b"GET /".as_slice(), &vec![b'a'; noise.len()], b" HTTP/1.1\r\n\r\n"].concat(),
        _ => [&[0x16, 3, 1][..], &noise].concat(),
    }
}

async fn overload(arena: &Arena, lasts: Duration, random: &mut StdRng) -> anyhow::Result<Happening> {
    let client = arena.cluster.client(Duration::from_secs(10));
    let before = arena.recorder.totals().acked;
    load::burst(client, &arena.stream, &arena.recorder, random.random(), lasts).await?;
    let acked = arena.recorder.totals().acked - before;
    Ok(Happening::Happened(format!("{acked} records acknowledged meanwhile")))
}
