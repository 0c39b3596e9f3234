//! How votes, log ids, memberships and entries are written: in the log and between nodes.
//!
//! Little endian, fixed width, no serde: `vote` = term u64, node u64, committed u8;
//! `log id` = term u64, index u64; options are led by a byte 0 or 1. An entry's head begins with
//! its [kind](self): blank, command or membership.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::entry::RaftEntry;
use openraft::{EntryPayload, Membership, StoredMembership};
use thalweg_storage::LogEntry;

use crate::Payload;

openraft::declare_raft_types!(
    /// The types that openraft is instantiated with: terms and node ids are numbers, one leader a term.
    pub(crate) TypeConfig:
        D = Payload,
        R = Bytes,
        NodeId = u64,
        Node = (),
        Term = u64,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = openraft_rt_tokio::TokioRuntime,
);

pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, Bytes>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Members = Membership<u64, ()>;
pub(crate) type StoredMembers = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;

const KIND_BLANK: u8 = 0;
const KIND_COMMAND: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;

/// Bytes that are not what they should be; names the part that was being read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

fn need(from: &impl Buf, bytes: usize, what: &'static str) -> Result<(), Malformed> {
    if from.remaining() < bytes { Err(Malformed(what)) } else { Ok(()) }
}

pub(crate) fn get_u8(from: &mut Bytes, what: &'static str) -> Result<u8, Malformed> {
    need(from, 1, what)?;
    Ok(from.get_u8())
}

pub(crate) fn get_u32(from: &mut Bytes, what: &'static str) -> Result<u32, Malformed> {
    need(from, 4, what)?;
    Ok(from.get_u32_le())
}

pub(crate) fn get_u64(from: &mut Bytes, what: &'static str) -> Result<u64, Malformed> {
    need(from, 8, what)?;
    Ok(from.get_u64_le())
}

pub(crate) fn get_bytes(from: &mut Bytes, length: usize, what: &'static str) -> Result<Bytes, Malformed> {
    need(from, length, what)?;
    Ok(from.split_to(length))
}

pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(committed_term(term), index)
}

pub(crate) fn committed_term(term: u64) -> openraft::type_config::alias::CommittedLeaderIdOf<TypeConfig> {
    use openraft::vote::RaftLeaderId;
    // In standard Raft a committed leader is told by its term alone.
    openraft::impls::leader_id_std::LeaderId::<u64, u64>::new(term, 0).to_committed()
}

pub(crate) fn term_of(id: &LogId) -> u64 {
    id.leader_id.term
}

pub(crate) fn put_vote(to: &mut BytesMut, vote: &Vote) {
    to.put_u64_le(vote.leader_id.term);
    to.put_u64_le(vote.leader_id.voted_for);
    to.put_u8(u8::from(vote.committed));
}

pub(crate) fn get_vote(from: &mut Bytes) -> Result<Vote, Malformed> {
    need(from, 17, "vote")?;
    let (term, node, committed) = (from.get_u64_le(), from.get_u64_le(), from.get_u8());
    Ok(if committed == 1 { Vote::new_committed(term, node) } else { Vote::new(term, node) })
}

pub(crate) fn put_log_id(to: &mut BytesMut, id: Option<&LogId>) {
    match id {
        None => to.put_u8(0),
        Some(id) => {
            to.put_u8(1);
            to.put_u64_le(term_of(id));
            to.put_u64_le(id.index);
        }
    }
}

pub(crate) fn get_log_id(from: &mut Bytes) -> Result<Option<LogId>, Malformed> {
    if get_u8(from, "log id")? == 0 {
        return Ok(None);
    }
    need(from, 16, "log id")?;
    Ok(Some(log_id(from.get_u64_le(), from.get_u64_le())))
}

fn put_members(to: &mut BytesMut, members: &Members) {
    let put_ids = |to: &mut BytesMut, ids: &mut dyn Iterator<Item = u64>| {
        let ids: Vec<u64> = ids.collect();
        to.put_u32_le(ids.len() as u32);
        ids.into_iter().for_each(|id| to.put_u64_le(id));
    };
    to.put_u32_le(members.get_joint_config().len() as u32);
    for config in members.get_joint_config() {
        put_ids(to, &mut config.iter().copied());
    }
    put_ids(to, &mut members.nodes().map(|(id, ())| *id));
}

