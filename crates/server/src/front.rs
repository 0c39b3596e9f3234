//! The Kinesis front of this node, wired to the node's own image and ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use thalweg_catalog::Catalog;
use thalweg_client::{Client, Options};
use thalweg_controller::{ControllerHandle, Image};
use thalweg_gateway::{Auth, Gateway, GatewayConfig, GatewayParts};
use thalweg_types::Clock;
use tokio::sync::watch;

use crate::Config;
use crate::config::AuthMode;

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
    let client = Client::connect(options).expect("a socket address is an endpoint");
    let auth = match config.auth {
        AuthMode::Required => Auth::Required,
        AuthMode::Optional => Auth::Optional,
        AuthMode::Off => Auth::Off,
    };
    let (region, account) = (config.region.clone(), config.account.clone());
    let catalog = catalogs(controller.image());
    Gateway::new(GatewayParts { client, catalog, clock, seed, config: GatewayConfig { region, account, auth } })
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

/// The catalogs of the images that come, as long as anyone looks at them.
fn catalogs(mut images: watch::Receiver<Arc<Image>>) -> watch::Receiver<Arc<Catalog>> {
    let (sender, catalogs) = watch::channel(images.borrow_and_update().catalog.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = images.changed() => if changed.is_err() { return },
                () = sender.closed() => return,
            }
            let newest = images.borrow_and_update().catalog.clone();
            sender.send_if_modified(|known| {
                let newer = known.revision() != newest.revision();
                *known = newest;
                newer
            });
        }
    });
    catalogs
}
