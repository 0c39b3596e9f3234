//! The wire: Rust generated from the top-level `proto/` folder, and its border with `types`.
//!
//! Owns the generated messages and services, the conversions that check what came from outside
//! ([`convert`]), and the one shape in which errors travel ([`errors`]). No behaviour.

pub mod convert;
pub mod errors;

/// The public API: package `thalweg.v1`.
#[allow(missing_docs, clippy::all, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("thalweg.v1");
}

/// What nodes say to each other: package `thalweg.peer.v1`.
#[allow(missing_docs, clippy::all, reason = "generated code")]
pub mod peer {
    tonic::include_proto!("thalweg.peer.v1");
}

/// Descriptors of every service, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
