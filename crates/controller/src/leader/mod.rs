//! What runs only on the node that leads the controller.
//!
//! ```text
//!   nodes ──Attach──► hub (reports, connections) ──┐
//!                                                  ├─► round::plan ──► commands ──► Raft ──► catalog
//!   group 0 ──────────► applied catalog ───────────┘       ▲                                   │
//!                                                          └───────────────────────────────────┘
//! ```
//! Level-triggered: each round compares the whole catalog with all that is observed and proposes
//! what is missing; any change of either starts the next round. A new leader needs no handover:
//! what it must finish is in the catalog, and what it must know is reported to it afresh.
//!
//! Order of reading: [`hub`], [`round`], [`drive`], [`propose`], [`living`].

pub(crate) mod drive;
pub(crate) mod hub;
pub(crate) mod living;
pub(crate) mod propose;
pub(crate) mod round;
