//! Applying commands: each handler checks everything first and changes the catalog last.
//!
//! Holds: a refused command leaves no trace; nothing here panics, whatever a command says;
//! the result depends on the catalog and the command alone.
//!
//! One file a subject: [`cluster`], [`nodes`], [`streams`], [`reshards`], [`scaling`], [`replicas`],
//! [`settings`], [`consumers`], [`account`].

mod account;
mod cluster;
mod consumers;
mod nodes;
mod replicas;
mod reshards;
mod scaling;
mod settings;
mod streams;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_types::{ShardId, StreamId, StreamName, UnixMillis};

use crate::{Catalog, Command, Refusal, ReshardId, Shard, Stream, StreamStatus};

/// What applying a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applied {
    /// All was so already; the revision did not move.
    Unchanged,
    /// Done.
    Changed,
    /// A stream began its life.
    StreamCreated {
        /// Its incarnation.
        id: StreamId,
    },
    /// A reshard began.
    ReshardPlanned {
        /// Its id.
        reshard: ReshardId,
        /// The shards it will open, by rising range.
        children: Vec<ShardId>,
    },
    /// A fan-out consumer was registered.
    ConsumerRegistered {
        /// Its creation time, whose second no other registration of the name has.
        created_at: UnixMillis,
    },
}

/// What became of a command.
pub type Outcome = Result<Applied, Refusal>;

impl Catalog {
    /// Applies a command, or refuses it and stays as it was.
    pub fn apply(&mut self, command: &Command) -> Outcome {
        let applied = self.dispatch(command)?;
        if applied != Applied::Unchanged {
            self.revision += 1;
        }
        Ok(applied)
    }

    fn dispatch(&mut self, command: &Command) -> Outcome {
        match command {
            Command::FormCluster { cluster_id, token_secret, voters, now } => {
                self.form_cluster(cluster_id, token_secret, voters, *now)
            }
            Command::RegisterNode { node, now } => self.register_node(node, *now),
            Command::ChangeNode { node, change, now } => self.change_node(*node, *change, *now),
            Command::RemoveNode { node } => self.remove_node(*node),
            Command::SetControllerVoters { voters } => self.set_controller_voters(voters),
            Command::SetShardLimit { shards } => self.set_shard_limit(*shards),
            Command::CreateStream { wanted, placement, now } => self.create_stream(wanted, placement, *now),
            Command::ShardsOpened { stream, id } => self.shards_opened(stream, *id),
            Command::DeleteStream { stream, with_consumers } => self.delete_stream(stream, *with_consumers),
            Command::FinishDelete { stream, id } => self.finish_delete(stream, *id),
            Command::SetRetention { stream, hours, change, now } => self.set_retention(stream, *hours, *change, *now),
            Command::ExpireShards { stream, shards, now } => self.expire_shards(stream, shards, *now),
            Command::PlanReshard { stream, kind, cause, placement, rules, now } => {
                self.check_reshard_rules(stream, *rules)?;
                self.plan_reshard(stream, kind, *cause, placement, *now)
            }
            Command::SealParents { reshard } => self.seal_parents(*reshard),
            Command::FlipReshard { reshard, endings, now } => self.flip_reshard(*reshard, endings, *now),
            Command::AbortReshard { reshard } => self.abort_reshard(*reshard),
            Command::StartScaling { stream, target, rules, now } => self.start_scaling(stream, *target, *rules, *now),
            Command::EndScaling { stream } => self.end_scaling(stream),
            Command::SetReplicas { stream, shard, replicas } => self.set_replicas(stream, *shard, replicas),
            Command::ReplicasSettled { stream, shard, voters, placement } => {
                self.replicas_settled(stream, *shard, voters, *placement)
            }
            Command::UpdateStream { stream, patch, rules, now } => self.update_stream(stream, patch, *rules, *now),
            Command::TagStream { stream, set, remove } => self.tag_stream(stream, set, remove),
            Command::RegisterConsumer { stream, consumer, tags, now } => {
                self.register_consumer(stream, consumer, tags, *now)
            }
            Command::DeregisterConsumer { stream, consumer } => self.deregister_consumer(stream, consumer),
            Command::UpdateConsumer { stream, consumer, patch } => self.update_consumer(stream, consumer, patch),
            Command::CreateAccessKey { key } => self.create_access_key(key),
            Command::DeleteAccessKey { id } => self.delete_access_key(id),
            Command::UpdateAccount { patch, now } => self.update_account(patch, *now),
            Command::OfIncarnation { stream, id, command } => {
                self.check_incarnation(stream, *id)?;
                self.dispatch(command)
            }
        }
    }
}

// What the handlers share: finding things, or saying why not.
impl Catalog {
    fn known_stream(&self, name: &StreamName) -> Result<&Arc<Stream>, Refusal> {
        self.streams.get(name).ok_or_else(|| Refusal::StreamUnknown { stream: name.clone() })
    }

    /// Whether the stream is still the one that the caller means.
    fn check_incarnation(&self, name: &StreamName, id: StreamId) -> Result<(), Refusal> {
        let current = self.known_stream(name)?.id;
        if current == id { Ok(()) } else { Err(Refusal::StreamIncarnation { stream: name.clone(), id, current }) }
    }

    fn serving_stream(&self, name: &StreamName) -> Result<&Arc<Stream>, Refusal> {
        let stream = self.known_stream(name)?;
        if stream.serves() { Ok(stream) } else { Err(wrong_status(stream, "ACTIVE or UPDATING")) }
    }

    fn active_stream(&self, name: &StreamName) -> Result<&Arc<Stream>, Refusal> {
        let stream = self.known_stream(name)?;
        if stream.status == StreamStatus::Active { Ok(stream) } else { Err(wrong_status(stream, "ACTIVE")) }
    }

    /// The stream for changing; its parts stay shared with older images until then.
    fn stream_mut(&mut self, name: &StreamName) -> Result<&mut Stream, Refusal> {
        let found = self.streams.get_mut(name);
        found.ok_or_else(|| Refusal::StreamUnknown { stream: name.clone() })
    }
}

fn known_shard(stream: &Stream, shard: ShardId) -> Result<&Shard, Refusal> {
    let unknown = || Refusal::ShardUnknown { stream: stream.name.clone(), shard };
    stream.shards.get(shard).ok_or_else(unknown)
}

fn wrong_status(stream: &Stream, wanted: &str) -> Refusal {
    Refusal::StreamStatus { stream: stream.name.clone(), status: stream.status, wanted: wanted.to_owned() }
}