fn get_members(from: &mut Bytes) -> Result<Members, Malformed> {
    let get_ids = |from: &mut Bytes| -> Result<BTreeSet<u64>, Malformed> {
        let count = get_u32(from, "membership")? as usize;
        need(from, count * 8, "membership")?;
        Ok((0..count).map(|_| from.get_u64_le()).collect())
    };
    let config_count = get_u32(from, "membership")?;
    if config_count > 2 {
        return Err(Malformed("membership"));
    }
    let configs = (0..config_count).map(|_| get_ids(from)).collect::<Result<Vec<_>, _>>()?;
    let nodes = get_ids(from)?;
    if configs.is_empty() {
        return Ok(Members::default());
    }
    Membership::new(configs, nodes.into_iter().map(|id| (id, ())).collect::<std::collections::BTreeMap<_, _>>())
        .map_err(|_| Malformed("membership"))
}

pub(crate) fn put_stored_members(to: &mut BytesMut, stored: &StoredMembers) {
    put_log_id(to, stored.log_id().as_ref());
    put_members(to, stored.membership());
}

pub(crate) fn get_stored_members(from: &mut Bytes) -> Result<StoredMembers, Malformed> {
    Ok(StoredMembership::new(get_log_id(from)?, get_members(from)?))
}

/// The entry as the node's log keeps it. The command's body is shared, not copied.
pub(crate) fn to_log_entry(entry: Entry) -> LogEntry {
    let (term, index) = (term_of(&entry.log_id()), entry.log_id.index);
    let (head, body) = match entry.payload {
        EntryPayload::Blank => (Bytes::from_static(&[KIND_BLANK]), Bytes::new()),
        EntryPayload::Normal(payload) => {
            let mut head = BytesMut::with_capacity(1 + payload.head.len());
            head.put_u8(KIND_COMMAND);
            head.put_slice(&payload.head);
            (head.freeze(), payload.body)
        }
        EntryPayload::Membership(members) => {
            let mut head = BytesMut::new();
            head.put_u8(KIND_MEMBERSHIP);
            put_members(&mut head, &members);
            (head.freeze(), Bytes::new())
        }
    };
    LogEntry { index, term, head, body }
}

/// The entry as openraft takes it.
pub(crate) fn from_log_entry(stored: LogEntry) -> Result<Entry, Malformed> {
    let LogEntry { index, term, mut head, body } = stored;
    let payload = match get_u8(&mut head, "entry")? {
        KIND_BLANK => EntryPayload::Blank,
        KIND_COMMAND => EntryPayload::Normal(Payload { head, body }),
        KIND_MEMBERSHIP => EntryPayload::Membership(get_members(&mut head)?),
        _ => return Err(Malformed("entry kind")),
    };
    Ok(Entry::new(log_id(term, index), payload))
}

/// The command in a stored entry; nothing for blank and membership entries.
pub(crate) fn command_of(stored: LogEntry) -> Option<Payload> {
    let LogEntry { mut head, body, .. } = stored;
    (!head.is_empty() && head.get_u8() == KIND_COMMAND).then_some(Payload { head, body })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_members() -> impl Strategy<Value = Members> {
        (proptest::collection::btree_set(1u64..9, 1..5), proptest::collection::btree_set(1u64..9, 0..5)).prop_map(
            |(voters, learners)| {
                let nodes = voters.union(&learners).map(|id| (*id, ())).collect::<std::collections::BTreeMap<_, _>>();
                Membership::new(vec![voters], nodes).expect("all voters are nodes")
            },
        )
    }

    proptest! {
        #[test]
        fn entries_read_back_from_the_log(term in 1u64..99, index: u64, head: Vec<u8>, body: Vec<u8>, members in any_members(), kind in 0u8..3) {
            let payload = match kind {
                0 => EntryPayload::Blank,
                1 => EntryPayload::Normal(Payload { head: head.into(), body: body.into() }),
                _ => EntryPayload::Membership(members),
            };
            let entry = Entry::new(log_id(term, index), payload);
            prop_assert_eq!(from_log_entry(to_log_entry(entry.clone())).unwrap(), entry);
        }

        #[test]
        fn votes_and_memberships_read_back(term: u64, node: u64, committed: bool, members in any_members(), at in proptest::option::of((1u64..9, any::<u64>()))) {
            let mut bytes = BytesMut::new();
            let vote = if committed { Vote::new_committed(term, node) } else { Vote::new(term, node) };
            let stored = StoredMembership::new(at.map(|(term, index)| log_id(term, index)), members);
            put_vote(&mut bytes, &vote);
            put_stored_members(&mut bytes, &stored);
            let mut bytes = bytes.freeze();
            prop_assert_eq!(get_vote(&mut bytes), Ok(vote));
            prop_assert_eq!(get_stored_members(&mut bytes), Ok(stored));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = get_vote(&mut bytes.clone());
            let _ = get_stored_members(&mut bytes.clone());
            let _ = from_log_entry(LogEntry { index: 1, term: 1, head: bytes.clone(), body: bytes });
        }
    }
}
