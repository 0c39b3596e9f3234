//! The contract as clients meet it: what requests are refused with, and that nothing is lost
//! between a body and its values.

mod bodies;
mod conform;
mod constraints;
mod hostile;
mod model;
mod round_trip;
mod state_texts;
mod types;
mod values;
