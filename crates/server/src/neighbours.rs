//! Who may use the gRPC API of a node whose Kinesis clients have to sign.
//!
//! gRPC calls carry no credentials yet. Where signatures are required, only this machine and the
//! cluster's own nodes (whose fronts go to each other's shards that way) may make them; anyone else
//! would pass by the door that the signatures are for. Without required signatures everyone may.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use thalweg_controller::Image;
use tokio::sync::watch;

/// For looking up the names of nodes.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Decides by where a connection comes from. It may take a look-up of every node's name.
pub(crate) struct Neighbours {
    only: bool,
    image: watch::Receiver<Arc<Image>>,
}

impl Neighbours {
    /// Everyone may, unless `only` this machine and the nodes of the image.
    pub(crate) fn new(only: bool, image: watch::Receiver<Arc<Image>>) -> Neighbours {
        Neighbours { only, image }
    }

    /// Whether a connection from `peer` may make gRPC calls.
    pub(crate) async fn may_call(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        if !self.only || peer.is_loopback() {
            return true;
        }
        let mut names = Vec::new();
        for address in self.addresses() {
            match host(&address).parse::<IpAddr>() {
                Ok(ip) if ip.to_canonical() == peer => return true,
                Ok(_) => {}
                Err(_) => names.push(address),
            }
        }
        let lookups = names.into_iter().map(|name| resolves_to(name, peer));
        futures::future::join_all(lookups).await.contains(&true)
    }

    fn addresses(&self) -> Vec<String> {
        let image = self.image.borrow().clone();
        let both = image.catalog.nodes().flat_map(|node| [node.peer_address.clone(), node.public_address.clone()]);
        both.collect()
    }
}

/// `host` of `host:port`, without the brackets of an IPv6 address.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_start_matches('[').trim_end_matches(']')
}

async fn resolves_to(address: String, peer: IpAddr) -> bool {
    match tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host(address)).await {
        Ok(Ok(mut found)) => found.any(|found| found.ip().to_canonical() == peer),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn strangers_may_not_call_where_signatures_are_required() {
        let (_image, watched) = watch::channel(Arc::new(Image::default()));
        let strict = Neighbours::new(true, watched.clone());
        assert!(strict.may_call(ip("127.0.0.1")).await);
        assert!(strict.may_call(ip("::ffff:127.0.0.1")).await);
        assert!(!strict.may_call(ip("10.0.0.9")).await);
        assert!(Neighbours::new(false, watched).may_call(ip("10.0.0.9")).await);
    }

    #[tokio::test]
    async fn nodes_are_known_by_address_and_by_name() {
        assert_eq!((host("10.0.0.1:4568"), host("[::1]:4568"), host("node-1:4568")), ("10.0.0.1", "::1", "node-1"));
        assert!(resolves_to("localhost:1".to_owned(), ip("127.0.0.1")).await);
        assert!(!resolves_to("localhost:1".to_owned(), ip("10.0.0.1")).await);
    }
}
