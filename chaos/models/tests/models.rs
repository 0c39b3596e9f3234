//! The models hold within CI's bounds, and every planted bug shows.

use std::collections::BTreeMap;

use thalweg_models::suite::{Expected, cases};

#[test]
fn the_protocols_hold_in_every_reachable_state() {
    let right: Vec<_> = cases(false).into_iter().filter(|case| case.expected == Expected::Holds).collect();
    assert!(right.len() >= 6, "every model takes part: {}", right.len());
    for case in right {
        let explored = case.run();
        println!("{} {}: {} states", case.model, case.variant, explored.states);
        assert!(explored.broken.is_none(), "{} {}: {:#?}", case.model, case.variant, explored.broken);
        assert!(explored.states > 5_000, "{}: {} states are no exploration", case.model, explored.states);
        assert!(explored.liveness, "{}: also what can be finished is asked", case.model);
    }
}

#[test]
fn every_planted_bug_is_found() {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases(false).into_iter().filter(|case| case.expected == Expected::Broken) {
        let broken = case.run().broken;
        let broken = broken.unwrap_or_else(|| panic!("{}: {} was not found", case.model, case.variant));
        println!("{} {}: {}, after {} steps", case.model, case.variant, broken.property, broken.path.len());
        *found.entry(case.model).or_default() += 1;
    }
    let expected = [("dedupe", 11), ("fence", 12), ("membership", 6), ("merge", 11), ("split", 11)];
    assert_eq!(found, BTreeMap::from(expected));
}
