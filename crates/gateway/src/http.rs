//! HTTP as the service speaks it: what is checked before the body is understood, and what
//! every response carries.
//!
//! Holds: every response has the request ids; bodies have the bounds of [`body`].

mod body;
mod cors;
mod head;
mod respond;

pub(crate) use body::BodyRoom;
pub(crate) use cors::preflight;
pub(crate) use head::Head;
pub(crate) use respond::{Stamp, respond};
