//! One way to damage one file.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::FileKind;
use super::golden::{Golden, Left, copy_tree};

/// What is done to a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Damage {
    /// Nothing: without damage all must be whole.
    Nothing,
    /// One bit is flipped.
    Flip {
        /// Where.
        offset: u64,
        /// Which bit of the byte.
        bit: u8,
    },
    /// The file ends early.
    Cut {
        /// Where.
        len: u64,
    },
    /// Bytes read as zero: a sector, or a page.
    Zero {
        /// From where, rounded down to a whole `bytes`.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// It is gone.
    Delete,
    /// It is as it was some time ago.
    RollBack,
    /// It and another file of its kind have each other's contents.
    Swap {
        /// The other file.
        with: PathBuf,
    },
}

impl Damage {
    /// Names of all kinds of damage.
    pub const NAMES: [&str; 6] = ["flip", "cut", "zero", "delete", "roll back", "swap"];

    /// The name of its kind.
    pub fn name(&self) -> &'static str {
        match self {
            Damage::Nothing => "none",
            Damage::Flip { .. } => "flip",
            Damage::Cut { .. } => "cut",
            Damage::Zero { .. } => "zero",
            Damage::Delete => "delete",
            Damage::RollBack => "roll back",
            Damage::Swap { .. } => "swap",
        }
    }
}

/// One case of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Case {
    /// How the directory was left.
    pub left: Left,
    /// What kind of file it is.
    pub kind: FileKind,
    /// The file, below the data directory.
    pub path: PathBuf,
    /// The name of the place in it.
    pub place: String,
    /// What is done to it.
    pub damage: Damage,
}

impl Case {
    /// Damages a copy of the directory. False if the damage changes nothing.
    pub fn damage(&self, golden: &Golden, data: &Path) -> std::io::Result<bool> {
        let path = data.join(&self.path);
        if self.kind.is_dir() {
            fs::remove_dir_all(&path)?;
            if self.damage == Damage::RollBack {
                copy_tree(&golden.older().join(&self.path), &path)?;
            }
            return Ok(true);
        }
        let before = fs::read(&path)?;
        match &self.damage {
            Damage::Nothing => return Ok(true),
            Damage::Flip { offset, bit } => {
                let mut byte = [0];
                let file = File::options().read(true).write(true).open(&path)?;
                file.read_exact_at(&mut byte, *offset)?;
                file.write_all_at(&[byte[0] ^ (1 << bit)], *offset)?;
            }
            Damage::Cut { len } => File::options().write(true).open(&path)?.set_len(*len)?,
            Damage::Zero { offset, bytes } => {
                let from = offset / bytes * bytes;
                let count = (*bytes).min(before.len() as u64 - from) as usize;
                File::options().write(true).open(&path)?.write_all_at(&vec![0; count], from)?;
            }
            Damage::Delete => {
                fs::remove_file(&path)?;
                return Ok(true);
            }
            Damage::RollBack => drop(fs::copy(golden.older().join(&self.path), &path)?),
            Damage::Swap { with } => {
                let other = data.join(with);
                let bytes = fs::read(&other)?;
                fs::write(&other, &before)?;
                fs::write(&path, bytes)?;
            }
        }
        Ok(fs::read(&path)? != before)
    }
}
