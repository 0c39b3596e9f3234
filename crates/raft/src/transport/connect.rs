//! How a node reaches another: injected, so that simulations bring their own network.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// Opens channels to peers.
pub trait Connector: Send + Sync + 'static {
    /// A channel to an endpoint with all its settings, which connects when first used, and again
    /// when broken.
    fn connect_lazy(&self, endpoint: Endpoint) -> Channel;

    /// A channel to `address` (`host:port`) with the settings that replication wants.
    fn channel(&self, address: &str) -> Result<Channel, String> {
        Ok(self.connect_lazy(peer_endpoint(address)?))
    }
}

/// Plain TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector;

impl Connector for TcpConnector {
    fn connect_lazy(&self, endpoint: Endpoint) -> Channel {
        endpoint.connect_lazy()
    }
}

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const STREAM_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
/// A connection that is silent for this long is asked whether it is alive.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// Without an answer it is broken and opened anew: TCP alone would go on repeating itself, ever more
/// seldom, and after a cut of a minute notice up to a minute late that it is over.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The windows and frame sizes that replication wants.
fn peer_endpoint(address: &str) -> Result<Endpoint, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}
