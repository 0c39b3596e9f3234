//! The two gRPC ports: which services, and with what bounds.

use std::sync::Arc;
use std::time::Duration;

use thalweg_controller::{ControllerHandle, Image};
use thalweg_proto::DESCRIPTORS;
use thalweg_raft::Groups;
use thalweg_shard::{Directory, Located, ShardHost, record_service};
use thalweg_types::{NodeId, ShardId, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;

/// A frame much larger than HTTP/2's default costs far less to move.
pub(crate) const FRAME_BYTES: u32 = 1024 * 1024;
pub(crate) const STREAM_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
/// Calls on one connection at the same time.
pub(crate) const STREAMS_MAX: u32 = 4_096;
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open calls may take to end when the node stops.
pub(crate) const GOODBYE: Duration = Duration::from_millis(500);

/// The services for clients.
pub(crate) async fn public_routes(
    host: &ShardHost,
    controller: &ControllerHandle,
    directory: Arc<ImageDirectory>,
) -> Routes {
    let (health_reporter, health) = tonic_health::server::health_reporter();
    health_reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors were made together with the services");
    let mut routes = Routes::builder();
    routes
        .add_service(record_service(host.clone(), directory))
        .add_service(controller.stream_service())
        .add_service(controller.cluster_service())
        .add_service(health)
        .add_service(reflection);
    routes.routes()
}

/// The services for other nodes.
pub(crate) fn peer_routes(controller: &ControllerHandle, groups: &Groups) -> Routes {
    let mut routes = Routes::builder();
    routes.add_service(groups.service()).add_service(controller.peer_service());
    routes.routes()
}

/// Serves connections as they come in until `stop` says so; then open calls get a moment to end.
pub async fn serve<C>(
    incoming: impl futures::Stream<Item = std::io::Result<C>>,
    routes: Routes,
    mut stop: watch::Receiver<bool>,
) where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let mut stop_hard = stop.clone();
    let stopping = async move {
        let _ = stop.wait_for(|stop| *stop).await.is_ok();
    };
    let serving = Server::builder()
        .tcp_nodelay(true)
        .max_frame_size(Some(FRAME_BYTES))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stopping);
    let goodbye = async {
        let _ = stop_hard.wait_for(|stop| *stop).await.is_ok();
        tokio::time::sleep(GOODBYE).await;
    };
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::error!(%error, "a gRPC port stopped serving");
        },
        () = goodbye => {}
    }
}

/// Connections that send at once.
pub(crate) fn nodelay(listener: TcpListener) -> impl futures::Stream<Item = std::io::Result<tokio::net::TcpStream>> {
    use futures::StreamExt;
    TcpListenerStream::new(listener).map(|accepted| {
        let stream = accepted?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}

/// Where shards and nodes are, as the newest image says.
pub(crate) struct ImageDirectory {
    pub(crate) image: watch::Receiver<Arc<Image>>,
}

impl Directory for ImageDirectory {
    fn locate(&self, stream: StreamId, shard: ShardId) -> Located {
        let image = self.image.borrow().clone();
        // Before its first image a node knows no stream, which does not mean that there is none.
        if image.catalog.cluster().is_none() {
            return Located::Elsewhere { leader: None };
        }
        let Some(stream) = image.catalog.stream_by_id(stream) else {
            return Located::StreamUnknown;
        };
        match stream.visible_shard(shard) {
            Some(shard) => Located::Elsewhere { leader: image.leaders.get(&shard.group).copied() },
            None => Located::ShardUnknown,
        }
    }

    fn public_address(&self, node: NodeId) -> Option<String> {
        self.image.borrow().public_address(node).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_its_first_image_does_not_say_that_a_stream_does_not_exist() {
        let directory = ImageDirectory { image: watch::channel(Arc::new(Image::default())).1 };
        assert_eq!(directory.locate(StreamId(1), ShardId(0)), Located::Elsewhere { leader: None });
    }
}
