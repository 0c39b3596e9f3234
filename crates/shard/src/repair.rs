//! Healing a damaged copy of a committed entry from another replica.

use thalweg_proto::peer::shard_peer_service_client::ShardPeerServiceClient;
use thalweg_proto::peer::{FetchEntriesRequest, LogEntry};
use thalweg_raft::Payload;
use thalweg_types::{NodeId, RecordBatch};

use crate::command::Command;
use crate::read::ReadError;
use crate::replica::Replica;

/// Message size between peers: the largest batch and room for its frame.
pub(crate) const PEER_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Replaces the entry at `index` by a peer's intact copy. Readers that meet the damage together
/// come one after the other, so that it is repaired once.
pub(crate) async fn repair(replica: &Replica, index: u64) -> Result<(), ReadError> {
    let _one_at_a_time = replica.repairing.lock().await;
    if replica.group().read(index, 1).await.is_ok() {
        return Ok(());
    }
    let mut reason = "it has no other replica that can be reached".to_owned();
    for peer in replica.peers() {
        match fetch(replica, peer, index).await {
            Ok(entry) => {
                let payload = Payload { head: entry.head, body: entry.body };
                match replica.group().repair(index, entry.term, payload).await {
                    Ok(()) => {
                        replica.node().metrics.repairs.add(1);
                        tracing::warn!(group = %replica.group().id(), index, %peer, "repaired a corrupt entry");
                        return Ok(());
                    }
                    Err(error) => reason = format!("writing the copy of node {peer}: {error}"),
                }
            }
            Err(why) => reason = format!("node {peer}: {why}"),
        }
    }
    tracing::error!(group = %replica.group().id(), index, reason, "an entry is corrupt");
    Err(ReadError::Corrupt { index, reason })
}

async fn fetch(replica: &Replica, peer: NodeId, index: u64) -> Result<LogEntry, String> {
    let channel = replica.peer_channel(peer).ok_or("it is not connected")?;
    let mut client = ShardPeerServiceClient::new(channel).max_decoding_message_size(PEER_MESSAGE_BYTES_MAX);
    let request = FetchEntriesRequest { group: replica.group().id().0, from_index: index, to_index: index };
    let response = client.fetch_entries(request).await.map_err(|status| status.message().to_owned())?;
    let entry = response.into_inner().entries.into_iter().find(|entry| entry.index == index);
    let entry = entry.ok_or("it does not have the entry")?;
    check(&entry).map_err(|why| format!("its copy is no good: {why}"))?;
    Ok(entry)
}

/// Whether a peer's copy is what it should be; an append's batch carries its own checksum.
fn check(entry: &LogEntry) -> Result<(), String> {
    match Command::decode(&entry.head).map_err(|error| error.to_string())? {
        Command::Append { record_count, .. } => {
            let batch = RecordBatch::parse(entry.body.clone()).map_err(|error| error.to_string())?;
            let same = batch.record_count() == record_count as usize;
            if same { Ok(()) } else { Err("its record count differs".to_owned()) }
        }
        Command::Seal { .. } | Command::Trim { .. } if entry.body.is_empty() => Ok(()),
        Command::Seal { .. } | Command::Trim { .. } => Err("a command without a body has one".to_owned()),
    }
}
