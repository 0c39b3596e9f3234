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
//! that was ever acknowledged before it was elected. That nobody leads in a newer term with our help
//! is what the vote stands for; [`assumed_vote`] replaces one that was forgotten.
//!
//! A [pair](is_pair) is the exception. Where two vote, both acknowledge everything, so the one that
//! forgot nothing has all of it, and whom it votes for needs no other witness: without the fenced
//! replica's vote the group would have no leader ever again, and the fence would never come down.
//! And where nobody leads, a fenced replica [asks](crate::inquiry) whether it lacks anything at all.

use std::collections::BTreeSet;

use thalweg_types::NodeId;
use thalweg_types::planted::{Planted, planted};

use crate::codec::{LogId, Vote, term_of};

/// More elections than a group holds between the promise that was lost and the newest one that was not.
const ELECTIONS_LOST_MAX: u64 = 1 << 20;
/// More elections than a group holds while one of its replicas is fenced.
const ELECTIONS_FENCED_MAX: u64 = 1 << 12;

/// The vote of a replica that may have forgotten its own: bound by a promise in a term that is higher
/// than any it can have seen, namely the time in milliseconds at which the loss was found (no group
/// holds an election each millisecond for decades). `mark` is that time, 0 if nothing was lost.
///
/// Without it a leader of an older term than the forgotten promise, which knows nothing of the newer
/// leader that this replica helped to elect, could give the replica "everything" back and commit
/// with it. So the group elects a leader anew, one whose term is above the mark.
///
/// A clock may have been ahead at an earlier loss, or be behind at this one. A mark that is below
/// what is still known of the terms, by more than there are elections behind a fence, says nothing:
/// then the promise is far above those. With such a clock it is made anew at each start until the
/// fence is lowered. `last_term` is that of the log's last entry.
pub(crate) fn assumed_vote(vote: Option<Vote>, last_term: u64, mark: u64, node: NodeId) -> Option<Vote> {
    let voted = vote.map_or(0, |vote| vote.leader_id.term);
    let known = voted.max(last_term);
    let made_since = (mark..mark.saturating_add(ELECTIONS_FENCED_MAX)).contains(&voted);
    if mark == 0 || made_since {
        return None;
    }
    let term = if known < mark { mark } else { known.saturating_add(ELECTIONS_LOST_MAX) };
    Some(Vote::new(term, node.0))
}

/// Whether a follower has everything back, hearing from a leader of term `leader_term`, whom it
/// follows, that `committed` is committed. `term_of_entry` tells the terms of its entries: a longer
/// log is not enough, it may hold what was withdrawn before the loss.
pub(crate) fn may_lower(
    leader_term: u64,
    committed: Option<LogId>,
    term_of_entry: impl Fn(u64) -> Option<u64>,
) -> bool {
    let Some(committed) = committed else { return false };
    let own_term = term_of(&committed) == leader_term || planted(Planted::FenceLoweredEarly);
    own_term && has_all_of(Some(committed), term_of_entry)
}

/// Whether a candidate and the one it asks are all the voters of its configuration, and that is not
/// about to change: every other configuration needs the candidate to have agreed.
pub(crate) fn is_pair(configs: &[BTreeSet<u64>], candidate: u64, asked: NodeId) -> bool {
    candidate != asked.0 && configs == [BTreeSet::from([candidate, asked.0])]
}

/// Whether a replica has all that another one has, whose log ends at `others_last`: logs that have one
/// entry in common are alike up to there. `term_of_entry` tells the terms of this replica's entries.
pub(crate) fn has_all_of(others_last: Option<LogId>, term_of_entry: impl Fn(u64) -> Option<u64>) -> bool {
    others_last.is_none_or(|last| term_of_entry(last.index) == Some(term_of(&last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::log_id;

    #[test]
    fn only_two_voters_of_one_configuration_are_a_pair() {
        let set = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<u64>>();
        assert!(is_pair(&[set(&[1, 3])], 1, NodeId(3)));
        assert!(!is_pair(&[set(&[1, 2, 3])], 1, NodeId(3)));
        assert!(!is_pair(&[set(&[1, 2])], 1, NodeId(3)), "who is asked does not vote");
        assert!(!is_pair(&[set(&[1, 3]), set(&[1, 2])], 1, NodeId(3)), "under way to another one");
        assert!(!is_pair(&[set(&[1])], 1, NodeId(1)));
        assert!(!is_pair(&[], 1, NodeId(3)));
    }

    #[test]
    fn whoever_has_the_last_entry_of_another_log_has_all_of_it() {
        let terms = |index: u64| [1, 1, 4].get(index as usize).copied();
        assert!(has_all_of(Some(log_id(4, 2)), terms));
        assert!(has_all_of(Some(log_id(1, 1)), terms), "and more than it");
        assert!(!has_all_of(Some(log_id(3, 2)), terms), "another entry stands there");
        assert!(!has_all_of(Some(log_id(4, 3)), terms));
        assert!(has_all_of(None, terms), "of nothing everybody has all");
    }

    #[test]
    fn a_forgotten_vote_is_taken_for_one_in_a_higher_term_than_any_and_once_only() {
        let (me, now) = (NodeId(3), 1_790_000_000_000);
        let assumed = Some(Vote::new(now, me.0));
        assert_eq!(assumed_vote(None, 0, now, me), assumed);
        assert_eq!(assumed_vote(Some(Vote::new_committed(7, 1)), 7, now, me), assumed);
        assert_eq!(assumed_vote(assumed, 7, now, me), None, "it stands already");
        assert_eq!(assumed_vote(Some(Vote::new(now + 1, 2)), now + 1, now, me), None, "a promise made since");
        assert_eq!(assumed_vote(None, 0, 0, me), None, "nothing was lost");
        assert_eq!(assumed_vote(Some(Vote::new(7, 1)), 7, 0, me), None, "nothing was lost");
    }

    #[test]
    fn a_clock_that_is_behind_the_terms_in_use_does_not_bring_a_forgotten_vote_back() {
        let (me, ahead, now) = (NodeId(3), 4_000_000_000_000, 1_790_000_000_000);
        let known = Vote::new_committed(ahead + 5, 2);
        for (vote, last_term) in [(Some(known), ahead + 5), (Some(known), 0), (None, ahead + 5)] {
            let assumed = assumed_vote(vote, last_term, now, me).expect("a promise");
            assert_eq!(assumed.leader_id.voted_for, me.0);
            assert!(assumed.leader_id.term > ahead + 100_000, "above what may have been lost: {assumed}");
        }
        assert!(assumed_vote(Some(Vote::new(u64::MAX, 1)), 0, now, me).is_some(), "nor does it overflow");
    }

    #[test]
    fn the_fence_stands_until_an_entry_of_the_leaders_own_term_is_here() {
        let (nine, ten) = ([4; 10], [4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5]);
        let of = |terms: &[u64], index: u64| terms.get(index as usize).copied();
        assert!(!may_lower(5, None, |index| of(&nine, index)));
        assert!(!may_lower(5, Some(log_id(4, 9)), |index| of(&nine, index)), "committed under an older leader");
        assert!(!may_lower(5, Some(log_id(5, 10)), |index| of(&nine, index)), "the entry has not arrived");
        assert!(may_lower(5, Some(log_id(5, 10)), |index| of(&ten, index)));
    }

    #[test]
    fn a_log_that_is_longer_with_entries_that_were_withdrawn_lowers_no_fence() {
        let withdrawn = |index: u64| [4; 13].get(index as usize).copied();
        assert!(!may_lower(5, Some(log_id(5, 10)), withdrawn));
    }
}
