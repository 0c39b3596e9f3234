//! How much more the catalog may hold.
//!
//! Snapshots of the catalog stand whole in the write-ahead log and travel whole: one that outgrew a
//! segment would stop every node that votes, for good. So the leader takes no command that adds to a
//! catalog which is full.
//!
//! Holds: what makes it smaller, or keeps the cluster going, is always taken. It is measured again
//! before anything is refused, and after so many revisions that a leader which was away cannot be far
//! off; between two measurements each command counts with the most that it may add.

use parking_lot::Mutex;
use thalweg_catalog::{Catalog, Command, Refusal};

/// Revisions after which a measurement is old.
const REVISIONS_MAX: u64 = 100;

/// What the catalog has and may have, in encoded bytes.
pub(crate) struct Room {
    limit: u64,
    known: Mutex<Option<Known>>,
}

/// A measurement, and what was let in since.
#[derive(Clone, Copy)]
struct Known {
    revision: u64,
    bytes: u64,
}

impl Known {
    fn of(catalog: &Catalog) -> Known {
        Known { revision: catalog.revision(), bytes: catalog.encode().len() as u64 }
    }

    fn is_of(&self, catalog: &Catalog, revisions: u64) -> bool {
        catalog.revision().abs_diff(self.revision) <= revisions
    }
}

impl Room {
    pub(crate) fn new(limit: u64) -> Room {
        Room { limit, known: Mutex::default() }
    }

    /// Makes room for what a command adds, or says that there is none.
    pub(crate) fn take(&self, catalog: &Catalog, command: &Command) -> Result<(), Refusal> {
        let added = command.bytes_added_max();
        if added == 0 {
            return Ok(());
        }
        let mut last = self.known.lock();
        let mut known = last.filter(|known| known.is_of(catalog, REVISIONS_MAX)).unwrap_or_else(|| Known::of(catalog));
        if known.bytes + added > self.limit && !known.is_of(catalog, 0) {
            known = Known::of(catalog);
        }
        let full = known.bytes + added > self.limit;
        let refusal = Refusal::CatalogFull { bytes: known.bytes, limit: self.limit };
        known.bytes += if full { 0 } else { added };
        *last = Some(known);
        if full { Err(refusal) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
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
        let bytes = catalog.encode().len() as u64;
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
    fn what_is_on_its_way_counts_before_it_is_applied() {
        let (catalog, added) = (catalog(), create(0).bytes_added_max());
        let room = Room::new(catalog.encode().len() as u64 + 3 * added);
        let taken = (0..9).take_while(|n| room.take(&catalog, &create(*n)).is_ok()).count();
        assert_eq!(taken, 3);
    }
}
