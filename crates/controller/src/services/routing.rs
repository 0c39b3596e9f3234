//! WatchRouting: one stream's part of the image, now and after every change of it.

use std::sync::Arc;

use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::WatchRoutingResponse;
use thalweg_types::StreamName;
use tokio::sync::mpsc;
use tonic::Status;

use super::present;
use crate::Image;
use crate::node::Node;

type Sender = mpsc::Sender<Result<WatchRoutingResponse, Status>>;

/// Streams the routing of `name` until the caller leaves, the stream is gone or the node stops.
pub(crate) fn watch(node: Arc<Node>, name: StreamName) -> mpsc::Receiver<Result<WatchRoutingResponse, Status>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = tell(&node, &name, &sender) => {}
            () = sender.closed() => {}
            () = node.stop.cancelled() => {}
        }
    });
    receiver
}

async fn tell(node: &Node, name: &StreamName, sender: &Sender) {
    let mut image = node.image.subscribe();
    let mut told: Option<WatchRoutingResponse> = None;
    loop {
        let now = image.borrow_and_update().clone();
        let Some(routing) = routing(&now, name) else {
            let _ = sender.send(Err(not_found(name).into())).await;
            return;
        };
        if told.as_ref().is_none_or(|told| differs(told, &routing)) {
            told = Some(routing.clone());
            if sender.send(Ok(routing)).await.is_err() {
                return;
            }
        }
        if image.changed().await.is_err() {
            return;
        }
    }
}

/// Everything a client routes by; nothing when there is no such stream.
fn routing(image: &Image, name: &StreamName) -> Option<WatchRoutingResponse> {
    let stream = image.catalog.stream(name)?;
    let visible = stream.shards.iter().filter(|shard| shard.is_visible());
    Some(WatchRoutingResponse {
        revision: image.catalog.revision(),
        stream: Some(present::summary(stream)),
        shards: visible.map(|shard| present::shard(image, shard)).collect(),
        nodes: image.catalog.nodes().map(|node| present::node(image, node)).collect(),
    })
}

/// Whether something other than the revision changed.
fn differs(told: &WatchRoutingResponse, now: &WatchRoutingResponse) -> bool {
    (&told.stream, &told.shards, &told.nodes) != (&now.stream, &now.shards, &now.nodes)
}

pub(crate) fn not_found(name: &StreamName) -> WireError {
    WireError::new(Reason::StreamNotFound, format!("stream `{name}` does not exist"))
}
