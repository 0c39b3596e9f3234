//! The state of a shard at rest: checkpoints and snapshots. Version 2, little endian;
//! version 1 is the same without a placement, for as long as that is 0.
//!
//! ```text
//! version u8 = 2 │ placement u64 │ trim? │ last? │ sealed? │ void count u32, indexes u64 …
//! producer count u32: [id u128 │ batch count u8: [sequence u64 │ facts] …] …
//! facts = index u64 │ arrived u64 │ record count u32;  x? = 0, or 1 and x
//! sealed = index u64 │ reshard u64 │ at u64
//! ```

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thalweg_types::planted::{Planted, planted};
use thalweg_types::{ProducerId, UnixMillis};

use super::producers::{Producers, Window};
use super::{Sealed, ShardState};
use crate::command::EntryFacts;

const VERSION: u8 = 2;
const VERSION_WITHOUT_PLACEMENT: u8 = 1;
const FACTS_BYTES: usize = 20;

/// Bytes that are no saved state; names the part that was being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0} in the saved state of a shard")]
pub struct StateCodecError(&'static str);

impl ShardState {
    /// The state as bytes.
    pub fn encode(&self) -> Bytes {
        let mut to = BytesMut::with_capacity(64);
        if self.placement == 0 {
            to.put_u8(VERSION_WITHOUT_PLACEMENT);
        } else {
            to.put_u8(VERSION);
            to.put_u64_le(self.placement);
        }
        put_option(&mut to, self.trim, put_facts);
        put_option(&mut to, self.last, put_facts);
        put_option(&mut to, self.sealed, |to, sealed| {
            to.put_u64_le(sealed.index);
            to.put_u64_le(sealed.reshard);
            to.put_u64_le(sealed.at.0);
        });
        to.put_u32_le(self.voids.len() as u32);
        self.voids.iter().for_each(|index| to.put_u64_le(*index));
        let none = Producers::default();
        let producers = if planted(Planted::WindowsNotSaved) { &none } else { &self.producers };
        to.put_u32_le(producers.windows().len() as u32);
        for (producer, window) in producers.windows() {
            to.put_u128_le(producer.0);
            to.put_u8(window.batches.len() as u8);
            for (sequence, facts) in &window.batches {
                to.put_u64_le(*sequence);
                put_facts(&mut to, *facts);
            }
        }
        to.freeze()
    }

    /// The state that `encode` made bytes of.
    pub fn decode(mut from: &[u8]) -> Result<ShardState, StateCodecError> {
        let placement = match get_u8(&mut from, "version")? {
            VERSION => {
                need(from, 8, "placement")?;
                from.get_u64_le()
            }
            VERSION_WITHOUT_PLACEMENT => 0,
            _ => return Err(StateCodecError("version")),
        };
        let trim = get_option(&mut from, get_facts)?;
        let last = get_option(&mut from, get_facts)?;
        let sealed = get_option(&mut from, |from| {
            need(from, 24, "seal")?;
            let (index, reshard) = (from.get_u64_le(), from.get_u64_le());
            Ok(Sealed { index, reshard, at: UnixMillis(from.get_u64_le()) })
        })?;
        let void_count = get_count(&mut from, 8, "void entries")?;
        let voids = (0..void_count).map(|_| from.get_u64_le()).collect();
        let producers = get_producers(&mut from)?;
        if !from.is_empty() {
            return Err(StateCodecError("end"));
        }
        Ok(ShardState { trim, last, sealed, voids, producers, placement })
    }
}

fn get_producers(from: &mut &[u8]) -> Result<Producers, StateCodecError> {
    let mut producers = Producers::default();
    for _ in 0..get_count(from, 17, "producers")? {
        need(from, 17, "producer")?;
        let (producer, batch_count) = (ProducerId(from.get_u128_le()), from.get_u8());
        let mut window = Window { batches: VecDeque::with_capacity(usize::from(batch_count)) };
        for _ in 0..batch_count {
            need(from, 8, "producer")?;
            window.batches.push_back((from.get_u64_le(), get_facts(from)?));
        }
        if !producers.restore_window(producer, window) {
            return Err(StateCodecError("producer"));
        }
    }
    Ok(producers)
}

fn put_option<T>(to: &mut BytesMut, value: Option<T>, put: impl Fn(&mut BytesMut, T)) {
    to.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(to, value);
    }
}

fn get_option<T>(
    from: &mut &[u8],
    get: impl Fn(&mut &[u8]) -> Result<T, StateCodecError>,
) -> Result<Option<T>, StateCodecError> {
    match get_u8(from, "option")? {
        0 => Ok(None),
        1 => get(from).map(Some),
        _ => Err(StateCodecError("option")),
    }
}

fn put_facts(to: &mut BytesMut, facts: EntryFacts) {
    to.put_u64_le(facts.index);
    to.put_u64_le(facts.arrived.0);
    to.put_u32_le(facts.record_count);
}

fn get_facts(from: &mut &[u8]) -> Result<EntryFacts, StateCodecError> {
    need(from, FACTS_BYTES, "entry facts")?;
    let (index, arrived) = (from.get_u64_le(), UnixMillis(from.get_u64_le()));
    Ok(EntryFacts { index, arrived, record_count: from.get_u32_le() })
}

fn get_u8(from: &mut &[u8], what: &'static str) -> Result<u8, StateCodecError> {
    need(from, 1, what)?;
    Ok(from.get_u8())
}

/// A count of things of at least `each` bytes, that many bytes being there.
fn get_count(from: &mut &[u8], each: usize, what: &'static str) -> Result<usize, StateCodecError> {
    need(from, 4, what)?;
    let count = from.get_u32_le() as usize;
    need(from, count.saturating_mul(each), what)?;
    Ok(count)
}

fn need(from: &[u8], bytes: usize, what: &'static str) -> Result<(), StateCodecError> {
    if from.len() < bytes { Err(StateCodecError(what)) } else { Ok(()) }
}
