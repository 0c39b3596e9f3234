//! The Kinesis front of this node, wired to the node's own image and ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use thalweg_client::{Client, Options};
use thalweg_controller::ControllerHandle;
use thalweg_gateway::{Gateway, GatewayConfig, GatewayParts};
use thalweg_types::Clock;

use crate::Config;

/// The front of the node that listens for clients on `public`.
pub(crate) fn gateway(
    config: &Config,
    public: SocketAddr,
    controller: &ControllerHandle,
    clock: Arc<dyn Clock>,
    seed: u64,
) -> Gateway {
    let mut options = Options::new([loopback_of(public).to_string()]);
    options.seed = Some(seed);
    // A change is answered when the node that carried it out shows it, and this one shows the front.
    options.home_first = true;
    let client = Client::connect(options).expect("a socket address is an endpoint");
    let (region, account) = (config.region.clone(), config.account.clone());
    let config = GatewayConfig { region, account, auth: config.auth, account_limits: config.account_limits };
    Gateway::new(GatewayParts { client, catalog: controller.catalog(), clock, seed, config })
}

/// Where this node reaches itself: an address that listens everywhere is also on loopback.
fn loopback_of(listened: SocketAddr) -> SocketAddr {
    let ip = match listened.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listened.port())
}
