//! Which cases there are.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

use super::case::{Case, Damage};
use super::files::{FileKind, list, places};
use super::golden::{Golden, Left};

/// About `count` cases: every kind of file with every kind of damage that it can suffer, each named
/// place at least once if there is room, and the rest at random.
pub fn cases(closed: &Golden, killed: &Golden, count: usize, seed: u64) -> std::io::Result<Vec<Case>> {
    let mut all = Vec::new();
    for (left, golden) in [(Left::Closed, closed), (Left::Killed, killed)] {
        all.extend(systematic(left, golden)?);
    }
    let mut random = StdRng::seed_from_u64(seed);
    all.shuffle(&mut random);
    let mut chosen = one_of_each(&mut all);
    let room = count.saturating_sub(chosen.len());
    let rest = all.len().min(room);
    chosen.extend(all.drain(..rest));
    for _ in chosen.len()..count {
        let (left, golden) = if random.random() { (Left::Closed, closed) } else { (Left::Killed, killed) };
        chosen.extend(at_random(left, golden, &mut random)?);
    }
    for left in [Left::Closed, Left::Killed] {
        let path = PathBuf::from(crate::settings::WAL).join("fence");
        chosen.push(Case { left, kind: FileKind::Fence, path, place: "control".into(), damage: Damage::Nothing });
    }
    chosen.sort();
    Ok(chosen)
}

/// Takes out one case for each pair of kind and damage.
fn one_of_each(all: &mut Vec<Case>) -> Vec<Case> {
    let mut seen = std::collections::BTreeSet::new();
    let (first, rest) = all.drain(..).partition(|case| seen.insert((case.kind, case.damage.name())));
    *all = rest;
    first
}

fn systematic(left: Left, golden: &Golden) -> std::io::Result<Vec<Case>> {
    let data = golden.data();
    let files = list(&data)?;
    let mut cases = Vec::new();
    for (kind, path) in &files {
        let case = |place: &str, damage| Case { left, kind: *kind, path: path.clone(), place: place.into(), damage };
        cases.push(case("all", Damage::Delete));
        if golden.older().join(path).exists() && differs(golden, path) {
            cases.push(case("all", Damage::RollBack));
        }
        if kind.is_dir() {
            continue;
        }
        let other = files.iter().find(|(other, with)| other == kind && with != path);
        cases.extend(other.map(|(_, with)| case("all", Damage::Swap { with: with.clone() })));
        cases.push(case("all", Damage::Cut { len: 0 }));
        for (place, offset) in places(*kind, &data, path)? {
            cases.push(case(place, Damage::Flip { offset, bit: (offset % 8) as u8 }));
            cases.push(case(place, Damage::Cut { len: offset }));
            cases.push(case(place, Damage::Zero { offset, bytes: 512 }));
            cases.push(case(place, Damage::Zero { offset, bytes: 4096 }));
        }
    }
    Ok(cases)
}

fn differs(golden: &Golden, path: &Path) -> bool {
    let (now, before) = (golden.data().join(path), golden.older().join(path));
    now.is_dir() || std::fs::read(now).ok() != std::fs::read(before).ok()
}

fn at_random(left: Left, golden: &Golden, random: &mut StdRng) -> std::io::Result<Option<Case>> {
    let files: Vec<(FileKind, PathBuf)> =
        list(&golden.data())?.into_iter().filter(|(kind, _)| !kind.is_dir()).collect();
    let kind = files.choose(random).expect("there are files").0;
    let of_kind: Vec<_> = files.iter().filter(|(other, _)| *other == kind).collect();
    let (_, path) = of_kind.choose(random).expect("there is one");
    let len = std::fs::metadata(golden.data().join(path))?.len();
    if len == 0 {
        return Ok(None);
    }
    let offset = random.random_range(0..len);
    let damage = match random.random_range(0..6) {
        0..3 => Damage::Flip { offset, bit: random.random_range(0..8) },
        3 => Damage::Cut { len: offset },
        4 => Damage::Zero { offset, bytes: 512 },
        _ => Damage::Zero { offset, bytes: 4096 },
    };
    Ok(Some(Case { left, kind, path: path.clone(), place: "at random".into(), damage }))
}
