//! The promises of the log, each tested on a simulated disk (and the disks against each other).
//!
//! `support` builds logs and records; every other module is one kind of promise.

mod crashes;
mod cuts;
mod damage;
mod disk_suite;
mod failures;
mod recycling;
mod round_trip;
mod support;
