//! Lost or changed acknowledged bytes are always noticed, and never served.

use std::sync::Arc;

use thalweg_wal::{Disk, Position, ReadError, SimDisk, Verdict, Wal};

use crate::support::{Dice, Opened, SEGMENT_BYTES, fence_path, fill, open, options, record, records, segment_path};

const COUNT: u64 = 70;

/// A closed log of `COUNT` acknowledged records over several segments.
fn closed_log() -> (SimDisk, Vec<Position>) {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let positions = fill(&mut log.wal, 0..COUNT);
    assert!(log.wal.current_segment() >= 3);
    log.wal.close().unwrap();
    (disk, positions)
}

/// What was replayed is a prefix; if it lacks anything, the verdict says so.
fn check_told(log: &Opened, what: &str) {
    let count = log.replayed.len() as u64;
    assert_eq!(log.records(), records(0..count), "{what}");
    assert!(count == COUNT || log.is_damaged(), "{what}: {count} records, {:?}", log.recovery);
}

#[test]
fn a_flipped_bit_anywhere_in_a_record_is_damage_and_no_wrong_record_is_read() {
    let mut dice = Dice::new(5);
    let (whole, positions) = closed_log();
    for (number, position) in positions.iter().enumerate() {
        for _ in 0..6 {
            let disk = whole.fork();
            // From the block's header to the end of the frame.
            let at = u64::from(position.offset) - 64 + dice.below(u64::from(position.len) + 64);
            disk.flip_bit(&segment_path(position.segment), at, dice.below(8) as u8);
            let log = open(&disk);
            check_told(&log, &format!("bit at {at} of {position:?}"));
            assert_eq!(log.replayed.len(), number, "bit at {at} of {position:?}");
        }
    }
}

#[test]
fn every_bit_of_a_header_counts() {
    let (whole, positions) = closed_log();
    let position = positions[40];
    for at in 0..64 + 56 {
        for bit in 0..8 {
            let disk = whole.fork();
            disk.flip_bit(&segment_path(position.segment), u64::from(position.offset) - 64 + at, bit);
            let log = open(&disk);
            assert!(log.is_damaged(), "byte {at} bit {bit}");
            assert_eq!(log.records(), records(0..40));
        }
    }
}

#[test]
fn a_flip_anywhere_in_any_file_is_harmless_or_told() {
    let (whole, _) = closed_log();
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        let disk = whole.fork();
        let names = disk.list(std::path::Path::new(crate::support::DIR)).unwrap();
        let name = &names[dice.below(names.len() as u64) as usize];
        let path = std::path::Path::new(crate::support::DIR).join(name);
        for _ in 0..1 + dice.below(3) {
            disk.flip_bit(&path, dice.below(if name == "fence" { 8192 } else { SEGMENT_BYTES }), dice.below(8) as u8);
        }
        check_told(&open(&disk), &format!("seed {seed}, {name}"));
    }
}

#[test]
fn a_missing_segment_is_damage_wherever_it_was() {
    let (whole, positions) = closed_log();
    let newest = positions.last().unwrap().segment;
    for segment in 1..=newest {
        let disk = whole.fork();
        disk.lose(&segment_path(segment));
        let log = open(&disk);
        let intact = positions.iter().filter(|position| position.segment < segment).count();
        assert_eq!(log.replayed.len(), intact);
        assert!(log.is_damaged(), "segment {segment}: {:?}", log.recovery);
        check_told(&log, &format!("segment {segment}"));
    }
}

#[test]
fn losing_all_segments_is_damage() {
    let (disk, positions) = closed_log();
    for segment in 1..=positions.last().unwrap().segment {
        disk.lose(&segment_path(segment));
    }
    let log = open(&disk);
    assert!(log.is_damaged() && log.replayed.is_empty(), "{:?}", log.recovery);
}

#[test]
fn a_lost_fence_is_damage_though_every_record_is_there() {
    let (disk, _) = closed_log();
    disk.lose(&fence_path());
    let log = open(&disk);
    assert!(log.is_damaged());
    assert_eq!(log.records(), records(0..COUNT));
}

#[test]
fn two_bad_fence_slots_are_damage_and_one_is_not() {
    let (disk, _) = closed_log();
    disk.flip_bit(&fence_path(), 20, 1);
    let mut log = open(&disk);
    assert!(!log.is_damaged(), "{:?}", log.recovery);
    log.wal.write_fence().unwrap();
    log.wal.write_fence().unwrap();
    drop(log);
    disk.flip_bit(&fence_path(), 20, 1);
    disk.flip_bit(&fence_path(), 4096 + 30, 1);
    assert!(open(&disk).is_damaged());
}

