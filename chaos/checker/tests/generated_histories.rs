//! Histories of a correct model bring no complaint; each way of spoiling one is caught.

mod support;

use proptest::prelude::*;
use support::model::{Random, good};
use thalweg_checker::{Hash, History, Kind, Options, Outcome, Position, Report, check, json};

/// Histories a property; a release build has time for more.
const CASES: u32 = if cfg!(debug_assertions) { 300 } else { 5_000 };

/// Readers are not held to trim at once here, as the model trims now and then.
const LENIENT: Options = Options { retention_slack_ms: u64::MAX };

fn judged(history: &History) -> Report {
    check(history, &LENIENT).expect("a well-formed history")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn a_correct_history_brings_no_complaint(seed: u64, steps in 10u64..800) {
        let report = judged(&good(seed, steps));
        prop_assert!(report.is_clean(), "{report:#?}");
        let figures = report.figures;
        prop_assert_eq!(figures.acked, figures.acked_read + figures.acked_expired);
    }

    #[test]
    fn a_history_reads_back_from_its_lines(seed: u64, steps in 10u64..300) {
        let history = good(seed, steps);
        let mut lines = Vec::new();
        json::write(&history, &mut lines).unwrap();
        prop_assert_eq!(json::read(&lines[..]).unwrap(), history);
    }

    #[test]
    fn a_spoiled_history_is_caught(seed: u64, way in 0..WAYS.len()) {
        let mut history = good(seed, 600);
        let (name, kind, spoil) = WAYS[way];
        if spoil(&mut history, &mut Random(seed)).is_some() {
            let report = judged(&history);
            prop_assert!(report.kinds().contains(&kind), "{name}: {report:#?}");
        }
    }
}

#[test]
fn every_way_of_spoiling_is_met_and_caught() {
    for (name, kind, spoil) in WAYS {
        let met = (0..200u64).filter(|seed| {
            let mut history = good(*seed, 600);
            let spoiled = spoil(&mut history, &mut Random(*seed)).is_some();
            assert!(!spoiled || judged(&history).kinds().contains(kind), "{name}, seed {seed}");
            spoiled
        });
        assert!(met.count() >= 20, "{name} hardly ever applies");
    }
}

