//! What nodes say to each other, and how it is written into frames.
//!
//! ```text
//! request: number u64 │ kind u8 │ group u64 │ fields …
//! reply:   number u64 │ kind u8 │ fields …
//! append:  vote │ prev │ commit │ count u32 │ count × (term u64, head u32, body u32) │ heads and bodies
//! ```
//! Entries of one append follow `prev` without a hole, so their indexes need not be written.

use bytes::{BufMut, Bytes, BytesMut};
use openraft::raft::{AppendEntriesRequest, VoteRequest, VoteResponse};
use thalweg_storage::LogEntry;
use thalweg_types::{GroupId, UnixMillis, crc32c};

use super::Frame;
use crate::codec::{self, LogId, Malformed, SnapshotMeta, StoredMembers, TypeConfig, Vote};

/// A question to another node.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// Entries, or none as a heartbeat.
    Append(GroupId, AppendEntriesRequest<TypeConfig>),
    /// A vote; and whether candidate and the one asked are a [pair](crate::fence::is_pair).
    Vote(GroupId, VoteRequest<TypeConfig>, bool),
    /// Whether a vote would be given; the rest as in `Vote`.
    PreVote(GroupId, VoteRequest<TypeConfig>, bool),
    /// The whole snapshot; they are small.
    Snapshot(GroupId, Vote, Option<LogId>, StoredMembers, Bytes),
    /// Leadership is handed to a node.
    Transfer(GroupId, Vote, u64, Option<LogId>),
    /// Whether the follower may fall asleep at this term and last index.
    Hibernate(GroupId, u64, u64),
    /// The entry of this index and term, whose bytes are damaged here; and whether a snapshot that
    /// stands for it will do.
    Fetch(GroupId, u64, u64, bool),
    /// Are you there?
    Ping,
}

/// How an append went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AppendResult {
    /// Everything up to here matches the leader's log and is durable.
    Matched(Option<LogId>),
    /// The entry before the first is not there.
    Conflict(LogId),
    /// Another leader's term is higher.
    HigherVote(Vote),
}

/// The answer to a [`Request`].
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// To an append.
    Append(AppendResult),
    /// To a vote or pre-vote.
    Vote(VoteResponse<TypeConfig>),
    /// To a snapshot: the receiver's vote.
    Snapshot(Vote),
    /// To a ping, transfer or hibernation: done, or willing.
    Yes,
    /// To a ping: here, and this is the time. Whoever does not know this one reads it as yes.
    Time(UnixMillis),
    /// Not done, not willing, or not there.
    No,
    /// To a fetch.
    Entry(LogEntry),
    /// To a fetch: the entry is given up, and this snapshot stands for it.
    GivenUp(SnapshotMeta, Bytes),
    /// This node cannot answer for the group now, and why.
    Refused(String),
}

/// Number, kind and group.
const REQUEST_HEAD_BYTES: usize = 8 + 1 + 8;
const APPEND: u8 = 1;
const VOTE: u8 = 2;
const PRE_VOTE: u8 = 3;
const SNAPSHOT: u8 = 4;
const TRANSFER: u8 = 5;
const HIBERNATE: u8 = 6;
const PING: u8 = 7;
const FETCH: u8 = 8;

impl Request {
    /// The group it concerns; the ping's is the controller's and means nothing.
    pub(crate) fn group(&self) -> GroupId {
        match self {
            Request::Append(group, _)
            | Request::Vote(group, ..)
            | Request::PreVote(group, ..)
            | Request::Snapshot(group, ..)
            | Request::Transfer(group, ..)
            | Request::Hibernate(group, ..)
            | Request::Fetch(group, ..) => *group,
            Request::Ping => GroupId::CONTROLLER,
        }
    }

