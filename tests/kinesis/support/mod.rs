//! Clusters to talk to, and a client that leaves no byte unseen.
//!
//! Read in this order: [`cluster`] (nodes in this process, a clock that tests move), [`wire`]
//! (requests and replies), [`api`] (operations by name, JSON in and out), [`events`] (the frames of
//! a subscription).

pub(crate) mod api;
pub(crate) mod cluster;
pub(crate) mod events;
pub(crate) mod wire;

pub(crate) use api::{Api, Refusal, arn};
pub(crate) use cluster::{Cluster, Shape, main_cluster};
pub(crate) use events::{Event, Events};
pub(crate) use wire::{Reply, Wire};

use std::time::Duration;

/// Nothing takes this long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