#[test]
fn a_closed_log_survives_the_loss_of_either_fence_slot() {
    let (whole, positions) = closed_log();
    for slot in [0, 4096] {
        let disk = whole.fork();
        let last = positions.last().unwrap();
        disk.flip_bit(&fence_path(), slot + 16, 1);
        disk.flip_bit(&segment_path(last.segment), u64::from(last.offset), 1);
        let log = open(&disk);
        assert!(log.is_damaged(), "slot {slot}: {:?}", log.recovery);
        assert_eq!(log.records(), records(0..COUNT - 1));
    }
}

#[test]
fn the_log_goes_on_behind_damage_which_is_told_until_it_is_cleared() {
    let (disk, positions) = closed_log();
    let broken = positions[30];
    disk.flip_bit(&segment_path(broken.segment), broken.offset.into(), 1);
    let mut expected = records(0..30);
    for start in 0..3 {
        disk.crash();
        let mut log = open(&disk);
        assert_eq!(log.records(), expected, "start {start}");
        assert!(log.is_damaged(), "start {start}: {:?}", log.recovery);
        assert!(log.wal.damage().is_some());
        fill(&mut log.wal, 100 + start..101 + start);
        expected.push(record(100 + start));
    }
    let mut log = open(&disk);
    log.wal.clear_damage().unwrap();
    drop(log);
    disk.crash();
    let log = open(&disk);
    assert_eq!(log.records(), expected);
    assert_eq!(log.recovery.verdict, Verdict::Clean);
}

#[test]
fn damage_is_told_even_if_power_goes_off_while_it_is_being_found() {
    let (whole, positions) = closed_log();
    for segment in [None, Some(1), Some(2)] {
        for operations in 0.. {
            let disk = whole.fork();
            match segment {
                Some(segment) => disk.lose(&segment_path(segment)),
                None => disk.flip_bit(&segment_path(positions[30].segment), positions[30].offset.into(), 1),
            }
            disk.power_off_after(operations);
            let opened = Wal::open(Arc::new(disk.clone()), options(), &mut |_, _| {});
            let survived = opened.is_ok();
            drop(opened);
            disk.crash();
            let log = open(&disk);
            assert!(log.is_damaged(), "{segment:?}, power off after {operations}: {:?}", log.recovery);
            check_told(&log, "after power went off");
            if survived {
                break;
            }
        }
    }
}

#[test]
fn a_reader_never_serves_a_corrupt_byte() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let positions = fill(&mut log.wal, 0..20);
    let reader = log.wal.reader();
    let position = positions[7];
    for at in 0..u64::from(position.len) {
        disk.flip_bit(&segment_path(1), u64::from(position.offset) + at, 2);
        assert!(matches!(reader.read(position), Err(ReadError::Corrupt { .. })), "byte {at}");
        disk.flip_bit(&segment_path(1), u64::from(position.offset) + at, 2);
    }
    assert_eq!(reader.read(position).unwrap(), record(7));
    let wrong = Position { len: positions[8].len, ..position };
    assert!(matches!(reader.read(wrong), Err(ReadError::Corrupt { .. })));
}

#[test]
fn segments_of_another_log_are_not_taken_for_ours() {
    let (disk, _) = closed_log();
    let foreign = thalweg_wal::Options { identity: 99, ..crate::support::options() };
    let log = crate::support::open_with(&disk, foreign);
    assert!(log.is_damaged() && log.replayed.is_empty(), "{:?}", log.recovery);
}

#[test]
fn a_missing_newest_segment_is_damage_before_the_fence_is_written_again() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let positions = fill(&mut log.wal, 0..COUNT);
    let newest = log.wal.current_segment();
    drop(log);
    disk.lose(&segment_path(newest));
    let log = open(&disk);
    assert!(log.is_damaged(), "{:?}", log.recovery);
    assert_eq!(log.replayed.len(), positions.iter().filter(|position| position.segment < newest).count());
}

#[test]
fn what_was_given_up_does_not_return_even_if_it_becomes_readable() {
    let (disk, positions) = closed_log();
    let (path, at) = (segment_path(positions[35].segment), positions[35].offset.into());
    disk.flip_bit(&path, at, 1);
    let mut log = open(&disk);
    fill(&mut log.wal, 200..203);
    drop(log);
    disk.flip_bit(&path, at, 1);
    assert_eq!(open(&disk).records(), [records(0..35), records(200..203)].concat());
}

#[test]
fn segments_that_damage_cut_off_are_kept_until_they_are_discarded() {
    let names = |disk: &SimDisk| disk.list(std::path::Path::new(crate::support::DIR)).unwrap();
    let (whole, positions) = closed_log();
    let newest = positions.last().unwrap().segment;
    // A bad header, or a bad first block: nothing of the segment and after it counts any more.
    for (broken, at) in (2..newest).flat_map(|segment| [(segment, 20), (segment, 4096 + 20)]) {
        let disk = whole.fork();
        disk.flip_bit(&segment_path(broken), at, 1);
        drop(open(&disk));
        let mut log = open(&disk);
        let lost = names(&disk).iter().filter(|name| name.starts_with("lost-")).count() as u64;
        assert_eq!(lost, newest - broken + 1, "{:?}", names(&disk));
        log.wal.clear_damage().unwrap();
        drop(log);
        assert_eq!(open(&disk).wal.discard_lost().unwrap() as u64, lost);
        assert!(!names(&disk).iter().any(|name| name.starts_with("lost-")));
    }
}

