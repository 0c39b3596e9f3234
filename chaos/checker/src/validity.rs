//! Refuses histories that were recorded wrongly: about those no verdict is possible.

use std::collections::HashSet;

use thalweg_types::ShardId;

use crate::history::{Hash, History, Outcome, Start};

/// Why a history cannot be judged. It is the recorder's mistake, not the system's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// An operation that returned before it was called.
    #[error("{what} returns at {done}, before its call at {call}")]
    Backwards {
        /// The operation.
        what: String,
        /// When it was called.
        call: u64,
        /// When it returned.
        done: u64,
    },
    /// Payloads must be unique, or a copy could not be told from an original.
    #[error(
        "two writes have the payload hash {hash}, one of them by client {client} with key {key} and serial {serial}"
    )]
    SameHash {
        /// The hash.
        hash: Hash,
        /// Who wrote it second.
        client: u32,
        /// With which key.
        key: u64,
        /// With which serial.
        serial: u64,
    },
    /// Two records with one name.
    #[error("client {client} has two records of key {key} with serial {serial}")]
    SameSerial {
        /// The client.
        client: u32,
        /// The key.
        key: u64,
        /// The serial.
        serial: u64,
    },
    /// The first read of a reader in a shard must say where it starts.
    #[error("reader {reader} goes on in {shard}, where it never started")]
    NoStart {
        /// The reader.
        reader: u32,
        /// The shard.
        shard: ShardId,
    },
}

/// The first mistake.
pub(crate) fn check(history: &History) -> Result<(), Malformed> {
    intervals(history)?;
    names(history)?;
    starts(history)
}

fn intervals(history: &History) -> Result<(), Malformed> {
    let interval = |call, done, what: &dyn Fn() -> String| match call <= done {
        true => Ok(()),
        false => Err(Malformed::Backwards { what: what(), call, done }),
    };
    for write in &history.writes {
        // The outcome of an indefinite write may never have come: its `done` is not used.
        if write.outcome != Outcome::Indefinite {
            interval(write.call, write.done, &|| format!("write {} of key {}", write.serial, write.key))?;
        }
    }
    for read in &history.reads {
        interval(read.call, read.done, &|| format!("a read by {} in {}", read.reader, read.shard))?;
    }
    for reshard in &history.reshards {
        interval(reshard.call, reshard.done, &|| "a reshard".to_owned())?;
    }
    for change in &history.retention {
        interval(change.call, change.done, &|| "a change of the retention".to_owned())?;
    }
    history.trims.iter().try_for_each(|trim| interval(trim.call, trim.done, &|| format!("a trim of {}", trim.shard)))
}

fn names(history: &History) -> Result<(), Malformed> {
    let mut hashes: Vec<(Hash, u32)> = history.writes.iter().zip(0..).map(|(write, at)| (write.hash, at)).collect();
    hashes.sort_unstable();
    if let Some(pair) = hashes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let write = &history.writes[pair[1].1 as usize];
        let (client, key, serial) = (write.client, write.key, write.serial);
        return Err(Malformed::SameHash { hash: write.hash, client, key, serial });
    }
    let mut serials: Vec<_> = history.writes.iter().map(|write| (write.client, write.key, write.serial)).collect();
    serials.sort_unstable();
    match serials.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(&[(client, key, serial), _]) => Err(Malformed::SameSerial { client, key, serial }),
        _ => Ok(()),
    }
}

fn starts(history: &History) -> Result<(), Malformed> {
    let mut order: Vec<_> = history.reads.iter().collect();
    order.sort_by_key(|read| (read.shard, read.reader, read.call));
    let mut started = HashSet::new();
    for read in order {
        if started.insert((read.reader, read.shard)) && read.start == Start::Continue {
            return Err(Malformed::NoStart { reader: read.reader, shard: read.shard });
        }
    }
    Ok(())
}
