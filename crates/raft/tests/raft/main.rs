//! Raft groups of real nodes in one process.

mod fence;
mod group;
mod repair;
mod support;
