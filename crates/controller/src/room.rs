//! How much more the catalog may hold.
//!
//! Snapshots of the catalog stand whole in the write-ahead log and travel whole: one that outgrew a
//! segment would stop every node that votes, for good. So the leader takes no command that adds to a
//! catalog which is full.
//!
//! Holds: what makes it smaller, changes nothing or keeps the cluster going is always taken; so are the
//! steps of a scaling that has begun, for which there was room when it did. What is on its way counts
//! with the most that it may add, until its outcome is known.

use parking_lot::Mutex;
use thalweg_catalog::{Catalog, Command, Refusal};

/// What the catalog has and may have, in encoded bytes.
pub(crate) struct Room {
    limit: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Revision and bytes of the catalog that was measured last.
    measured: Option<(u64, u64)>,
    /// What commands on their way may add.
    on_the_way: u64,
}

/// Room for one command, until this is dropped.
pub(crate) struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.room.state.lock().on_the_way -= self.bytes;
    }
}

impl State {
    /// Measures a catalog once a revision: it is encoded as often to be sent to the other nodes.
    fn bytes_of(&mut self, catalog: &Catalog) -> u64 {
        let known = self.measured.filter(|(revision, _)| *revision == catalog.revision());
        let (_, bytes) = *self.measured.insert(known.unwrap_or_else(|| (catalog.revision(), catalog.bytes())));
        bytes
    }
}

impl Room {
    pub(crate) fn new(limit: u64) -> Room {
        Room { limit, state: Mutex::default() }
    }

    /// Makes room for what a command adds to the newest catalog, or says that there is none.
    pub(crate) fn take(&self, catalog: &Catalog, command: &Command) -> Result<Taken<'_>, Refusal> {
        let added = command.bytes_added_max(catalog);
        if added > 0 {
            let mut state = self.state.lock();
            let bytes = state.bytes_of(catalog);
            if bytes + state.on_the_way + added > self.limit && grows(catalog, command, bytes) {
                return Err(Refusal::CatalogFull { bytes, limit: self.limit });
            }
            state.on_the_way += added;
        }
        Ok(Taken { room: self, bytes: added })
    }
}

/// Whether a catalog of so many bytes has more with a command. One that it refuses, or that was carried
/// out before, gets that for its answer.
fn grows(catalog: &Catalog, command: &Command, bytes: u64) -> bool {
    let mut with = catalog.clone();
    with.apply(command).is_ok() && with.bytes() > bytes
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use thalweg_catalog::{NewStream, NodeRegistration};
    use thalweg_types::{Incarnation, NodeId, StreamName, UnixMillis};

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn name(n: u64) -> StreamName {
        format!("s{n}").parse().unwrap()
    }

    fn create(n: u64) -> Command {
        let wanted = NewStream { replication: 1, ..NewStream::named(name(n), 1) };
        Command::CreateStream { wanted, placement: vec![vec![NodeId(1)]], now: NOW }
    }

    fn drop_stream(catalog: &Catalog, n: u64) -> [Command; 2] {
        let id = catalog.stream(&name(n)).unwrap().id;
        let delete = Command::DeleteStream { stream: name(n), with_consumers: true };
        [delete, Command::FinishDelete { stream: name(n), id }]
    }

    fn catalog() -> Catalog {
        let mut catalog = Catalog::new();
        let (cluster_id, token_secret) = ("c".to_owned(), "t".to_owned());
        let form = Command::FormCluster { cluster_id, token_secret, voters: vec![NodeId(1)], now: NOW };
        catalog.apply(&form).unwrap();
        let node = NodeRegistration {
            id: NodeId(1),
            incarnation: Incarnation(1),
            peer_address: "node1:4568".to_owned(),
            public_address: "node1:4567".to_owned(),
            admin_address: "node1:4569".to_owned(),
            zone: "a".to_owned(),
        };
        catalog.apply(&Command::RegisterNode { node, now: NOW }).unwrap();
        catalog
    }

    #[test]
    fn a_full_catalog_takes_nothing_more_until_something_is_gone() {
        const LIMIT: u64 = 64 * 1_024;
        let (mut catalog, room) = (catalog(), Room::new(LIMIT));
        let mut created = 0;
        let refused = loop {
            if let Err(refusal) = room.take(&catalog, &create(created)) {
                break refusal;
            }
            catalog.apply(&create(created)).unwrap();
            created += 1;
        };
        let bytes = catalog.bytes();
        assert!(bytes <= LIMIT && bytes > LIMIT - 8_192, "{bytes} bytes, {created} streams");
        assert_eq!(refused, Refusal::CatalogFull { bytes, limit: LIMIT });
        for stream in 0..8 {
            for command in drop_stream(&catalog, stream) {
                room.take(&catalog, &command).unwrap();
                catalog.apply(&command).unwrap();
            }
        }
        room.take(&catalog, &create(created)).unwrap();
    }

    #[test]
    fn what_is_on_its_way_counts_until_its_outcome_is_known() {
        let (catalog, added) = (catalog(), create(0).bytes_added_max(&catalog()));
        let room = Room::new(catalog.bytes() + 3 * added);
        let taken: Vec<_> = (0..9).map_while(|n| room.take(&catalog, &create(n)).ok()).collect();
        assert_eq!(taken.len(), 3);
        drop(taken);
        assert!((0..9).all(|n| room.take(&catalog, &create(n)).is_ok()), "none of them came to anything");
    }

    #[test]
    fn what_a_full_catalog_refuses_anyway_or_shrinks_by_is_taken() {
        let mut catalog = catalog();
        catalog.apply(&create(0)).unwrap();
        let id = catalog.stream(&name(0)).unwrap().id;
        catalog.apply(&Command::ShardsOpened { stream: name(0), id }).unwrap();
        let tag = |text: &str| BTreeMap::from([("key".to_owned(), text.to_owned())]);
        let tags = |set: BTreeMap<String, String>, remove: &[&str]| Command::TagStream {
            stream: name(0),
            set,
            remove: remove.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>(),
        };
        catalog.apply(&tags(tag("value"), &[])).unwrap();
        let room = Room::new(catalog.bytes());
        assert!(room.take(&catalog, &create(1)).is_err());
        assert!(room.take(&catalog, &tags(tag("a longer value"), &[])).is_err());
        for command in [create(0), tags(tag("value"), &[]), tags(tag("val"), &[]), tags(BTreeMap::new(), &["key"])] {
            assert!(room.take(&catalog, &command).is_ok(), "{command:?}");
        }
    }
}
