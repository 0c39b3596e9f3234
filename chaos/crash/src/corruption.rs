//! The corruption matrix: every kind of file, damaged in every way, at many places.
//!
//! A data directory is filled once; each case damages a copy of it and starts a node there. The
//! cases run in a process of their own, because a damaged file might end the process.

pub mod case;
pub mod files;
pub mod golden;
pub mod matrix;
pub mod run;
pub mod worker;
