//! Channels to other nodes' peer ports, one an address, made on first use.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_proto::peer::controller_peer_service_client::ControllerPeerServiceClient;
use thalweg_raft::Connector;
use tonic::transport::{Channel, Endpoint};

/// A peer that does not even accept a connection for this long is taken as down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Silence on a connection after which it is probed, and how long the probe may take.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// Bytes of one message: a catalog of ten thousand shards fits many times over.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Another node's part of the controller's conversation.
pub(crate) type PeerClient = ControllerPeerServiceClient<Channel>;

/// Why an address cannot be dialled at all.
#[derive(Debug, thiserror::Error)]
#[error("`{address}` is not an address: expected host:port, such as 10.0.0.1:4568")]
pub(crate) struct AddressError {
    address: String,
}

/// Remembers the channel of each address.
pub(crate) struct Dialer {
    connector: Arc<dyn Connector>,
    channels: Mutex<HashMap<String, Channel>>,
}

impl Dialer {
    pub(crate) fn new(connector: Arc<dyn Connector>) -> Dialer {
        Dialer { connector, channels: Mutex::default() }
    }

    /// A client for `address`. Connects when first used, and again after each break.
    pub(crate) fn peer(&self, address: &str) -> Result<PeerClient, AddressError> {
        let mut channels = self.channels.lock();
        let channel = match channels.get(address) {
            Some(channel) => channel.clone(),
            None => {
                let channel = self.connector.connect_lazy(endpoint(address)?);
                channels.insert(address.to_owned(), channel.clone());
                channel
            }
        };
        let client = ControllerPeerServiceClient::new(channel);
        Ok(client.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX))
    }
}

fn endpoint(address: &str) -> Result<Endpoint, AddressError> {
    let error = || AddressError { address: address.to_owned() };
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| error())?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true))
}
