//! The amnesia fence: a replica whose log lost acknowledged bytes has no say until it has them back.
//!
//! A node that once acknowledged an entry and then forgot it could elect a leader without that
//! entry: acknowledged data would be voted away. So while a replica is fenced it refuses votes
//! and pre-votes, does not campaign and serves no strong reads; it only receives entries. The same
//! holds for a replica that left its group and returned: a member that missed both still counts its
//! vote, which would elect that member without what the group acknowledged meanwhile.
//!
//! Why catching up is enough: everything acknowledged with this replica's help is also on another
//! member of that majority, and a leader elected by the rest has it. Once that leader has
//! committed an entry of its *own* term and our log holds that entry, our log holds everything
//! that was ever acknowledged before it was elected.

use crate::codec::{LogId, term_of};
use thalweg_types::planted::{Planted, planted};

/// Whether a follower that stands at `last` has everything back, hearing from a leader of term
/// `leader_term` that `committed` is committed.
pub(crate) fn may_lower(leader_term: u64, committed: Option<LogId>, last: Option<(u64, u64)>) -> bool {
    let Some(committed) = committed else { return false };
    let own_term = term_of(&committed) == leader_term || planted(Planted::FenceLoweredEarly);
    own_term && last.is_some_and(|(index, _)| index >= committed.index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::log_id;

    #[test]
    fn the_fence_stands_until_an_entry_of_the_leaders_own_term_is_here() {
        assert!(!may_lower(5, None, Some((9, 4))));
        assert!(!may_lower(5, Some(log_id(4, 9)), Some((9, 4))), "committed under an older leader");
        assert!(!may_lower(5, Some(log_id(5, 10)), Some((9, 4))), "the entry has not arrived");
        assert!(may_lower(5, Some(log_id(5, 10)), Some((10, 5))));
    }
}
