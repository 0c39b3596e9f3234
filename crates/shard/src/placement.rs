//! Making the voters of a shard's group those that the catalog wants.
//!
//! Two leaders that lag behind the catalog in different ways must not undo each other's work: the
//! catalog releases the replicas that a placement leaves out, on the word of a leader that has brought it
//! about, and a released replica throws its log away.
//!
//! Holds: the number of the placement stands in the group's log, applied by its leader, before who votes
//! is changed by it; a leader follows none that is older than the newest in its log; and both happen in
//! one term, so that no other leader comes between. Hence once a placement is brought about, no voter
//! that it leaves out ever returns but by a later one, of which the catalog knew first.

use std::collections::BTreeSet;
use std::time::Duration;

use thalweg_types::NodeId;
use thalweg_types::planted::{Planted, planted};

use crate::replica::Replica;
use crate::state::Outcome;

/// A group without a majority keeps no others from their changes for longer.
const PLACE_TIMEOUT: Duration = Duration::from_secs(10);

/// A placement that a leader sees to in its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) placement: u64,
    pub(crate) term: u64,
}

/// Whether a leader whose log's newest placement is `newest` may change who votes by `placement`.
pub(crate) fn may_follow(placement: u64, newest: u64) -> bool {
    placement >= newest || planted(Planted::OldPlacementFollowed)
}

/// Puts the placement into the log and makes these the voters; an error means that it is to be tried again.
pub(crate) async fn bring_about(replica: &Replica, placed: Placed, voters: BTreeSet<NodeId>) -> Result<(), String> {
    let newest = replica.state().with(|state| state.placement());
    if !may_follow(placed.placement, newest) {
        return Err(format!("placement {} is older than {newest}, which the log knows", placed.placement));
    }
    if newest < placed.placement {
        let outcome = tokio::time::timeout(PLACE_TIMEOUT, replica.place(placed)).await;
        let outcome = outcome.map_err(|_| "no majority has it yet".to_owned())?.map_err(|error| error.to_string())?;
        if outcome != Outcome::Done {
            return Err(format!("placement {} was not taken: {outcome:?}", placed.placement));
        }
    }
    let changed = replica.group().change_voters_in(placed.term, voters).await;
    changed.map_err(|error| error.to_string())?;
    replica.set_placed(placed);
    Ok(())
}
