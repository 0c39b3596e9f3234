//! What the programs that break things on purpose share: namespaces of their own, a directory that
//! is theirs, and file systems in files whose power can be cut.
//!
//! Holds: however a program ends, the kernel ends what it started, unmounts what it mounted and frees
//! its loop devices. What can remain is a directory, and the next run removes it.

pub mod namespaces;
pub mod run_dir;
pub mod tools;
pub mod volume;

pub use run_dir::RunDir;
pub use volume::{FileSystem, Volume};
