//! The cluster's identity, its controller voters and its limits.

use thalweg_types::{NodeId, UnixMillis};

use super::replicas::check_distinct;
use crate::catalog::Cluster;
use crate::{Applied, Catalog, NodesProblem, Outcome, Refusal};

impl Catalog {
    pub(super) fn form_cluster(&mut self, id: &str, secret: &str, voters: &[NodeId], now: UnixMillis) -> Outcome {
        if let Some(cluster) = &self.cluster {
            let same = cluster.id == id;
            let refusal = Refusal::ClusterFormed { cluster_id: cluster.id.clone() };
            return if same { Ok(Applied::Unchanged) } else { Err(refusal) };
        }
        check_distinct(voters)?;
        self.cluster = Some(Cluster { id: id.to_owned(), token_secret: secret.to_owned(), formed_at: now });
        self.controller_voters = voters.to_vec();
        Ok(Applied::Changed)
    }

    pub(super) fn set_controller_voters(&mut self, voters: &[NodeId]) -> Outcome {
        check_distinct(voters)?;
        for &voter in voters {
            let node = self.nodes.get(&voter).ok_or(Refusal::Nodes { problem: NodesProblem::Unknown(voter) })?;
            if !node.is_alive() && !self.controller_voters.contains(&voter) {
                let problem = NodesProblem::NotActive { node: voter, state: node.state };
                return Err(Refusal::Nodes { problem });
            }
        }
        if self.controller_voters == voters {
            return Ok(Applied::Unchanged);
        }
        self.controller_voters = voters.to_vec();
        Ok(Applied::Changed)
    }

    pub(super) fn set_shard_limit(&mut self, shards: u32) -> Outcome {
        if self.shard_limit == shards {
            return Ok(Applied::Unchanged);
        }
        self.shard_limit = shards;
        Ok(Applied::Changed)
    }
}
