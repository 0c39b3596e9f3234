//! Raft groups of real nodes in one process.

mod fence;
mod gated;
mod group;
mod repair;
mod support;