    pub(crate) fn encode(self, number: u64) -> Frame {
        let mut to = BytesMut::with_capacity(128);
        let group = self.group().0;
        let mut start = |kind: u8| {
            to.put_u64_le(number);
            to.put_u8(kind);
            to.put_u64_le(group);
        };
        match self {
            Request::Append(_, append) => {
                start(APPEND);
                return encode_append(to, append);
            }
            Request::Vote(_, vote, pair) => {
                start(VOTE);
                put_vote_request(&mut to, &vote, pair);
            }
            Request::PreVote(_, vote, pair) => {
                start(PRE_VOTE);
                put_vote_request(&mut to, &vote, pair);
            }
            Request::Snapshot(_, vote, last, members, data) => {
                start(SNAPSHOT);
                codec::put_vote(&mut to, &vote);
                codec::put_log_id(&mut to, last.as_ref());
                codec::put_stored_members(&mut to, &members);
                return Frame { parts: vec![to.freeze(), data] };
            }
            Request::Transfer(_, vote, node, last) => {
                start(TRANSFER);
                codec::put_vote(&mut to, &vote);
                to.put_u64_le(node);
                codec::put_log_id(&mut to, last.as_ref());
            }
            Request::Hibernate(_, term, last) => {
                start(HIBERNATE);
                to.put_u64_le(term);
                to.put_u64_le(last);
            }
            // Who does not know the last one leaves it unread.
            Request::Fetch(_, index, term, or_snapshot) => {
                start(FETCH);
                to.put_u64_le(index);
                to.put_u64_le(term);
                to.put_u8(u8::from(or_snapshot));
            }
            Request::Ping => start(PING),
        }
        Frame::whole(to.freeze())
    }

    /// The number and the request in a frame.
    pub(crate) fn decode(mut frame: Frame) -> Result<(u64, Request), Malformed> {
        let head = frame.front(REQUEST_HEAD_BYTES);
        let number = codec::get_u64(head, "request")?;
        let kind = codec::get_u8(head, "request")?;
        let group = GroupId(codec::get_u64(head, "request")?);
        if kind == APPEND {
            return Ok((number, Request::Append(group, decode_append(frame)?)));
        }
        let mut from = frame.into_bytes();
        let request = match kind {
            VOTE | PRE_VOTE => {
                let (vote, pair) = get_vote_request(&mut from)?;
                if kind == VOTE { Request::Vote(group, vote, pair) } else { Request::PreVote(group, vote, pair) }
            }
            SNAPSHOT => {
                let vote = codec::get_vote(&mut from)?;
                let last = codec::get_log_id(&mut from)?;
                let members = codec::get_stored_members(&mut from)?;
                Request::Snapshot(group, vote, last, members, from)
            }
            TRANSFER => {
                let vote = codec::get_vote(&mut from)?;
                let node = codec::get_u64(&mut from, "transfer")?;
                Request::Transfer(group, vote, node, codec::get_log_id(&mut from)?)
            }
            HIBERNATE => {
                let term = codec::get_u64(&mut from, "hibernate")?;
                Request::Hibernate(group, term, codec::get_u64(&mut from, "hibernate")?)
            }
            FETCH => {
                let index = codec::get_u64(&mut from, "fetch")?;
                let term = codec::get_u64(&mut from, "fetch")?;
                Request::Fetch(group, index, term, from.first() == Some(&1))
            }
            PING => Request::Ping,
            _ => return Err(Malformed("request kind")),
        };
        Ok((number, request))
    }
}

/// Flags of a vote request.
const TRANSFER_ELECTION: u8 = 1;
const PAIR: u8 = 2;

fn put_vote_request(to: &mut BytesMut, request: &VoteRequest<TypeConfig>, pair: bool) {
    codec::put_vote(to, &request.vote);
    codec::put_log_id(to, request.last_log_id.as_ref());
    let transfer = if request.leadership_transfer { TRANSFER_ELECTION } else { 0 };
    to.put_u8(transfer | if pair { PAIR } else { 0 });
}

fn get_vote_request(from: &mut Bytes) -> Result<(VoteRequest<TypeConfig>, bool), Malformed> {
    let (vote, last_log_id) = (codec::get_vote(from)?, codec::get_log_id(from)?);
    let flags = codec::get_u8(from, "vote request")?;
    let leadership_transfer = flags & TRANSFER_ELECTION != 0;
    Ok((VoteRequest { vote, last_log_id, leadership_transfer }, flags & PAIR != 0))
}

