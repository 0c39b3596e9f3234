//! What operators do meanwhile: split, merge, scale, drain, hand over, and the like.

use std::sync::Arc;
use std::time::Duration;

use thalweg_client::{CallError, Client, CreateStream, NodeId, StreamName};
use tokio::time::{sleep, timeout};

use super::{REPLICATION, now_ns, open_shards, stream};
use crate::faults::Kind;
use crate::world::World;

/// One thing to do.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// What.
    pub kind: Kind,
    /// With which node, where it is about one.
    pub node: u64,
    /// Chooses among shards and numbers.
    pub dice: u64,
    /// Takes back what an earlier operation did.
    pub undo: bool,
}

impl Operation {
    /// Whoever wants back what was before does not give up at once; and a node is not removed while the
    /// controller still hears from it.
    fn is_insisted_on(&self) -> bool {
        self.undo || matches!(self.kind, Kind::ReplaceNode | Kind::ReturnEmpty)
    }
}

/// The longest that one may take.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
/// More attempts at what somebody insists on, and the time before each of them.
const ATTEMPTS_MAX: u32 = 20;
const ATTEMPT_PAUSE: Duration = Duration::from_secs(1);
/// Shards that operations make, at most.
const SHARDS_MAX: u64 = 6;

/// Does what comes in, several at once if they take long.
pub async fn operate(world: Arc<World>, client: Client) {
    let Some(mut to_do) = world.to_do.lock().take() else { return };
    while let Some(operation) = to_do.recv().await {
        let (world, client) = (world.clone(), client.clone());
        tokio::spawn(async move {
            let doing = async {
                let mut done = perform(&world, &client, operation).await;
                for _ in 0..ATTEMPTS_MAX {
                    if done.is_ok() || !operation.is_insisted_on() {
                        break;
                    }
                    sleep(ATTEMPT_PAUSE).await;
                    done = perform(&world, &client, operation).await;
                }
                done
            };
            let outcome = match timeout(OPERATION_TIMEOUT, doing).await {
                Ok(Ok(what)) => what,
                Ok(Err(error)) if error.perhaps_applied() => format!("perhaps: {error}"),
                Ok(Err(error)) => format!("refused: {error}"),
                Err(_) => "took too long".to_owned(),
            };
            let word = outcome.split(':').next().unwrap_or_default().to_owned();
            world.cover(format!("operation {} {word}", operation.kind));
            world.trace(format_args!("operation {operation:?}: {outcome}"));
        });
    }
}

async fn perform(world: &World, client: &Client, operation: Operation) -> Result<String, CallError> {
    let streams = client.streams();
    let (name, dice, node) = (stream(), operation.dice, NodeId(operation.node));
    let done = || Ok("done".to_owned());
    match operation.kind {
        Kind::Split => {
            let open = open_shards(client).await?;
            if open.len() as u64 >= SHARDS_MAX {
                return Ok("enough shards".to_owned());
            }
            streams.split(&name, open[dice as usize % open.len()].id, None).await?;
            done()
        }
        Kind::Merge => {
            let mut open = open_shards(client).await?;
            open.sort_by_key(|shard| shard.range.start());
            if open.len() < 2 {
                return Ok("nothing to merge".to_owned());
            }
            let at = dice as usize % (open.len() - 1);
            streams.merge(&name, open[at].id, open[at + 1].id).await?;
            done()
        }
        Kind::Scale => {
            streams.scale(&name, 1 + (dice % SHARDS_MAX) as u32).await?;
            done()
        }
        Kind::Retention => {
            let (call, hours) = (now_ns(), 24 + (dice % 1_000) as u32);
            match streams.set_retention(&name, hours).await {
                Ok(_) => world.recorder.retention(call, now_ns(), hours),
                Err(error) => {
                    world.recorder.perhaps_retention(call, now_ns(), hours);
                    return Err(error);
                }
            }
            done()
        }
        Kind::Drain => {
            let cluster = client.cluster();
            if operation.undo {
                cluster.cancel_drain(node).await?
            } else {
                cluster.drain(node).await?
            };
            done()
        }
        Kind::Transfer => {
            let open = open_shards(client).await?;
            let shard = &open[dice as usize % open.len()];
            let to = shard.replicas[(dice >> 8) as usize % shard.replicas.len()];
            client.cluster().transfer_leader(&name, shard.id, to).await?;
            done()
        }
        Kind::ReplaceNode | Kind::ReturnEmpty => {
            client.cluster().remove(node).await?;
            done()
        }
        Kind::OtherStream => other_stream(client, dice).await,
        _ => Ok("nothing to do".to_owned()),
    }
}

/// Creates another stream, or deletes it when it is there.
async fn other_stream(client: &Client, dice: u64) -> Result<String, CallError> {
    let name: StreamName = format!("other-{}", dice % 2).parse().expect("a valid name");
    if client.streams().exists(&name).await? {
        client.streams().delete(&name).await?;
        return Ok("deleted".to_owned());
    }
    let shard_count = Some(1 + (dice >> 8) as u32 % 2);
    let settings = CreateStream { shard_count, replication: Some(REPLICATION), ..CreateStream::default() };
    client.streams().create(&name, settings).await?;
    Ok("created".to_owned())
}
