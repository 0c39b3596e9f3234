//! Runs programs of other languages against a cluster, and checks what they say they saw.
//!
//! ```text
//!   thalweg dev ◄── the program, told by the environment where it is
//!       ▲                │ last line of its output
//!       └── native ──── Report: everything it wrote and read, every error it met
//!           client
//! ```
//! The programs judge nothing: they tell what they wrote and what they read, and
//! [`report::check`] compares that with what the native client reads, so that a program that does
//! nothing, or a server that serves one of the two wrongly, does not pass.

mod balancer;
mod binary;
mod dev_cluster;
mod program;
pub mod report;

pub use balancer::Balancer;
pub use binary::thalweg_binary;
pub use dev_cluster::DevCluster;
pub use program::{Program, Running, Server};
pub use report::Report;
