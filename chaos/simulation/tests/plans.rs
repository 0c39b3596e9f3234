//! What a seed stands for.

use std::collections::BTreeSet;

use thalweg_simulation::extras::{FIRST_SEED, LATER_SEED};
use thalweg_simulation::faults::Kind;
use thalweg_simulation::{Plan, Request};

fn request(seed: u64) -> Request {
    Request { seed, ..Request::default() }
}

/// So many seeds of each age: later ones have more kinds.
fn of_every_age(count: u64) -> impl Iterator<Item = u64> {
    [1, FIRST_SEED, LATER_SEED].into_iter().flat_map(move |first| first..first + count)
}

#[test]
fn leaving_events_out_changes_no_other() {
    for seed in of_every_age(200) {
        let whole = Plan::of(&request(seed));
        let without: BTreeSet<u32> = whole.events.iter().map(|event| event.id).filter(|id| id % 3 == 0).collect();
        let fewer = Plan::of(&Request { without: without.clone(), ..request(seed) });
        let expected: Vec<_> = whole.events.iter().filter(|event| !without.contains(&event.id)).copied().collect();
        assert_eq!(fewer.events, expected);
        let kept = Plan::of(&Request { keep: Some(without.clone()), ..request(seed) });
        assert!(kept.events.iter().all(|event| without.contains(&event.id)));
        assert_eq!(kept.events.len(), without.len());
    }
}

#[test]
fn a_shorter_run_has_the_same_beginning() {
    for seed in of_every_age(200) {
        let (long, short) = (Plan::of(&request(seed)), Plan::of(&Request { seconds: Some(20), ..request(seed) }));
        assert_eq!(long.events[..short.events.len()], short.events[..]);
    }
}

#[test]
fn every_kind_comes_and_has_a_name_of_its_own() {
    let kinds: BTreeSet<Kind> =
        of_every_age(300).flat_map(|seed| Plan::of(&request(seed)).events).map(|event| event.kind).collect();
    assert_eq!(kinds.len(), Kind::ALL.len());
    for kind in Kind::ALL {
        assert_eq!(Kind::named(&kind.name()), Some(kind));
    }
}
