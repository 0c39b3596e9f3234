//! The Kinesis front over the wire: what any SDK relies on, each test named for one promise.
//!
//! The client here is raw HTTP ([`support`]), so that bytes and headers are in sight. Modules share
//! clusters ([`support::cluster`]); every test has streams of its own.

mod consistency;
mod fan_out;
mod iterators;
mod listing;
mod reading;
mod settings;
mod signatures;
mod stalled;
mod support;
mod transport;
mod wire;
mod writing;
