//! The gRPC services: what clients ask of the cluster, and what nodes say to each other.
//!
//! Any node answers any request. Reads come from the local image. Mutations are carried out by the
//! controller's leader ([`forward`]), and answered only when this node's own image shows them
//! ([`wait`]), so that what a client does next, here, builds on what it did before.

mod account;
pub(crate) mod attach;
pub(crate) mod cluster;
mod consumers;
mod events;
pub(crate) mod forward;
pub(crate) mod peer;
pub(crate) mod present;
pub(crate) mod refusals;
pub(crate) mod routing;
mod settings;
pub(crate) mod stream;
pub(crate) mod wait;
