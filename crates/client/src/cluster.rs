//! Looking after nodes, leaders and what holds for all streams together.
//!
//! Access keys: [`crate::access_keys`]. What happened: [`crate::events`].

use thalweg_catalog::{AccountPatch, AccountSettings};
use thalweg_proto::v1;
use thalweg_types::{NodeId, ShardId, StreamName};

use crate::call::{CallError, Repeat};
use crate::client::{Client, stub};
use crate::describe::{ClusterDescription, known_node};
use crate::wire;

/// Calls about the cluster itself. Made by [`Client::cluster`].
#[derive(Clone, Debug)]
pub struct Cluster {
    client: Client,
}

/// What is still to be moved off a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainProgress {
    /// Replicas it still holds.
    pub replicas_left: u32,
    /// Shards it still leads.
    pub leaders_left: u32,
}

impl Cluster {
    pub(crate) fn new(client: Client) -> Cluster {
        Cluster { client }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// All nodes and who leads.
    pub async fn describe(&self) -> Result<ClusterDescription, CallError> {
        let call =
            |channel| async move { stub::cluster(channel).describe_cluster(v1::DescribeClusterRequest {}).await };
        let answer = self.client.call(Repeat::Harmless, call).await?;
        self.client.pool().learn(answer.nodes.iter().map(|node| &node.public_address));
        let account = answer.account.unwrap_or_default();
        Ok(ClusterDescription {
            account: wire::account(&account),
            shards_max: account.shards_max,
            cluster_id: answer.cluster_id,
            nodes: answer.nodes.into_iter().map(Into::into).collect(),
            controller_leader: known_node(answer.controller_leader),
            revision: answer.revision,
        })
    }

    /// Moves all leaders and replicas off a node. Call again to see how far it got.
    pub async fn drain(&self, node: NodeId) -> Result<DrainProgress, CallError> {
        self.set_draining(node, false).await
    }

    /// Takes a draining node back into service.
    pub async fn cancel_drain(&self, node: NodeId) -> Result<DrainProgress, CallError> {
        self.set_draining(node, true).await
    }

    async fn set_draining(&self, node: NodeId, cancel: bool) -> Result<DrainProgress, CallError> {
        let request = v1::DrainNodeRequest { node_id: node.0, cancel };
        let call = |channel| async move { stub::cluster(channel).drain_node(request).await };
        let answer = self.client.call(Repeat::Harmless, call).await?;
        Ok(DrainProgress { replicas_left: answer.replicas_left, leaders_left: answer.leaders_left })
    }

    /// Declares a node gone for good; its id is never used again.
    pub async fn remove(&self, node: NodeId) -> Result<(), CallError> {
        let request = v1::RemoveNodeRequest { node_id: node.0 };
        let call = |channel| async move { stub::cluster(channel).remove_node(request).await };
        self.client.call(Repeat::Harmless, call).await.map(drop)
    }

    /// Changes what holds for all streams together; what the patch does not name stays.
    pub async fn update_account(&self, patch: &AccountPatch) -> Result<AccountSettings, CallError> {
        let request = wire::to_account_patch(patch);
        let call = |channel| async move { stub::cluster(channel).update_account(request).await };
        let answer = self.client.call(Repeat::Harmless, call).await?;
        let account = answer.account.ok_or_else(|| CallError::BadAnswer("the account is missing".to_owned()))?;
        Ok(wire::account(&account))
    }

    /// A revision of the catalog that has everything in it that was agreed on before this call. One
    /// round of the controller's group, since a leader may be one no longer, but nothing is written.
    pub async fn confirmed_revision(&self) -> Result<u64, CallError> {
        let request = wire::to_account_patch(&AccountPatch::default());
        let call = |channel| async move { stub::cluster(channel).update_account(request).await };
        match self.client.call(Repeat::Harmless, call).await?.revision {
            // A node of an earlier version leaves it out, and a cluster without a change has no nodes.
            0 => Err(CallError::BadAnswer("the node does not say which revision it shows".to_owned())),
            revision => Ok(revision),
        }
    }

    /// Asks the leader of a shard to hand over to another of its replicas.
    pub async fn transfer_leader(&self, stream: &StreamName, shard: ShardId, to: NodeId) -> Result<(), CallError> {
        let request = v1::TransferLeaderRequest {
            stream_name: stream.to_string(),
            shard_id: shard.to_string(),
            to_node_id: to.0,
        };
        let call = |channel| {
            let request = request.clone();
            async move { stub::cluster(channel).transfer_leader(request).await }
        };
        self.client.call(Repeat::Harmless, call).await.map(drop)
    }
}
