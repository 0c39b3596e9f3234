//! Raft groups of real nodes in one process.

mod group;
mod repair;
mod support;
