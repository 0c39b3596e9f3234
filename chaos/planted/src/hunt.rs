//! Looking for one defect with every layer that was asked for.

use std::time::Duration;

use thalweg_types::planted::Planted;

use crate::crash::Crash;
use crate::layers::Layer;
use crate::simulation::Simulation;
use crate::suites::Tests;

/// Who noticed, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Catch {
    /// The test, the seed and its promise, or the part of the suite.
    pub(crate) by: String,
    /// How long that took, in the units of the layer's columns.
    pub(crate) figures: Vec<String>,
}

/// What a layer came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It was not asked.
    NotLooked,
    /// The defect is in no code that it runs.
    OutOfReach,
    Nothing,
    Caught(Catch),
}

impl From<Option<Catch>> for Found {
    fn from(caught: Option<Catch>) -> Found {
        caught.map_or(Found::Nothing, Found::Caught)
    }
}

/// What there is to look with; nothing for layers that were not asked for.
pub(crate) struct Hunter {
    pub(crate) tests: Option<Tests>,
    pub(crate) simulation: Option<Simulation>,
    pub(crate) crash: Option<Crash>,
}

impl Hunter {
    /// Looks for a defect with all layers, in the order of [`Layer::ALL`].
    pub(crate) fn hunt(&self, defect: Planted) -> Vec<Found> {
        let found = |layer: &Layer| match layer {
            Layer::Tests => self.tests.as_ref().map(|tests| tests.hunt(defect).into()),
            Layer::Simulation => self.simulation.as_ref().map(|simulation| simulation.hunt(defect).into()),
            Layer::Crash => self.crash.as_ref().map(|crash| crash.hunt(defect)),
        };
        Layer::ALL.iter().map(|layer| found(layer).unwrap_or(Found::NotLooked)).collect()
    }
}

/// Seconds with one decimal.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}
