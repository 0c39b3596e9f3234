//! What the tasks of one node's controller part share.

use std::sync::Arc;

use thalweg_catalog::{Catalog, EventLog};
use thalweg_raft::{Group, Groups, SteadyClock};
use thalweg_types::{Clock, NodeId, UnixMillis};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::dialer::Dialer;
use crate::identity::Keeper;
use crate::leader::hub::Hub;
use crate::random::Random;
use crate::room::Room;
use crate::{Image, Membership, Options, Reports};

/// One node, as the tasks and services of this crate see it.
pub(crate) struct Node {
    pub(crate) options: Options,
    pub(crate) groups: Groups,
    pub(crate) keeper: Keeper,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) steady_clock: Arc<SteadyClock>,
    pub(crate) random: Random,
    pub(crate) room: Room,
    pub(crate) dialer: Dialer,
    /// What this node's replicas do, to be reported.
    pub(crate) observations: watch::Receiver<Arc<Reports>>,
    /// What the controller's leader tells everyone.
    pub(crate) image: watch::Sender<Arc<Image>>,
    /// The catalog of the newest image, shared with it, for those who need nothing else.
    pub(crate) catalog: watch::Sender<Arc<Catalog>>,
    pub(crate) membership: watch::Sender<Membership>,
    /// This node's replica of group 0, where it has one.
    pub(crate) seat: watch::Sender<Option<Group>>,
    /// The catalog as that replica has applied it.
    pub(crate) applied: watch::Sender<Arc<Catalog>>,
    /// What happened so far, as that replica has applied it.
    pub(crate) events: watch::Sender<Arc<EventLog>>,
    /// What nodes report, while this node leads.
    pub(crate) hub: Hub,
    pub(crate) stop: CancellationToken,
}

impl Node {
    pub(crate) fn id(&self) -> NodeId {
        self.groups.node_id()
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The time by which records may be given up for good: none are by 0, for as long as it is not sure.
    pub(crate) fn sure_time(&self) -> UnixMillis {
        self.steady_clock.now().unwrap_or_else(|why| {
            tracing::warn!(%why, "what is past retention is not written off");
            UnixMillis(0)
        })
    }

    /// Shows a catalog that is about to be in the image. Whoever sees it in the image finds it here.
    pub(crate) fn show_catalog(&self, newest: &Arc<Catalog>) {
        self.catalog.send_if_modified(|shown| {
            let newer = newest.revision() > shown.revision();
            if newer {
                *shown = newest.clone();
            }
            newer
        });
    }

    /// The controller's leader as this node's own replica of group 0 knows it.
    pub(crate) fn elected(&self) -> Option<NodeId> {
        let seat = self.seat.borrow().clone()?;
        seat.status().borrow().leader
    }

    /// Whether this node leads the controller and may act on the catalog it has applied.
    pub(crate) fn leads(&self) -> bool {
        self.leading_seat().is_some()
    }

    /// The group, if this node leads it.
    pub(crate) fn leading_seat(&self) -> Option<Group> {
        let seat = self.seat.borrow().clone()?;
        let leading = seat.status().borrow().leading;
        leading.then_some(seat)
    }

    /// Where to reach a node, as far as anything here knows.
    pub(crate) fn peer_address(&self, node: NodeId) -> Option<String> {
        if node == self.id() {
            return Some(self.options.advertised.peer_address.clone());
        }
        let known = |catalog: &Catalog| catalog.node(node).map(|node| node.peer_address.clone());
        let newest = known(&self.image.borrow().catalog).or_else(|| known(&self.applied.borrow()));
        newest.or_else(|| {
            let belonging = self.keeper.get().cluster?;
            let mut members = belonging.controllers.into_iter().chain(belonging.founders);
            members.find(|member| member.node == node).map(|member| member.peer_address)
        })
    }
}
