//! A node's log as its callers see it: durability, reading, moving, faults.
//!
//! Everything runs by hand ([`thalweg_storage::Driver::Manual`]) on a simulated disk unless the
//! test is about threads or a real disk.

mod destroy;
mod faults;
mod fence;
mod log;
mod model;
mod moving;
mod real;
mod support;
