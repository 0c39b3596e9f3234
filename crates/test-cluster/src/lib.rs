//! Real nodes as processes, and what was written to and read from them, for the checker. For `tests/`
//! and `chaos/`.
//!
//! ```text
//!   TestCluster ── TestNode ── a `thalweg server` process: start, kill, pause, stop, wait
//!        │
//!        ├─ client() ──► Load      writes unique records, notes every call and every outcome
//!        └─ client() ──► read_all  every record of every shard, parents before children
//!                          │
//!   Written + ReadBack ──► history::check ──► thalweg-checker judges
//! ```
//! A node runs as the binary named by `THALWEG_BIN` when that is set, else as the test binary
//! that the tests build around [`run_node`]; both take the same arguments. All processes end with
//! their [`TestCluster`]; a panicking test prints the end of every node's log.

mod admin_port;
mod cluster;
pub mod history;
mod images;
mod load;
mod node;
mod ports;
mod read;
mod server;
mod strace;
mod wait;

pub use cluster::{ClusterOptions, TestCluster};
pub use history::{Mark, ReadBack, Written};
pub use images::ImageWatch;
pub use load::{Load, LoadOptions};
pub use node::TestNode;
pub use read::{Tail, read_all};
pub use server::{CLOCK_AHEAD_HOURS, run_node};
pub use strace::Strace;
pub use wait::eventually;

/// Whether the long versions of the tests are to run: `make soak`, or SOAK=1.
pub fn soaking() -> bool {
    std::env::var_os("SOAK").is_some_and(|value| value != "0")
}

/// How many rounds a test has: few on each change, many when soaking.
pub fn short_or_soak(short: u64, soak: u64) -> u64 {
    if soaking() { soak } else { short }
}
