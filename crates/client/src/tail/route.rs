//! Whom a tail asks next. Pure.
//!
//! The leader as far as known, then other replicas in turn; where a node named the leader, that
//! one first; never the node that failed last, if there is another.

use thalweg_types::ShardId;

use crate::routing::Image;

#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    turn: usize,
    failed: Option<String>,
    hint: Option<String>,
}

impl Route {
    /// The same, for one attempt: a hint is followed once.
    pub(super) fn for_one_attempt(&mut self) -> Route {
        Route { hint: self.hint.take(), ..self.clone() }
    }

    pub(super) fn choose(&self, image: &Image, shard: ShardId) -> String {
        if let Some(hint) = &self.hint {
            return hint.clone();
        }
        let mut candidates = image.candidates(shard);
        if candidates.len() > 1 {
            candidates.retain(|address| Some(address) != self.failed.as_ref());
        }
        candidates.get(self.turn % candidates.len().max(1)).cloned().unwrap_or_default()
    }

    /// A node named the leader.
    pub(super) fn follow(&mut self, leader: Option<String>) {
        self.hint = leader;
    }

    /// A node did not answer as it should.
    pub(super) fn pass_over(&mut self, address: &str) {
        if self.failed.replace(address.to_owned()).is_some() {
            self.turn += 1;
        }
    }

    /// A page came.
    pub(super) fn reset(&mut self) {
        *self = Route::default();
    }
}

#[cfg(test)]
mod tests {
    use thalweg_types::HashRange;

    use super::*;
    use crate::testing::{image, shard};

    #[test]
    fn the_leader_comes_first_then_the_others_in_turn_and_a_hint_before_all_once() {
        let image = image(1, vec![shard(0, HashRange::FULL, &[], false)]);
        let mut route = Route::default();
        let mut asked = Vec::new();
        for _ in 0..4 {
            let address = route.for_one_attempt().choose(&image, ShardId(0));
            route.pass_over(&address);
            asked.push(address);
        }
        assert_eq!(asked, ["n1:1", "n2:1", "n3:1", "n1:1"]);
        route.follow(Some("n9:1".to_owned()));
        assert_eq!(route.for_one_attempt().choose(&image, ShardId(0)), "n9:1");
        assert_ne!(route.for_one_attempt().choose(&image, ShardId(0)), "n9:1");
        route.reset();
        assert_eq!(route.for_one_attempt().choose(&image, ShardId(0)), "n1:1");
    }
}