/// Reads `len` bytes of a segment, or writes them.
fn raw(disk: &SimDisk, position: Position, from: i64, bytes: &mut [u8], write: bool) {
    let file = disk.open(&segment_path(position.segment), thalweg_wal::OpenMode::ReadWrite).unwrap();
    let at = (i64::from(position.offset) + from) as u64;
    if write {
        file.write_vectored_at(&[std::io::IoSlice::new(bytes)], at).unwrap();
        file.sync_data().unwrap();
    } else {
        file.read_at(bytes, at).unwrap();
    }
}

#[test]
fn a_whole_block_of_another_history_breaks_the_chain() {
    let ours = SimDisk::new(1);
    let mut log = open(&ours);
    fill(&mut log.wal, 0..5);
    log.wal.close().unwrap();
    let theirs = ours.fork();
    let (mut log, mut other) = (open(&ours), open(&theirs));
    let position = fill(&mut log.wal, 5..8)[0];
    let mut twin = record(5);
    twin.term += 1;
    assert_eq!(other.wal.append(&[twin]).unwrap(), [position]);
    log.wal.close().unwrap();
    let mut block = vec![0; 64 + position.len as usize];
    raw(&theirs, position, -64, &mut block, false);
    raw(&ours, position, -64, &mut block, true);
    assert!(open(&ours).is_damaged());
}

#[test]
fn frames_that_changed_places_are_damage() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let mut pair = [record(1), record(1)];
    pair[1].index = 2;
    let positions = log.wal.append(&pair).unwrap();
    log.wal.close().unwrap();
    let (mut first, mut second) = (vec![0; positions[0].len as usize], vec![0; positions[1].len as usize]);
    raw(&disk, positions[0], 0, &mut first, false);
    raw(&disk, positions[1], 0, &mut second, false);
    raw(&disk, positions[0], 0, &mut second, true);
    raw(&disk, positions[1], 0, &mut first, true);
    let log = open(&disk);
    assert!(log.is_damaged() && log.replayed.is_empty());
}

#[test]
fn a_reader_does_not_take_a_frame_of_another_segment() {
    let disk = SimDisk::new(1);
    let mut log = open(&disk);
    let positions = fill(&mut log.wal, 0..COUNT);
    let position = positions[3];
    let elsewhere = Position { segment: 2, ..position };
    let mut frame = vec![0; position.len as usize];
    raw(&disk, position, 0, &mut frame, false);
    raw(&disk, elsewhere, 0, &mut frame, true);
    assert!(matches!(log.wal.reader().read(elsewhere), Err(ReadError::Corrupt { .. })));
}

/// Random lives with crashes; then acknowledged bytes that the fence knows of are changed, and
/// more lives follow. The damage is told at every start until it is cleared, and never again.
#[test]
fn damage_between_crashes_is_told_until_cleared() {
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let disk = SimDisk::new(seed);
        let (mut expected, mut next, mut damaged) = (Vec::new(), 0, false);
        for life in 0..8 {
            let context = format!("seed {seed}, life {life}");
            let mut log = open(&disk);
            assert_eq!(log.is_damaged(), damaged, "{context}: {:?}", log.recovery);
            assert!(log.records().starts_with(&expected), "{context}");
            expected = log.records();
            let mut positions: Vec<Position> = log.replayed.iter().map(|(_, position)| *position).collect();
            if damaged && dice.below(3) == 0 {
                log.wal.clear_damage().unwrap();
                damaged = false;
            }
            let count = dice.below(30);
            positions.extend(fill(&mut log.wal, next..next + count));
            expected.extend(records(next..next + count));
            log.wal.write_fence().unwrap();
            // A tail that nobody acknowledged, and whose number is not used again.
            for number in next + count..next + count + dice.below(3) {
                log.wal.append(&[record(number)]).unwrap();
            }
            next += count + 3;
            drop(log);
            if dice.below(2) == 0 {
                disk.crash();
            }
            if dice.below(3) == 0 && !positions.is_empty() {
                let victim = dice.below(positions.len() as u64) as usize;
                let at = u64::from(positions[victim].offset) + dice.below(positions[victim].len.into());
                disk.flip_bit(&segment_path(positions[victim].segment), at, dice.below(8) as u8);
                // Every record is a block of its own here, so exactly those before it are left.
                expected.truncate(victim);
                damaged = true;
            }
        }
    }
}
