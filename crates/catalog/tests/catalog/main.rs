//! What the catalog promises, one file a promise. The support module builds clusters and
//! plays the nodes; nothing here needs a clock, a disk or a network.

mod expiry;
mod histories;
mod listing;
mod moves;
mod nodes;
mod on_demand;
mod placement;
mod refusals;
mod reshards;
mod scaling;
mod settings;
mod support;
mod wishes;
