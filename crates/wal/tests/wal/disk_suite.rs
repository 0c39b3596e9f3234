//! One suite for every disk.

use std::io::{self, IoSlice};
use std::path::Path;

use thalweg_wal::{Disk, OpenMode, RealDisk, SimDisk};

fn slices<'a>(parts: &'a [&'a [u8]]) -> Vec<IoSlice<'a>> {
    parts.iter().map(|part| IoSlice::new(part)).collect()
}

fn bytes_are_read_where_they_were_written(disk: &dyn Disk, dir: &Path) {
    let file = disk.open(&dir.join("bytes"), OpenMode::CreateNew).unwrap();
    file.write_vectored_at(&slices(&[b"one", b"", b"two", b"three"]), 5).unwrap();
    file.write_vectored_at(&slices(&[b"X"]), 7).unwrap();
    file.sync_data().unwrap();
    assert_eq!(file.len().unwrap(), 16);
    let mut buf = [9; 32];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 16);
    assert_eq!(&buf[..16], b"\0\0\0\0\0onXtwothree");
    assert_eq!(file.read_at(&mut buf, 14).unwrap(), 2);
    assert_eq!(file.read_at(&mut buf, 16).unwrap(), 0);
}

fn more_parts_than_one_call_takes_are_written(disk: &dyn Disk, dir: &Path) {
    let parts: Vec<Vec<u8>> = (0..3000u32).map(|n| n.to_le_bytes()[..(n % 5) as usize % 4 + 1].to_vec()).collect();
    let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let file = disk.open(&dir.join("parts"), OpenMode::CreateNew).unwrap();
    file.write_vectored_at(&slices, 0).unwrap();
    let whole = parts.concat();
    let mut buf = vec![0; whole.len() + 1];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), whole.len());
    assert_eq!(buf[..whole.len()], whole);
}

fn length_follows_allocation_and_cuts(disk: &dyn Disk, dir: &Path) {
    let file = disk.open(&dir.join("length"), OpenMode::CreateNew).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_vectored_at(&slices(&[b"abcdef"]), 0).unwrap();
    file.allocate(10_000).unwrap();
    assert_eq!(file.len().unwrap(), 10_000);
    file.allocate(100).unwrap();
    assert_eq!(file.len().unwrap(), 10_000);
    file.set_len(3).unwrap();
    file.set_len(5).unwrap();
    let mut buf = [9; 8];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 5);
    assert_eq!(&buf[..5], b"abc\0\0");
}

fn names_come_and_go(disk: &dyn Disk, dir: &Path) {
    let below = dir.join("names/below");
    disk.create_dir_all(&below).unwrap();
    disk.create_dir_all(&below).unwrap();
    let missing = disk.open(&below.join("b"), OpenMode::ReadWrite).err().unwrap();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    for name in ["b", "a", "c"] {
        let file = disk.open(&below.join(name), OpenMode::CreateNew).unwrap();
        file.write_vectored_at(&slices(&[name.as_bytes()]), 0).unwrap();
    }
    let taken = disk.open(&below.join("b"), OpenMode::CreateNew).err().unwrap();
    assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(disk.list(&below).unwrap(), ["a", "b", "c"]);
    disk.rename(&below.join("a"), &below.join("c")).unwrap();
    disk.remove(&below.join("b")).unwrap();
    disk.sync_dir(&below).unwrap();
    assert_eq!(disk.list(&below).unwrap(), ["c"]);
    let mut buf = [0; 4];
    let read = disk.open(&below.join("c"), OpenMode::Read).unwrap().read_at(&mut buf, 0).unwrap();
    assert_eq!(&buf[..read], b"a");
    assert_eq!(disk.remove(&below.join("b")).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.rename(&below.join("b"), &below.join("d")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

fn a_file_opened_for_reading_is_not_written(disk: &dyn Disk, dir: &Path) {
    disk.open(&dir.join("read"), OpenMode::CreateNew).unwrap();
    let file = disk.open(&dir.join("read"), OpenMode::Read).unwrap();
    assert!(file.write_vectored_at(&slices(&[b"x"]), 0).is_err());
}

fn suite(disk: &dyn Disk, dir: &Path) {
    disk.create_dir_all(dir).unwrap();
    bytes_are_read_where_they_were_written(disk, dir);
    more_parts_than_one_call_takes_are_written(disk, dir);
    length_follows_allocation_and_cuts(disk, dir);
    names_come_and_go(disk, dir);
    a_file_opened_for_reading_is_not_written(disk, dir);
    assert!(disk.free_bytes(dir).unwrap() > 0);
}

#[test]
fn the_real_disk_passes_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    suite(&RealDisk, &dir.path().join("made/by/the/suite"));
}

#[test]
fn the_simulated_disk_passes_the_suite() {
    suite(&SimDisk::new(1), Path::new("/made/by/the/suite"));
}

#[test]
fn a_simulated_crash_keeps_what_was_synced_and_only_whole_sectors_of_the_rest() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let dir = Path::new("/d");
        disk.create_dir_all(dir).unwrap();
        let file = disk.open(&dir.join("f"), OpenMode::CreateNew).unwrap();
        file.write_vectored_at(&slices(&[&[1; 4096]]), 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(dir).unwrap();
        file.write_vectored_at(&slices(&[&[2; 4096]]), 0).unwrap();
        disk.crash();
        assert!(file.len().is_err(), "a file opened before the crash is stale");
        let mut buf = [0; 4096];
        disk.open(&dir.join("f"), OpenMode::Read).unwrap().read_at(&mut buf, 0).unwrap();
        for sector in buf.chunks(512) {
            assert!(sector == [1; 512] || sector == [2; 512], "seed {seed}");
        }
    }
}

#[test]
fn a_simulated_name_that_was_never_synced_may_disappear() {
    let survives = |seed| {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/d")).unwrap();
        disk.open(Path::new("/d/f"), OpenMode::CreateNew).unwrap().sync_data().unwrap();
        disk.crash();
        !disk.list(Path::new("/d")).unwrap().is_empty()
    };
    let survivors = (0..100).filter(|seed| survives(*seed)).count();
    assert!((1..100).contains(&survivors), "{survivors}");
}
