//! Retention: what is gone stays gone, what is not gone stays listed.

use thalweg_catalog::{Applied, Catalog, Command, Refusal, RetentionChange, ShardFilter};
use thalweg_types::{ShardId, UnixMillis};

use crate::support::{at_hour, cluster_with_stream, listed, name, reshard_now, split, stream, tiles};

const DAY_MS: u64 = 24 * 3_600_000;

fn set_retention(catalog: &mut Catalog, hours: u32, now: UnixMillis) {
    let change = RetentionChange::Set;
    catalog.apply(&Command::SetRetention { stream: name("s"), hours, change, now }).unwrap();
}

fn expire(shards: &[u32], now: UnixMillis) -> Command {
    Command::ExpireShards { stream: name("s"), shards: shards.iter().copied().map(ShardId).collect(), now }
}

#[test]
fn nothing_has_expired_because_a_stream_was_created_or_its_retention_changed() {
    // Arrivals are stamped by other clocks than the controller's, which may be behind it.
    let mut catalog = cluster_with_stream(1);
    let trimmed_until = |catalog: &Catalog| catalog.stream(&name("s")).unwrap().trimmed_until;
    assert_eq!(trimmed_until(&catalog), UnixMillis(0));
    set_retention(&mut catalog, 48, at_hour(1));
    assert!(trimmed_until(&catalog) <= at_hour(1).minus_ms(DAY_MS));
    set_retention(&mut catalog, 24, at_hour(2));
    assert!(trimmed_until(&catalog) <= at_hour(2).minus_ms(DAY_MS));
}

#[test]
fn raising_retention_brings_nothing_back() {
    let mut catalog = cluster_with_stream(1);
    set_retention(&mut catalog, 48, at_hour(100));
    assert_eq!(stream(&catalog).trim_horizon(at_hour(100)), at_hour(100 - 24));
    // From here on records are kept for two days, until those of hour 76 are two days old.
    assert_eq!(stream(&catalog).trim_horizon(at_hour(110)), at_hour(76));
    assert_eq!(stream(&catalog).trim_horizon(at_hour(130)), at_hour(130 - 48));
}

#[test]
fn lowering_retention_hides_at_once_and_raising_it_again_shows_nothing_hidden() {
    let mut catalog = cluster_with_stream(1);
    set_retention(&mut catalog, 200, at_hour(1));
    set_retention(&mut catalog, 24, at_hour(100));
    assert_eq!(stream(&catalog).trim_horizon(at_hour(100)), at_hour(76));
    set_retention(&mut catalog, 200, at_hour(101));
    assert_eq!(stream(&catalog).trim_horizon(at_hour(101)), at_hour(77));
}

#[test]
fn a_closed_shard_is_forgotten_only_after_its_retention() {
    let mut catalog = cluster_with_stream(1);
    reshard_now(&mut catalog, split(0), at_hour(10));
    let early = catalog.apply(&expire(&[0], at_hour(33)));
    assert_eq!(early, Err(Refusal::ShardNotExpired { stream: name("s"), shard: ShardId(0) }));
    assert_eq!(stream(&catalog).expired_shards(at_hour(33)), []);

    assert_eq!(stream(&catalog).expired_shards(at_hour(34)), [ShardId(0)]);
    assert_eq!(catalog.apply(&expire(&[0], at_hour(34))), Ok(Applied::Changed));
    assert_eq!(catalog.apply(&expire(&[0], at_hour(34))), Ok(Applied::Unchanged));
    assert_eq!(stream(&catalog).shards.get(ShardId(1)).unwrap().parent(), Some(ShardId(0)));
    catalog.check().unwrap();
}

#[test]
fn open_shards_and_shards_that_never_were_are_not_expired() {
    let mut catalog = cluster_with_stream(1);
    let open = Err(Refusal::ShardNotExpired { stream: name("s"), shard: ShardId(0) });
    assert_eq!(catalog.apply(&expire(&[0], at_hour(1000))), open);
    let unknown = Err(Refusal::ShardUnknown { stream: name("s"), shard: ShardId(9) });
    assert_eq!(catalog.apply(&expire(&[9], at_hour(1000))), unknown);
}

#[test]
fn the_trim_horizon_never_reaches_behind_forgotten_shards() {
    let mut catalog = cluster_with_stream(1);
    reshard_now(&mut catalog, split(0), at_hour(10));
    catalog.apply(&expire(&[0], at_hour(34))).unwrap();
    // A node whose clock is behind asks, and one after the retention was raised.
    assert!(tiles(stream(&catalog).list_shards(ShardFilter::AtTrimHorizon, at_hour(12))));
    set_retention(&mut catalog, 8760, at_hour(34));
    assert_eq!(listed(&catalog, ShardFilter::AtTrimHorizon, at_hour(35)), [1, 2]);
}

#[test]
fn the_ends_of_the_allowed_retention_are_allowed() {
    let mut catalog = cluster_with_stream(1);
    set_retention(&mut catalog, 8760, at_hour(1));
    set_retention(&mut catalog, 24, at_hour(1));
    let again =
        Command::SetRetention { stream: name("s"), hours: 24, change: RetentionChange::Decrease, now: at_hour(2) };
    assert_eq!(catalog.apply(&again), Ok(Applied::Unchanged));
}
