//! Each hand-made bad history is reported as exactly its anomaly, and as nothing else.

mod support;

use Kind::*;
use support::*;
use thalweg_checker::{
    Hash, History, Image, Kind, Options, Outcome, Position, Producer, Read, RetentionChange, Start, Trim, Write, check,
};

/// A name, what must be found, and how a good history becomes bad.
type Case = (&'static str, Kind, fn() -> History);

fn ten_and(change: impl Fn(&mut History)) -> History {
    let mut history = ten();
    change(&mut history);
    history
}

fn split_and(change: impl Fn(&mut History)) -> History {
    let mut history = split();
    change(&mut history);
    history
}

fn time_and(change: impl Fn(&mut History)) -> History {
    let mut history = ten_with_time();
    history.reads.clear();
    change(&mut history);
    history
}

/// Ten records that two readers have read in the middle of the run.
fn polled_and(change: impl Fn(&mut History)) -> History {
    ten_and(|history| {
        history.reads.push(read(1, 0, 2000, Start::Horizon, &[(10, 1), (20, 2), (30, 3), (40, 4)]));
        history.reads.push(read(1, 0, 2010, Start::Continue, &[(50, 5), (60, 6), (70, 7)]));
        history.reads.push(read(1, 0, 2020, Start::Continue, &[(80, 8), (90, 9), (100, 10)]));
        change(history);
    })
}

/// A split that one consumer follows.
fn consumed_and(change: impl Fn(&mut History)) -> History {
    split_and(|history| {
        let parent = read(1, 0, 3000, Start::Horizon, &[(10, 1), (20, 2), (30, 3), (40, 4)]);
        history.reads.push(Read { end: true, ..parent });
        history.reads.push(read(1, 1, 3010, Start::Horizon, &[(1060, 6), (1080, 8), (1100, 10)]));
        history.reads.push(read(1, 2, 3010, Start::Horizon, &[(1050, 5), (1070, 7), (1090, 9)]));
        change(history);
    })
}

/// Ten records, and an eleventh that got no acknowledgement but is there.
fn eleven_and(outcome: Outcome<thalweg_checker::Place>, change: impl Fn(&mut History)) -> History {
    ten_and(|history| {
        history.writes.push(unacked(11, 1100, 1150, outcome));
        history.reads[0].records.push(seen(110, 11));
        change(history);
    })
}

const INDEFINITE: Outcome<thalweg_checker::Place> = Outcome::Indefinite;

const CASES: &[Case] = &[
    ("an acknowledged record is missing in the middle", Lost, || {
        ten_and(|h| {
            _ = h.reads[0].records.remove(4);
        })
    }),
    ("the first acknowledged record is missing", Lost, || {
        ten_and(|h| {
            _ = h.reads[0].records.remove(0);
        })
    }),
    ("an acknowledged record was read and is gone at the end", Lost, || {
        polled_and(|h| {
            _ = h.reads[0].records.remove(4);
        })
    }),
    ("a record below what a plain reader went past is missing", Lost, || {
        polled_and(|h| {
            h.reads.remove(0);
            h.reads[1].records.remove(1);
        })
    }),
    ("an acknowledged record is missing in a child", Lost, || {
        split_and(|h| {
            _ = h.reads[1].records.remove(0);
        })
    }),
    ("the newest acknowledged record is missing", Unseen, || {
        ten_and(|h| {
            _ = h.reads[0].records.pop();
        })
    }),
    ("a shard comes back empty", Unseen, || ten_and(|h| h.reads[0].records.clear())),
    ("a fresh read lacks what was acknowledged, and nobody ever has it", Unseen, || {
        ten_and(|h| {
            h.reads[0].records.pop();
            h.reads[0].last = false;
        })
    }),
    ("a second replica ends too early", Unseen, || {
        ten_and(|h| {
            let mut short = Read { fresh: false, ..h.reads[0].clone() };
            (short.reader, _) = (98, short.records.pop());
            h.reads.push(short);
        })
    }),
    ("what was read is gone at the end, though never acknowledged", Vanished, || {
        eleven_and(INDEFINITE, |h| {
            h.reads[0].records.pop();
            h.reads.push(read(1, 0, 2000, Start::After(Position(100)), &[(110, 11)]));
        })
    }),
    ("a retry is stored again", Duplicated, || ten_and(|h| h.reads[0].records.push(seen(110, 10)))),
    ("a record without acknowledgement is there twice", Duplicated, || {
        eleven_and(INDEFINITE, |h| h.reads[0].records.push(seen(120, 11)))
    }),
    ("a retry is stored again in a child", Duplicated, || split_and(|h| h.reads[1].records.push(seen(1200, 4)))),
    ("a plain record is there more often than it was sent", Duplicated, || {
        ten_and(|h| {
            *write(h, 10) = Write { producer: Producer::Plain, attempts: 2, ..write(h, 10).clone() };
            h.reads[0].records.extend([seen(110, 10), seen(120, 10)]);
        })
    }),
    ("a record is not where it was acknowledged", Moved, || {
        ten_and(|h| h.reads[0].records[9].position = Position(105))
    }),
    ("a record was acknowledged in one shard and is in another", Moved, || split_and(|h| move_ack(h, 10, 2, 1100))),
    ("two replicas differ at a position", Changed, || {
        ten_and(|h| {
            h.reads.push(Read { reader: 98, ..h.reads[0].clone() });
            h.reads[1].records[3].hash = Hash(7);
        })
    }),
    ("an acknowledged record's bytes have changed", Changed, || ten_and(|h| h.reads[0].records[3].hash = Hash(7))),
    ("two records exchanged their positions", Changed, || {
        ten_and(|h| {
            (h.reads[0].records[3].hash, h.reads[0].records[4].hash) = (hash(5), hash(4));
        })
    }),
    ("two writes got the same position", Changed, || ten_and(|h| move_ack(h, 11 - 1, 0, 90))),
    ("a record's arrival has changed", Changed, || {
        let mut history = ten_with_time();
        history.retention.clear();
        history.reads[0].records[3].arrived_ms += 1;
        history
    }),
    ("one revision has two contents", Changed, || {
        split_and(|h| h.images.push(image(2, &[(1, 0, HALF - 1, true), (2, HALF, u128::MAX, true)])))
    }),
    ("a record that nobody wrote", Phantom, || ten_and(|h| h.reads[0].records.push(seen(110, 77)))),
    ("a refused record is read", Phantom, || eleven_and(Outcome::Definite, |_| ())),
    ("a record is read before it is sent", Phantom, || {
        eleven_and(INDEFINITE, |h| {
            write(h, 11).call = 1120;
            h.reads.push(Read { done: 1110, ..read(1, 0, 1105, Start::After(Position(100)), &[(110, 11)]) });
        })
    }),
    ("a write lands below one that had returned before it began", Reordered, || {
        ten_and(|h| {
            (h.writes[3].call, h.writes[3].done) = (560, 590);
        })
    }),
    ("a write lands below what had been read before it began", Reordered, || {
        eleven_and(INDEFINITE, |h| {
            h.writes.push(unacked(12, 5000, 5010, Outcome::Indefinite));
            h.reads[0].records.insert(10, seen(105, 12));
            h.reads.push(read(1, 0, 2000, Start::At(Position(110)), &[(110, 11)]));
        })
    }),
    ("two records of a key, sent together, are in the wrong order", Reordered, || {
        ten_and(|h| {
            h.writes.iter_mut().for_each(|write| (write.key, write.call, write.done) = (1, 0, 9000));
            h.writes[3].serial = 5;
            h.writes[4].serial = 4;
        })
    }),
    ("a later record of a key is in the parent", Reordered, || {
        split_and(|h| {
            h.writes.iter_mut().for_each(|write| (write.call, write.done) = (0, 9000));
            (h.writes[1].key, h.writes[1].serial) = (50, 2);
            (h.writes[5].key, h.writes[5].serial) = (50, 1);
        })
    }),
    ("a page is in the wrong order", Reordered, || polled_and(|h| h.reads[2].records.swap(0, 1))),
    ("a consumer gets a child's records before the parent's end", Reordered, || {
        consumed_and(|h| (h.reads[3].call, h.reads[3].done) = (3020, 3030))
    }),
    ("a consumer never gets to the parent's end", Reordered, || {
        consumed_and(|h| {
            h.reads[3].end = false;
            h.reads.pop();
        })
    }),
    ("arrival times fall", Reordered, || {
        let mut history = ten_with_time();
        history.retention.clear();
        move_ack(&mut history, 4, 0, 40);
        history.reads[0].records[3].arrived_ms = 500;
        history
    }),
    ("a record is in the shard beside its own", Misrouted, || {
        split_and(|h| write(h, 10).hash_key = Some(thalweg_types::HashKey(u128::MAX)))
    }),
    ("one key is in two shards of one generation", Misrouted, || {
        split_and(|h| {
            let (key, serial) = (50, 1);
            h.writes[8].key = key;
            h.writes[9].key = key;
            (h.writes[8].serial, h.writes[9].serial) = (serial, serial + 1);
        })
    }),
    ("a reader skips records between two pages", Gap, || polled_and(|h| drop(h.reads.remove(2)))),
    ("a reader skips a record in a page", Gap, || {
        polled_and(|h| {
            _ = h.reads[2].records.remove(1);
        })
    }),
    ("a reader from the horizon misses the first record", Gap, || {
        polled_and(|h| {
            _ = h.reads[1].records.remove(0);
        })
    }),
    ("a reader from a position misses that record", Gap, || {
        ten_and(|h| h.reads.push(read(1, 0, 2000, Start::At(Position(40)), &[(50, 5), (60, 6)])))
    }),
    ("a reader from the latest misses what was sent later", Gap, || {
        ten_and(|h| {
            h.reads.push(read(1, 0, 460, Start::Latest, &[]));
            h.reads.push(read(1, 0, 700, Start::Continue, &[(60, 6)]));
        })
    }),
    ("a reader is told of the shard's end too early", Gap, || {
        consumed_and(|h| {
            _ = h.reads[3].records.pop();
        })
    }),
    ("a reader gets a page again", Back, || {
        polled_and(|h| h.reads.insert(2, Read { start: Start::Continue, call: 2005, ..h.reads[1].clone() }))
    }),
    ("a record is twice in a page", Back, || polled_and(|h| h.reads[2].records.insert(1, seen(50, 5)))),
    ("a reader from behind a position gets that record", Back, || {
        ten_and(|h| h.reads.push(read(1, 0, 2000, Start::After(Position(40)), &[(40, 4), (50, 5)])))
    }),
    ("a reader from the latest gets what was acknowledged before", Back, || {
        ten_and(|h| h.reads.push(read(1, 0, 460, Start::Latest, &[(40, 4)])))
    }),
    ("an observer sees an older image", Back, || split_and(|h| h.images.push(image(1, &[(0, 0, u128::MAX, true)])))),
    ("a fresh read lacks what was acknowledged before", Stale, || {
        ten_and(|h| h.reads.push(Read { fresh: true, ..read(1, 0, 355, Start::Horizon, &[(10, 1), (20, 2)]) }))
    }),
    ("a fresh read lacks what a read before it had", Stale, || {
        eleven_and(INDEFINITE, |h| {
            h.reads.push(read(1, 0, 1200, Start::After(Position(100)), &[(110, 11)]));
            h.reads.push(Read { fresh: true, ..read(2, 0, 1300, Start::After(Position(100)), &[]) });
        })
    }),
    ("a hole in the hash space", Tiling, || split_and(|h| h.images.push(image(3, &[(1, 0, HALF - 1, true)])))),
    ("no shard has the first keys", Tiling, || split_and(|h| h.images.push(image(3, &SPLIT[2..])))),
    ("parent and children are open together", Tiling, || {
        split_and(|h| {
            h.images.pop();
            h.images.push(image(2, &[(0, 0, u128::MAX, true), SPLIT[1], SPLIT[2]]));
        })
    }),
    ("a shard's range changes", Lineage, || {
        split_and(|h| {
            h.writes.iter_mut().for_each(|write| write.hash_key = None);
            h.images.push(image(3, &[(1, 0, HALF - 2, true), (2, HALF - 1, u128::MAX, true)]));
            h.reshards.clear();
            h.images[2].shards.remove(1);
            h.images[2].shards.push(image(3, &[(3, HALF - 1, u128::MAX, true)]).shards.remove(0));
        })
    }),
    ("children do not share out all of the parent", Lineage, || {
        split_and(|h| {
            h.images.pop();
            h.reshards[0].children[1].1 = range(HALF, u128::MAX - 1);
        })
    }),
    ("a closed shard is open again", Lineage, || split_and(|h| h.images.push(image(3, &[(0, 0, u128::MAX, true)])))),
    ("a child begins below its parent's end", Lineage, || {
        split_and(|h| h.reshards[0].parents[0].last = Some(Position(1055)))
    }),
    ("a parent has records above its end", Lineage, || {
        split_and(|h| h.reshards[0].parents[0].last = Some(Position(35)))
    }),
    ("a parent takes a record after the reshard", Lineage, || {
        split_and(|h| (h.writes[3].call, h.writes[3].done) = (2100, 2150))
    }),
    ("a shard takes a record after its end was read", Lineage, || {
        split_and(|h| {
            h.reshards.clear();
            (h.writes[3].call, h.writes[3].done) = (200_000, 200_050);
            h.reads.clear();
            h.reads.push(Read { end: true, ..read(1, 0, 3000, Start::At(Position(25)), &[(30, 3)]) });
        })
    }),
    ("a shard has two sets of children", Lineage, || {
        split_and(|h| {
            let mut again = h.reshards[0].clone();
            again.children = vec![(shard(3), range(0, u128::MAX))];
            h.reshards.push(again);
        })
    }),
    ("a record is trimmed before its time", Retention, || time_and(|h| h.trims.push(trim(2000, 40, 7999)))),
    ("a longer retention comes too late for the trim", Retention, || {
        time_and(|h| {
            let longer = RetentionChange { call: 1500, done: 1510, retention_ms: 9000, outcome: Outcome::Ok(()) };
            h.retention.push(longer);
            h.trims.push(trim(1400, 10, 6100));
            h.trims.push(trim(1600, 40, 8100));
            h.trims.push(trim(1700, 60, 11_100));
        })
    }),
    ("a trimmed record is read", Retention, || {
        time_and(|h| {
            h.trims.push(trim(2000, 40, 8000));
            h.reads.push(read(1, 0, 2010, Start::Horizon, &[(30, 3), (40, 4), (50, 5)]));
        })
    }),
    ("the horizon goes back", Retention, || {
        time_and(|h| {
            let other = Trim { before: Position(30), ..trim(2100, 30, 8000) };
            h.trims.extend([trim(2000, 40, 8000), other]);
        })
    }),
    ("a record is readable after its time", Retention, || {
        time_and(|h| {
            h.reads.push(read(1, 0, 2010, Start::At(Position(30)), &[(30, 3), (40, 4), (50, 5)]));
            h.reads[0].records.iter_mut().for_each(|seen| seen.arrived_ms = seen.position.0 as u64 * 100);
        })
    }),
];

#[test]
fn each_bad_history_is_reported_as_its_anomaly_and_nothing_else() {
    let mut wrong = Vec::new();
    for (name, kind, history) in CASES {
        let report = check(&history(), &Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        if report.kinds() != [*kind] {
            wrong.push(format!("{name}: expected {kind}, got {:#?}", report.anomalies));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_has_a_bad_history_and_there_are_many() {
    const ALL: [Kind; 15] = [
        Lost, Unseen, Vanished, Duplicated, Moved, Changed, Phantom, Reordered, Misrouted, Gap, Back, Stale, Tiling,
        Lineage, Retention,
    ];
    let missing: Vec<_> = ALL.iter().filter(|kind| !CASES.iter().any(|case| case.1 == **kind)).collect();
    assert_eq!(missing, Vec::<&Kind>::new());
    assert!(CASES.len() >= 50, "{} cases", CASES.len());
}

#[test]
fn the_histories_they_were_made_from_are_good() {
    let nothing = |_: &mut History| ();
    let bases = [
        ten(),
        split(),
        polled_and(nothing),
        consumed_and(nothing),
        time_and(nothing),
        eleven_and(INDEFINITE, nothing),
    ];
    for history in bases {
        let report = check(&history, &Options::default()).unwrap();
        assert!(report.is_clean(), "{report:#?}");
    }
}

#[test]
fn a_copy_that_expired_before_its_retry_is_no_duplicate() {
    let trimmed_at = |time| {
        ten_and(|h| {
            h.writes.push(acked(11, 0, 120, 1100, 3000));
            h.reads = vec![read(1, 0, 1200, Start::At(Position(110)), &[(110, 11)]), last(99, 0, &[(120, 11)])];
            h.trims.push(trim(time, 115, 8000));
        })
    };
    let report = check(&trimmed_at(2000), &Options::default()).unwrap();
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!(check(&trimmed_at(3001), &Options::default()).unwrap().kinds(), [Duplicated]);
}

#[test]
fn what_nobody_came_to_is_counted_and_not_judged() {
    let history = ten_and(|h| drop(std::mem::take(&mut h.reads)));
    let report = check(&history, &Options::default()).unwrap();
    assert!(report.is_clean());
    assert_eq!((report.figures.acked, report.figures.acked_read, report.figures.acked_unjudged), (10, 0, 10));
}

#[test]
fn a_mistake_of_the_recorder_is_no_verdict() {
    let wrong: [fn(&mut History); 4] = [
        |h| h.writes[1].hash = h.writes[0].hash,
        |h| (h.writes[1].key, h.writes[1].serial) = (h.writes[0].key, h.writes[0].serial),
        |h| h.writes[1].done = 0,
        |h| h.reads[0].start = Start::Continue,
    ];
    for change in wrong {
        assert!(check(&ten_and(change), &Options::default()).is_err());
    }
}

/// Images come in the order of recording, so a bad one must not hide behind sorting.
#[test]
fn images_of_two_observers_are_two_orders() {
    let history = split_and(|h| {
        let late = Image { observer: 1, ..h.images[0].clone() };
        h.images.push(late);
    });
    assert!(check(&history, &Options::default()).unwrap().is_clean());
}
