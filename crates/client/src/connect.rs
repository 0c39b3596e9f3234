//! Opening connections, and the settings that every connection has.
//!
//! Windows and frames are large because batches are; a connection that is silent for half
//! a second is pinged, so that a peer which was halted or cut off is known within two and a half, while
//! a reset is known at once.

use std::time::Duration;

use futures::future::BoxFuture;
use tonic::transport::{Channel, Endpoint, Error};

use crate::Options;

/// Bytes of one message at most, both ways.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;
const FRAME_BYTES_MAX: u32 = 1024 * 1024;
const PING_INTERVAL: Duration = Duration::from_millis(500);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens a connection to an endpoint that is already configured.
pub trait Connector: Send + Sync + 'static {
    /// Connects, or says why not. The caller bounds the time.
    fn connect(&self, endpoint: Endpoint) -> BoxFuture<'static, Result<Channel, Error>>;
}

/// Plain TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector;

impl Connector for TcpConnector {
    fn connect(&self, endpoint: Endpoint) -> BoxFuture<'static, Result<Channel, Error>> {
        Box::pin(async move { endpoint.connect().await })
    }
}

/// The endpoint for `host:port` with all settings.
pub(crate) fn endpoint(address: &str, options: &Options) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    Ok(endpoint)
}
