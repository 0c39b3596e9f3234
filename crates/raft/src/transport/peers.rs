//! The nodes this one talks to, and whether they are there.
//!
//! A peer is *up* while its control stream stands and its pings are answered. A broken stream
//! that cannot be opened again at once (the process is gone: connection refused) and a ping that
//! stays unanswered for `ping_timeout` (paused, cut off) both make it *down*.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use thalweg_types::{NodeId, UnixMillis};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::link::LinkEvent;
use super::{Connector, Lane, Reply, Request, link::Link};
use crate::{Options, Timing};

/// A peer appeared or disappeared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerEvent {
    Up(NodeId),
    Down(NodeId),
}

/// Why a call has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// Not sent: the node is not connected or not known.
    #[error("node is not connected")]
    NotConnected,
    /// Sent, but the stream broke or the time was up before the reply came.
    #[error("no reply")]
    NoReply,
}

const EVENTS_MAX: usize = 256;

struct Peer {
    address: String,
    channel: Channel,
    data: Arc<Link>,
    control: Arc<Link>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.data.close();
        self.control.close();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// All peers of this node.
pub(crate) struct Peers {
    node: NodeId,
    options: Options,
    connector: Arc<dyn Connector>,
    peers: RwLock<HashMap<NodeId, Peer>>,
    /// Where peers are said to be that are up at another address.
    moved: RwLock<HashMap<NodeId, String>>,
    up: watch::Sender<BTreeSet<NodeId>>,
    events: broadcast::Sender<PeerEvent>,
    /// What peers last said the time is, and when that was heard.
    times: RwLock<HashMap<NodeId, (UnixMillis, Instant)>>,
}

impl Peers {
    pub(crate) fn new(node: NodeId, options: Options, connector: Arc<dyn Connector>) -> Arc<Peers> {
        Arc::new(Peers {
            node,
            options,
            connector,
            peers: RwLock::default(),
            moved: RwLock::default(),
            up: watch::Sender::new(BTreeSet::new()),
            events: broadcast::Sender::new(EVENTS_MAX),
            times: RwLock::default(),
        })
    }

    /// This node.
    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    /// Nodes that are up, without this one.
    pub(crate) fn up(&self) -> watch::Receiver<BTreeSet<NodeId>> {
        self.up.subscribe()
    }

    /// The time-outs of this node.
    pub(crate) fn timing(&self) -> &Timing {
        &self.options.timing
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<PeerEvent> {
        self.events.subscribe()
    }

    pub(crate) fn is_up(&self, node: NodeId) -> bool {
        self.up.borrow().contains(&node)
    }

    /// What the time is by the clocks of all peers that have told it, also of those that are silent
    /// now: a node that nobody answers for a while must not fall back on its own clock.
    pub(crate) fn times(&self) -> Vec<(NodeId, UnixMillis)> {
        let now = |(time, heard): &(UnixMillis, Instant)| UnixMillis(time.0 + heard.elapsed().as_millis() as u64);
        self.times.read().iter().map(|(node, told)| (*node, now(told))).collect()
    }

    /// A channel for other services of that node.
    pub(crate) fn channel(&self, node: NodeId) -> Option<Channel> {
        self.peers.read().get(&node).map(|peer| peer.channel.clone())
    }

    /// Learns or changes a peer's address; begins to keep it connected. A peer that is up at another
    /// address stays connected there until it is down: who tells the new one may tell an old one.
    pub(crate) fn set(self: &Arc<Self>, node: NodeId, address: &str) {
        let known = self.peers.read().get(&node).map(|peer| peer.address.clone());
        if node == self.node || known.as_deref() == Some(address) {
            self.moved.write().remove(&node);
            return;
        }
        if known.is_some() && self.is_up(node) {
            self.moved.write().insert(node, address.to_owned());
            return;
        }
        match self.connect(node, address) {
            Ok(peer) => drop(self.peers.write().insert(node, peer)),
            Err(error) => tracing::warn!(%node, address, error, "peer address cannot be used"),
        }
    }

    /// A peer is down: looks for it where it was last said to be.
    fn follow(self: &Arc<Self>, node: NodeId) {
        let moved = self.moved.write().remove(&node);
        if let Some(address) = moved {
            self.set(node, &address);
        }
    }

    /// Forgets a peer.
    pub(crate) fn remove(&self, node: NodeId) {
        self.moved.write().remove(&node);
        self.peers.write().remove(&node);
        self.times.write().remove(&node);
        self.mark_down(node);
    }

    fn connect(self: &Arc<Self>, node: NodeId, address: &str) -> Result<Peer, String> {
        let (data, control) = (Link::new(self.options.peer_bytes_max), Link::new(self.options.peer_bytes_max));
        let run_data = data.clone().run(self.node, self.connector.channel(address)?, |_| ());
        let this = self.clone();
        let (up_sender, up_receiver) = watch::channel(false);
        let run_control = control.clone().run(self.node, self.connector.channel(address)?, move |event| {
            up_sender.send_replace(event == LinkEvent::Up);
            if event == LinkEvent::Down {
                this.mark_down(node);
                this.follow(node);
            }
        });
        let pings = self.clone().ping(node, control.clone(), up_receiver);
        let tasks = vec![tokio::spawn(run_data), tokio::spawn(run_control), tokio::spawn(pings)];
        Ok(Peer { address: address.to_owned(), channel: self.connector.channel(address)?, data, control, tasks })
    }

    /// Pings while the control stream stands. The first answer makes the peer up.
    async fn ping(self: Arc<Self>, node: NodeId, control: Arc<Link>, mut connected: watch::Receiver<bool>) {
        let timing = self.options.timing.clone();
        while connected.wait_for(|connected| *connected).await.is_ok() {
            let answer = async { control.call(Request::Ping).await?.await.ok() };
            match tokio::time::timeout(timing.ping_timeout, answer).await {
                Ok(Some(reply)) => {
                    if let Reply::Time(time) = reply {
                        self.times.write().insert(node, (time, Instant::now()));
                    }
                    self.mark_up(node);
                }
                _ => {
                    self.mark_down(node);
                    self.follow(node);
                }
            }
            tokio::time::sleep(timing.ping_interval).await;
        }
    }

    fn mark_up(&self, node: NodeId) {
        if self.up.send_if_modified(|up| up.insert(node)) {
            tracing::info!(%node, "peer is up");
            let _ = self.events.send(PeerEvent::Up(node));
        }
    }

    fn mark_down(&self, node: NodeId) {
        if self.up.send_if_modified(|up| up.remove(&node)) {
            tracing::warn!(%node, "peer is down");
            let _ = self.events.send(PeerEvent::Down(node));
        }
    }

    /// Sends a request, in the order of these calls; the reply comes later.
    pub(crate) async fn send(
        &self,
        to: NodeId,
        lane: Lane,
        request: Request,
    ) -> Result<oneshot::Receiver<Reply>, CallError> {
        let link = self.peers.read().get(&to).map(|peer| match lane {
            Lane::Data => peer.data.clone(),
            Lane::Control => peer.control.clone(),
        });
        link.ok_or(CallError::NotConnected)?.call(request).await.ok_or(CallError::NotConnected)
    }

    /// Sends a request on the control lane and waits for the reply.
    pub(crate) async fn ask(&self, to: NodeId, request: Request) -> Result<Reply, CallError> {
        let exchange = async { self.send(to, Lane::Control, request).await?.await.map_err(|_| CallError::NoReply) };
        tokio::time::timeout(self.options.timing.rpc_timeout, exchange).await.unwrap_or(Err(CallError::NoReply))
    }
}
