//! Shard replicas on real Raft groups: real gRPC on loopback, the real write-ahead log, the
//! memory record store, a clock that the test moves.

mod append;
mod read;
mod replicas;
mod reshard;
mod retention;
mod service;
mod subscriptions;
mod support;
