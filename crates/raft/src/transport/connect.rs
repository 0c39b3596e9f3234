//! How a node reaches another: injected, so that simulations bring their own network.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

/// Opens channels to peers.
pub trait Connector: Send + Sync + 'static {
    /// A channel to `address` (`host:port`) that connects when first used, and again when broken.
    fn channel(&self, address: &str) -> Result<Channel, String>;
}

/// Plain TCP with the windows and frame sizes that replication wants.
#[derive(Clone, Debug)]
pub struct TcpConnector {
    /// How long connecting may take. Default 500 ms.
    pub connect_timeout: Duration,
}

impl Default for TcpConnector {
    fn default() -> Self {
        TcpConnector { connect_timeout: Duration::from_millis(500) }
    }
}

const STREAM_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
/// A connection that is silent for this long is asked whether it is alive.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// Without an answer it is broken and opened anew: TCP alone would go on repeating itself, ever more
/// seldom, and after a cut of a minute notice up to a minute late that it is over.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

impl Connector for TcpConnector {
    fn channel(&self, address: &str) -> Result<Channel, String> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| error.to_string())?;
        Ok(endpoint
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_lazy())
    }
}
