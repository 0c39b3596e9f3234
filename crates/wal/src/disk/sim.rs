//! Placeholder.
/// A simulated disk.
#[derive(Clone, Debug)]
pub struct SimDisk;
