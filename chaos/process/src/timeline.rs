//! The run second by second: what was acknowledged, how fast, who led, which nodes were up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_client::NodeId;

use crate::cluster::Cluster;
use crate::node::State;
use crate::observe::Observer;
use crate::record::{Recorder, Totals};

/// Between two samples.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);

/// One moment, and what happened since the one before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// When.
    pub(crate) at: Duration,
    /// Everything so far.
    pub(crate) totals: Totals,
    /// Records acknowledged a second.
    pub(crate) acked_rate: f64,
    /// Records received a second, by all readers.
    pub(crate) read_rate: f64,
    /// Half of the acknowledgements came within this.
    pub p50: Duration,
    /// 99 % of them did.
    pub p99: Duration,
    /// Shards that take records.
    pub(crate) open_shards: usize,
    /// How many of them each node leads.
    pub(crate) leaders: BTreeMap<NodeId, usize>,
    /// The node that leads the controller.
    pub(crate) controller: Option<NodeId>,
    /// How each node is.
    pub(crate) nodes: BTreeMap<NodeId, State>,
}

/// All samples so far.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    samples: Mutex<Vec<Sample>>,
}

impl Timeline {
    /// All samples.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().clone()
    }

    /// The newest.
    pub(crate) fn newest(&self) -> Sample {
        self.samples.lock().last().cloned().unwrap_or_default()
    }

    /// The newest `count`.
    pub(crate) fn recent(&self, count: usize) -> Vec<Sample> {
        let samples = self.samples.lock();
        samples[samples.len().saturating_sub(count)..].to_vec()
    }

    /// Takes samples until it is dropped.
    pub(crate) async fn fill(self: Arc<Self>, recorder: Arc<Recorder>, observer: Arc<Observer>, cluster: Arc<Cluster>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let before = self.newest();
            let sample = take(&before, &recorder, &observer, &cluster);
            self.samples.lock().push(sample);
        }
    }
}

fn take(before: &Sample, recorder: &Recorder, observer: &Observer, cluster: &Cluster) -> Sample {
    let (at, totals, view) = (recorder.elapsed(), recorder.totals(), observer.view());
    let mut latencies = recorder.take_latencies();
    latencies.sort_unstable();
    let seconds = (at - before.at).as_secs_f64().max(1e-3);
    Sample {
        at,
        totals,
        acked_rate: (totals.acked - before.totals.acked) as f64 / seconds,
        read_rate: (totals.read - before.totals.read) as f64 / seconds,
        p50: quantile(&latencies, 0.5),
        p99: quantile(&latencies, 0.99),
        open_shards: view.open_shards().count(),
        leaders: view.leaders(),
        controller: view.controller,
        nodes: cluster.states(),
    }
}

/// The value that so large a share of sorted values does not exceed; zero when there are none.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * share).ceil() as usize).copied().unwrap_or_default()
}
