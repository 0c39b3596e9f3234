//! The end of a run: the checker's verdict, with everything else that was seen.

use super::Director;
use crate::outcome::{Outcome, cpu_ms};
use crate::plan::Request;

impl Director {
    /// Ends everything that runs.
    pub(super) fn finish(&mut self, finished: bool) {
        self.invariants.check(&self.world, true);
        self.world.trace(format_args!("{}", if finished { "finished" } else { "broken off" }));
    }

    /// The checker's verdict, with everything else.
    pub(super) fn judge(self, request: &Request) -> Outcome {
        let world = self.world;
        let simulated_ms = world.time.now_ms();
        let history = world.recorder.take();
        if let Some(path) = &request.history {
            let mut bytes = Vec::new();
            thalweg_checker::json::write(&history, &mut bytes).expect("memory takes what it is given");
            std::fs::write(path, bytes).expect("the history can be written");
        }
        let mut options = thalweg_checker::Options::default();
        if world.time.was_moved() {
            // By the log's time much time passes at once, and old records are served until the next look at the retention, however old they are by then.
            options.retention_slack_ms = u64::MAX;
        }
        let figures = match thalweg_checker::check(&history, &options) {
            Ok(report) => {
                for anomaly in &report.anomalies {
                    let detail = format!("{:?} {:?}: {}", anomaly.shard, anomaly.position, anomaly.detail);
                    world.violated(&format!("checker: {}", anomaly.kind), detail);
                }
                report.figures
            }
            Err(malformed) => {
                world.violated("harness", format!("the history is malformed: {malformed}"));
                thalweg_checker::Figures::default()
            }
        };
        if figures.acked_unjudged > 0 && world.violations().is_empty() {
            world.violated("unjudged", format!("{} acknowledged records were read by nobody", figures.acked_unjudged));
        }
        let (acked, indefinite) = (figures.acked, figures.indefinite);
        world.trace(format_args!("judged {figures:?}"));
        Outcome {
            seed: world.plan.seed,
            violations: world.violations(),
            coverage: world.coverage(),
            events: self.happened,
            simulated_ms,
            cpu_ms: cpu_ms(),
            nodes: world.plan.nodes,
            acked,
            indefinite,
            records_read: figures.records_read,
            acked_unjudged: figures.acked_unjudged,
            trace: world.trace.finish(),
        }
    }
}
