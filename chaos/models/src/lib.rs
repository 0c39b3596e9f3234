//! Thalweg's protocols as small state machines, every reachable state of which is visited.
//!
//! Simulation and chaos try what a seed leads to; a model, far smaller than the code, leaves
//! nothing out within its bounds. Each file names the functions whose decisions it mirrors: who
//! changes one of them changes the model first.
//!
//! | model | must hold |
//! |---|---|
//! | [`reshard`] | ranges tile in every image; a split or merge is one change and ends, whoever crashes |

//! | [`dedupe`] | no batch is there twice, across fail-over, seal and reshard |
//! | [`membership`] | replacing replicas never leaves two majorities that do not meet |
//!
//! Every model takes a planted bug, and is only worth something because it finds each of them.

pub mod dedupe;
pub mod explore;
pub mod fence;
pub mod membership;
pub mod reshard;
pub mod suite;