/// Something that a history may have in it.
type Sight = (&'static str, fn(&History) -> bool);

#[test]
fn the_model_shows_what_it_is_there_to_show() {
    let histories: Vec<History> = (0..100).map(|seed| good(seed, 800)).collect();
    let any = |has: fn(&History) -> bool| histories.iter().filter(|history| has(history)).count();
    let sights: [Sight; 6] = [
        ("reshards", |h| h.reshards.len() > 2),
        ("trims", |h| !h.trims.is_empty()),
        ("writes of unknown outcome", |h| h.writes.iter().filter(|w| w.outcome == Outcome::Indefinite).count() > 5),
        ("refused writes", |h| h.writes.iter().any(|w| w.outcome == Outcome::Definite)),
        ("readers that meet an end", |h| h.reads.iter().any(|r| r.end && !r.last)),
        ("overlapping writes", |h| h.writes.windows(2).any(|w| w[1].call < w[0].done)),
    ];
    for (name, has) in sights {
        assert!(any(has) > 50, "{name}: in {} of 100", any(has));
    }
}

/// What it does, what must be found, and the change; nothing where the history has no place for it.
type Way = (&'static str, Kind, fn(&mut History, &mut Random) -> Option<()>);

const WAYS: &[Way] = &[
    ("drop an acknowledged record everywhere", Kind::Lost, |h, r| {
        let (hash, _) = acked_and_kept(h, r, false)?;
        h.reads.iter_mut().for_each(|read| read.records.retain(|seen| seen.hash != hash));
        Some(())
    }),
    ("drop the newest acknowledged record everywhere", Kind::Unseen, |h, r| {
        let (hash, _) = acked_and_kept(h, r, true)?;
        h.reads.iter_mut().for_each(|read| read.records.retain(|seen| seen.hash != hash));
        Some(())
    }),
    ("let one replica forget a record", Kind::Gap, |h, r| {
        let last: Vec<usize> =
            (0..h.reads.len()).filter(|at| h.reads[*at].last && h.reads[*at].records.len() > 2).collect();
        let read = &mut h.reads[*pick(&last, r)?];
        read.records.remove(read.records.len() / 2);
        Some(())
    }),
    ("flip a bit in one read", Kind::Changed, |h, r| {
        let (hash, position) = acked_and_kept(h, r, false)?;
        let reads = h.reads.iter_mut().filter(|read| read.last).flat_map(|read| &mut read.records);
        reads.into_iter().find(|seen| (seen.hash, seen.position) == (hash, position))?.hash.0 ^= 1;
        Some(())
    }),
    ("store a record of an idempotent producer again at the end", Kind::Duplicated, |h, r| {
        let (hash, position) = acked_and_kept(h, r, false)?;
        let write = h.writes.iter().find(|write| write.hash == hash)?;
        if write.attempts > 1 {
            return None;
        }
        append(h, position, hash);
        Some(())
    }),
    ("store a record that nobody wrote", Kind::Phantom, |h, r| {
        let (_, position) = acked_and_kept(h, r, false)?;
        append(h, position, Hash(r.next()));
        Some(())
    }),
    ("refuse what was stored", Kind::Phantom, |h, r| {
        let (hash, _) = acked_and_kept(h, r, false)?;
        h.writes.iter_mut().find(|write| write.hash == hash)?.outcome = Outcome::Definite;
        Some(())
    }),
    ("acknowledge another position", Kind::Moved, |h, r| {
        let (hash, _) = acked_and_kept(h, r, false)?;
        let write = h.writes.iter_mut().find(|write| write.hash == hash && write.attempts == 1)?;
        let Outcome::Ok(place) = &mut write.outcome else { return None };
        place.position.0 += 1 << 40;
        Some(())
    }),
    ("send a record only after the next one is known", Kind::Reordered, |h, r| {
        let (hash, position) = acked_and_kept(h, r, false)?;
        let write = h.writes.iter().find(|write| write.hash == hash)?;
        let Outcome::Ok(place) = write.outcome else { return None };
        let after = h.writes.iter().filter_map(|other| match other.outcome {
            Outcome::Ok(o) if o.shard == place.shard && o.position > position => Some(other.done),
            _ => None,
        });
        let known = after.min()?;
        if h.reads.iter().any(|read| read.done <= known && read.records.iter().any(|seen| seen.hash == hash)) {
            return None;
        }
        let write = h.writes.iter_mut().find(|write| write.hash == hash)?;
        (write.call, write.done) = (known + 1, write.done.max(known + 1));
        Some(())
    }),
    ("answer a page again", Kind::Back, |h, r| {
        let pages: Vec<usize> =
            (0..h.reads.len()).filter(|at| !h.reads[*at].last && !h.reads[*at].records.is_empty()).collect();
        let mut again = h.reads[*pick(&pages, r)?].clone();
        (again.start, again.call, again.end) = (thalweg_checker::Start::Continue, again.done, false);
        h.reads.push(again);
        Some(())
    }),
    ("turn a page around", Kind::Reordered, |h, r| {
        let pages: Vec<usize> = (0..h.reads.len()).filter(|at| h.reads[*at].records.len() > 1).collect();
        h.reads[*pick(&pages, r)?].records.reverse();
        Some(())
    }),
    ("call an empty old read fresh", Kind::Stale, |h, r| {
        let (hash, position) = acked_and_kept(h, r, false)?;
        let write = h.writes.iter().find(|write| write.hash == hash)?;
        let (call, Outcome::Ok(place)) = (write.done + 1, write.outcome) else { return None };
        let (reader, shard, start) = (5_000, place.shard, thalweg_checker::Start::At(position));
        let (done, records) = (call + 1, Vec::new());
        // If the horizon passes it, nothing is wrong with not seeing it.
        h.reads.push(thalweg_checker::Read {
            reader,
            shard,
            call,
            done,
            start,
            records,
            end: false,
            fresh: true,
            last: false,
        });
        Some(())
    }),
    ("leave a hole in an image", Kind::Tiling, |h, r| {
        let at = r.below(h.images.len() as u64) as usize;
        let shards = &mut h.images[at].shards;
        let open = shards.iter().position(|shard| shard.open)?;
        shards.remove(open);
        Some(())
    }),
    ("give a child another range", Kind::Lineage, |h, r| {
        let at = r.below(h.reshards.len() as u64) as usize;
        let range = &mut h.reshards.get_mut(at)?.children[0].1;
        *range = range.split_at(range.middle())?.0;
        Some(())
    }),
    ("say that a parent ended earlier", Kind::Lineage, |h, _| {
        let parent =
            h.reshards.iter_mut().flat_map(|reshard| &mut reshard.parents).rfind(|parent| parent.last.is_some())?;
        let (id, last) = (parent.id, parent.last.as_mut()?);
        // An end that was trimmed before anybody saw it is as good as any other.
        let of_parent = h.reads.iter().filter(|read| read.shard == id).flat_map(|read| &read.records);
        if !of_parent.into_iter().any(|seen| seen.position == *last) {
            return None;
        }
        last.0 -= 1;
        Some(())
    }),
    ("trim too early", Kind::Retention, |h, _| {
        let trim = h.trims.first_mut()?;
        let below = |place: &thalweg_checker::Place| place.shard == trim.shard && place.position < trim.before;
        let acked = |write: &thalweg_checker::Write| matches!(write.outcome, Outcome::Ok(place) if below(&place));
        h.writes.iter().any(acked).then(|| trim.log_ms = 1_000_000)
    }),
];

fn pick<'a, T>(from: &'a [T], random: &mut Random) -> Option<&'a T> {
    from.get(random.below(from.len() as u64) as usize)
}

/// An acknowledged record that the last readers saw: one in the middle, or the newest of a shard.
fn acked_and_kept(history: &History, random: &mut Random, newest: bool) -> Option<(Hash, Position)> {
    let mut found = Vec::new();
    for read in history.reads.iter().filter(|read| read.last && read.reader == 1_000) {
        for (seen, place) in read.records.iter().zip(1..) {
            let write = history.writes.iter().find(|write| write.hash == seen.hash)?;
            let acked = matches!(write.outcome, Outcome::Ok(place) if place.position == seen.position);
            if acked && (place == read.records.len()) == newest && write.attempts == 1 {
                found.push((seen.hash, seen.position));
            }
        }
    }
    pick(&found, random).copied()
}

/// Stores a record behind all others of the shard that holds `position`, on all replicas.
fn append(history: &mut History, position: Position, hash: Hash) {
    for read in history.reads.iter_mut().filter(|read| read.last) {
        if read.records.iter().any(|seen| seen.position == position) {
            let mut last = *read.records.last().expect("it has one");
            (last.position, last.hash) = (Position(last.position.0 + 1), hash);
            read.records.push(last);
        }
    }
}
