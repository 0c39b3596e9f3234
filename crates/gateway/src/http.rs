//! HTTP as the service speaks it: what is checked before the body is understood, and what
//! every response carries.
//!
//! Holds: every response has the request ids; bodies have the bounds of [`body`], and answers with records
//! those of [`answers`].

mod answers;
mod body;
mod cors;
mod head;
mod respond;

pub(crate) use answers::{ANSWERS_BYTES_MAX, AnswerRoom, PageSize, Room, STALL_MAX};
pub(crate) use body::BodyRoom;
pub(crate) use cors::preflight;
pub(crate) use head::Head;
pub(crate) use respond::{Stamp, respond};