fn encode_append(mut to: BytesMut, append: AppendEntriesRequest<TypeConfig>) -> Frame {
    codec::put_vote(&mut to, &append.vote);
    codec::put_log_id(&mut to, append.prev_log_id.as_ref());
    codec::put_log_id(&mut to, append.leader_commit.as_ref());
    to.put_u32_le(append.entries.len() as u32);
    let entries: Vec<LogEntry> = append.entries.into_iter().map(codec::to_log_entry).collect();
    for entry in &entries {
        to.put_u64_le(entry.term);
        to.put_u32_le(entry.head.len() as u32);
        to.put_u32_le(entry.body.len() as u32);
    }
    let mut parts = Vec::with_capacity(1 + 2 * entries.len());
    parts.push(to.freeze());
    entries.into_iter().for_each(|entry| parts.extend([entry.head, entry.body]));
    Frame { parts }
}

/// Bytes before the entries, at most: the vote, two log ids, the count.
const APPEND_HEAD_BYTES: usize = 17 + 17 + 17 + 4;

fn decode_append(mut from: Frame) -> Result<AppendEntriesRequest<TypeConfig>, Malformed> {
    let head = from.front(APPEND_HEAD_BYTES);
    let vote = codec::get_vote(head)?;
    let prev_log_id = codec::get_log_id(head)?;
    let leader_commit = codec::get_log_id(head)?;
    let count = codec::get_u32(head, "append")? as usize;
    let mut take = |bytes: usize| from.take(bytes).ok_or(Malformed("append"));
    let mut sizes = take(count.saturating_mul(16))?;
    let first = prev_log_id.map_or(Some(0), |id| id.index.checked_add(1)).ok_or(Malformed("append"))?;
    let end = first.checked_add(count as u64).ok_or(Malformed("append"))?;
    let mut entries = Vec::with_capacity(count);
    for index in first..end {
        let term = codec::get_u64(&mut sizes, "append")?;
        let head_length = codec::get_u32(&mut sizes, "append")? as usize;
        let body_length = codec::get_u32(&mut sizes, "append")? as usize;
        let (head, body) = (take(head_length)?, take(body_length)?);
        entries.push(codec::from_log_entry(LogEntry { index, term, head, body })?);
    }
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

const MATCHED: u8 = 1;
const CONFLICT: u8 = 2;
const HIGHER_VOTE: u8 = 3;
const VOTED: u8 = 4;
const INSTALLED: u8 = 5;
const YES: u8 = 6;
const NO: u8 = 7;
const REFUSED: u8 = 8;
const ENTRY: u8 = 9;
const GIVEN_UP: u8 = 10;

impl Reply {
    pub(crate) fn encode(&self, number: u64) -> Frame {
        let mut to = BytesMut::with_capacity(64);
        to.put_u64_le(number);
        match self {
            Reply::Append(AppendResult::Matched(id)) => {
                to.put_u8(MATCHED);
                codec::put_log_id(&mut to, id.as_ref());
            }
            Reply::Append(AppendResult::Conflict(id)) => {
                to.put_u8(CONFLICT);
                codec::put_log_id(&mut to, Some(id));
            }
            Reply::Append(AppendResult::HigherVote(vote)) => {
                to.put_u8(HIGHER_VOTE);
                codec::put_vote(&mut to, vote);
            }
            Reply::Vote(response) => {
                to.put_u8(VOTED);
                codec::put_vote(&mut to, &response.vote);
                codec::put_log_id(&mut to, response.last_log_id.as_ref());
                to.put_u8(u8::from(response.vote_granted));
            }
            Reply::Snapshot(vote) => {
                to.put_u8(INSTALLED);
                codec::put_vote(&mut to, vote);
            }
            Reply::Yes => to.put_u8(YES),
            Reply::Time(now) => {
                to.put_u8(YES);
                to.put_u64_le(now.0);
            }
            Reply::No => to.put_u8(NO),
            Reply::Entry(entry) => {
                to.put_u8(ENTRY);
                to.put_u64_le(entry.index);
                to.put_u64_le(entry.term);
                to.put_u32_le(checksum_of(&entry.head, &entry.body));
                to.put_u32_le(entry.head.len() as u32);
                return Frame { parts: vec![to.freeze(), entry.head.clone(), entry.body.clone()] };
            }
            Reply::GivenUp(meta, data) => {
                to.put_u8(GIVEN_UP);
                let mut said = BytesMut::new();
                codec::put_log_id(&mut said, meta.last_log_id.as_ref());
                codec::put_stored_members(&mut said, &meta.last_membership);
                to.put_u32_le(checksum_of(&said, data));
                to.put_u32_le(said.len() as u32);
                return Frame { parts: vec![to.freeze(), said.freeze(), data.clone()] };
            }
            Reply::Refused(why) => {
                to.put_u8(REFUSED);
                to.put_slice(why.as_bytes());
            }
        }
        Frame::whole(to.freeze())
    }

    /// The number and the reply in a frame.
    pub(crate) fn decode(mut from: Bytes) -> Result<(u64, Reply), Malformed> {
        let number = codec::get_u64(&mut from, "reply")?;
        let reply = match codec::get_u8(&mut from, "reply")? {
            MATCHED => Reply::Append(AppendResult::Matched(codec::get_log_id(&mut from)?)),
            CONFLICT => {
                let id = codec::get_log_id(&mut from)?.ok_or(Malformed("conflict"))?;
                Reply::Append(AppendResult::Conflict(id))
            }
            HIGHER_VOTE => Reply::Append(AppendResult::HigherVote(codec::get_vote(&mut from)?)),
            VOTED => {
                let vote = codec::get_vote(&mut from)?;
                let last = codec::get_log_id(&mut from)?;
                let granted = codec::get_u8(&mut from, "vote reply")? == 1;
                Reply::Vote(VoteResponse::new(vote, last, granted))
            }
            INSTALLED => Reply::Snapshot(codec::get_vote(&mut from)?),
            YES if from.is_empty() => Reply::Yes,
            YES => Reply::Time(UnixMillis(codec::get_u64(&mut from, "time")?)),
            NO => Reply::No,
            ENTRY => Reply::Entry(get_entry(from)?),
            GIVEN_UP => get_given_up(from)?,
            REFUSED => Reply::Refused(String::from_utf8_lossy(&from).into_owned()),
            _ => return Err(Malformed("reply kind")),
        };
        Ok((number, reply))
    }
}

/// The entry of a reply. Its copy replaces one for good, so it carries a checksum of its own.
fn get_entry(mut from: Bytes) -> Result<LogEntry, Malformed> {
    let index = codec::get_u64(&mut from, "entry")?;
    let term = codec::get_u64(&mut from, "entry")?;
    let (head, body) = get_checked(from, "entry")?;
    Ok(LogEntry { index, term, head, body })
}

/// The snapshot of a reply. It takes the place of entries for good, so it carries a checksum as well.
fn get_given_up(from: Bytes) -> Result<Reply, Malformed> {
    let (mut said, data) = get_checked(from, "given up")?;
    let (last_log_id, last_membership) = (codec::get_log_id(&mut said)?, codec::get_stored_members(&mut said)?);
    Ok(Reply::GivenUp(SnapshotMeta { last_log_id, last_membership }, data))
}

/// `checksum u32 │ length of the first part u32 │ first part │ the rest`
fn get_checked(mut from: Bytes, what: &'static str) -> Result<(Bytes, Bytes), Malformed> {
    let checksum = codec::get_u32(&mut from, what)?;
    let length = codec::get_u32(&mut from, what)? as usize;
    let first = codec::get_bytes(&mut from, length, what)?;
    let intact = checksum_of(&first, &from) == checksum;
    if intact { Ok((first, from)) } else { Err(Malformed(what)) }
}

fn checksum_of(first: &[u8], rest: &[u8]) -> u32 {
    crc32c(first) ^ crc32c(rest).rotate_left(1)
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;
    use openraft::entry::RaftEntry;
    use proptest::prelude::*;

    use super::*;
    use crate::Payload;
    use crate::codec::{Entry, log_id};

    proptest! {
        #[test]
        fn appends_read_back(number: u64, group: u64, prev in 0u64..99, bodies in proptest::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..5)) {
            let entry = |(i, (head, body)): (usize, (Vec<u8>, Vec<u8>))| {
                let payload = Payload { head: head.into(), body: body.into() };
                Entry::new(log_id(3, prev + 1 + i as u64), EntryPayload::Normal(payload))
            };
            let append = AppendEntriesRequest {
                vote: Vote::new_committed(3, 1),
                prev_log_id: Some(log_id(2, prev)),
                entries: bodies.into_iter().enumerate().map(entry).collect(),
                leader_commit: None,
            };
            let frame = Request::Append(GroupId(group), append.clone()).encode(number);
            let (read_number, read) = Request::decode(frame).unwrap();
            prop_assert_eq!(read_number, number);
            let Request::Append(read_group, read) = read else { panic!("not an append") };
            prop_assert_eq!((read_group, read.entries, read.prev_log_id), (GroupId(group), append.entries, append.prev_log_id));
        }

        #[test]
        fn fetched_entries_read_back_and_no_changed_byte_passes(
            index: u64, term: u64, head: Vec<u8>, body: Vec<u8>, at: prop::sample::Index, bit in 0u8..8,
        ) {
            let head_and_body = head.len() + body.len();
            let entry = LogEntry { index, term, head: head.into(), body: body.into() };
            let frame = Reply::Entry(entry.clone()).encode(7).into_bytes();
            let Ok((7, Reply::Entry(read))) = Reply::decode(frame.clone()) else { panic!("not an entry") };
            prop_assert_eq!(read, entry);
            if head_and_body > 0 {
                let mut changed = frame.to_vec();
                let at = frame.len() - 1 - at.index(head_and_body);
                changed[at] ^= 1 << bit;
                prop_assert!(Reply::decode(changed.into()).is_err());
            }
        }

        #[test]
        fn a_snapshot_in_place_of_an_entry_reads_back_and_no_changed_byte_passes(
            term in 1u64..99, index: u64, data: Vec<u8>, at: prop::sample::Index, bit in 0u8..8,
        ) {
            let meta = SnapshotMeta { last_log_id: Some(log_id(term, index)), last_membership: StoredMembers::default() };
            let frame = Reply::GivenUp(meta.clone(), data.clone().into()).encode(7).into_bytes();
            let Ok((7, Reply::GivenUp(read, bytes))) = Reply::decode(frame.clone()) else { panic!("not given up") };
            prop_assert_eq!((read, bytes.to_vec()), (meta, data));
            let mut changed = frame.to_vec();
            let at = 9 + at.index(frame.len() - 9);
            changed[at] ^= 1 << bit;
            prop_assert!(Reply::decode(changed.into()).is_err());
        }

        #[test]
        fn a_fetch_reads_back_also_from_who_knows_of_no_snapshots(index: u64, term: u64, or_snapshot: bool) {
            let frame = Request::Fetch(GroupId(3), index, term, or_snapshot).encode(7).into_bytes();
            let Ok((7, Request::Fetch(GroupId(3), i, t, s))) = Request::decode(Frame::whole(frame.clone())) else {
                panic!("not a fetch")
            };
            prop_assert_eq!((i, t, s), (index, term, or_snapshot));
            let older = Request::decode(Frame::whole(frame.slice(..frame.len() - 1)));
            prop_assert!(matches!(older, Ok((7, Request::Fetch(_, _, _, false)))));
        }

        #[test]
        fn a_time_reads_back_and_is_a_yes_to_whoever_does_not_know_it(number: u64, now: u64) {
            let frame = Reply::Time(UnixMillis(now)).encode(number).into_bytes();
            let Ok((read, Reply::Time(time))) = Reply::decode(frame.clone()) else { panic!("not a time") };
            prop_assert_eq!((read, time), (number, UnixMillis(now)));
            let yes = Reply::Yes.encode(number).into_bytes();
            prop_assert!(frame.starts_with(&yes));
            prop_assert!(matches!(Reply::decode(yes), Ok((_, Reply::Yes))));
        }

        #[test]
        fn an_append_behind_the_last_index_is_no_append(below in 0u64..4, count in 1usize..6) {
            let append = AppendEntriesRequest {
                vote: Vote::new_committed(3, 1),
                prev_log_id: Some(log_id(2, 7)),
                entries: (8..8 + count as u64).map(|index| Entry::new(log_id(3, index), EntryPayload::Blank)).collect(),
                leader_commit: None,
            };
            let mut frame = Request::Append(GroupId(1), append).encode(9).into_bytes().to_vec();
            let at = frame.windows(8).rposition(|bytes| bytes == 7u64.to_le_bytes()).unwrap();
            frame[at..at + 8].copy_from_slice(&(u64::MAX - below).to_le_bytes());
            let read = Request::decode(Frame::whole(frame.into()));
            prop_assert_eq!(read.is_ok(), below as usize > count);
        }

        #[test]
        fn arbitrary_frames_never_panic(bytes: Vec<u8>) {
            let _ = Request::decode(Frame::whole(bytes.clone().into()));
            let _ = Reply::decode(bytes.into());
        }
    }
}
