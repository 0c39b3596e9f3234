//! The admin port: is the process alive, can the node serve, and how is it doing.
//!
//! `/livez` asks nothing but that the process answers. `/readyz` is about this node alone: joined,
//! its replicas open, whole and, since they were opened, once close to their leaders, its disk in
//! order, not on its way out. The cluster's health is a metric and never a condition, or one lost
//! node would take all others out of service.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use thalweg_controller::{Image, Membership};
use thalweg_raft::Groups;
use thalweg_shard::ShardHost;
use thalweg_storage::{Health, NodeLog};
use thalweg_types::NodeId;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the checks look at.
#[derive(Clone)]
pub(crate) struct Checks {
    pub(crate) node: NodeId,
    pub(crate) membership: watch::Receiver<Membership>,
    pub(crate) image: watch::Receiver<Arc<Image>>,
    pub(crate) host: ShardHost,
    pub(crate) groups: Groups,
    pub(crate) log: NodeLog,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Checks {
    /// Whether this node can serve; else what it waits for.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if *self.stopping.borrow() {
            return Err("stopping".to_owned());
        }
        if let Health::Failed(reason) = &*self.log.health().borrow() {
            return Err(format!("storage failed: {reason}; restart the node"));
        }
        match &*self.membership.borrow() {
            Membership::Joined => {}
            Membership::Waiting { reason } => return Err(format!("not a member yet: {reason}")),
            Membership::Refused { reason } => return Err(format!("refused by the cluster: {reason}")),
        }
        let image = self.image.borrow().clone();
        if image.catalog.node(self.node).is_some_and(|node| node.state == thalweg_catalog::NodeState::Draining) {
            return Err("draining".to_owned());
        }
        self.replicas_ready(&image)
    }

    fn replicas_ready(&self, image: &Image) -> Result<(), String> {
        let wanted = thalweg_catalog::desired_replicas(&image.catalog, self.node);
        let closed = wanted.iter().filter(|spec| self.host.replica_of(spec.group).is_none()).count();
        if closed > 0 {
            return Err(format!("{closed} of {} replicas are not open yet{}", wanted.len(), self.damage()));
        }
        let groups = wanted.iter().filter_map(|spec| self.groups.get(spec.group));
        let groups: Vec<_> = groups.collect();
        let fenced = groups.iter().filter(|group| group.status().borrow().fenced).count();
        if fenced > 0 {
            let why = "they lost acknowledged bytes and wait for their peers";
            return Err(format!("{fenced} replicas are fenced: {why}{}", self.damage()));
        }
        let behind = groups.iter().filter(|group| group.is_catching_up()).count();
        if behind > 0 {
            return Err(format!("{behind} replicas have not caught up with their leaders yet"));
        }
        Ok(())
    }

    /// What the operator should know of damaged entries, to be put behind what follows from them.
    fn damage(&self) -> String {
        let damaged = self.groups.damaged();
        let Some((group, first)) = damaged.first_key_value() else { return String::new() };
        format!("; {} wait for damaged entries to be given back, group {group} first: {first}", damaged.len())
    }
}

#[derive(Clone)]
struct Admin {
    checks: Checks,
    registry: Arc<Registry>,
}

/// Serves until `stop` says so.
pub(crate) async fn serve(listener: TcpListener, checks: Checks, registry: Registry, mut stop: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Admin { checks, registry: Arc::new(registry) });
    let stopping = async move {
        let _ = stop.wait_for(|stop| *stop).await.is_ok();
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopping).await {
        tracing::error!(%error, "the admin port stopped serving");
    }
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    match admin.checks.ready() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &admin.registry) {
        Ok(()) => {
            let kind = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
            (StatusCode::OK, kind, text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
