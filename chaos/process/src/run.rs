//! One run from its first process to its verdict.
//!
//! ```text
//!   cluster ─► stream ─► load ─► faults until the time is over ─► heal ─► alive? ─► read everything
//!                                                                          │
//!                  report.html, history.jsonl ◄── verdict ◄── checker ◄────┘
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use thalweg_checker::{Outcome, RetentionChange};
use thalweg_client::StreamName;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::{Cluster, READY_TIMEOUT};
use crate::faults::Arena;
use crate::finale;
use crate::live::Live;
use crate::load::Load;
use crate::nemesis::Nemesis;
use crate::observe::Observer;
use crate::record::Recorder;
use crate::sandbox::{self, RunDir};
use crate::scenario::Scenario;
use crate::timeline::Timeline;
use crate::verdict::Verdict;

/// The load goes well before the first fault comes.
const WARM_UP_RECORDS: u64 = 200;
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// How often processes are looked at.
const SUPERVISE_INTERVAL: Duration = Duration::from_millis(200);
/// How often the view is drawn anew.
const DRAW_INTERVAL: Duration = Duration::from_millis(500);
/// The retention of a stream that says nothing else.
const RETENTION_MS: u64 = 24 * 3_600_000;

/// What the command line says about a run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The name of the scenario.
    pub(crate) name: String,
    /// How long faults go on.
    pub(crate) lasts: Duration,
    /// From which everything random is drawn.
    pub(crate) seed: u64,
    /// The server's program.
    pub(crate) binary: PathBuf,
    /// Where results go.
    pub(crate) results: PathBuf,
}

/// Runs a scenario inside the sandbox.
pub(crate) async fn run(scenario: &Scenario, settings: &Settings) -> anyhow::Result<Verdict> {
    sandbox::prepare()?;
    let dir = RunDir::new(sandbox::PREFIX)?;
    std::fs::create_dir_all(&settings.results)?;
    // A build that goes on meanwhile would replace it under the nodes.
    let binary = dir.path().join("thalweg");
    std::fs::copy(&settings.binary, &binary)
        .with_context(|| format!("no server program at {}", settings.binary.display()))?;
    let stage = Stage::start(scenario, settings, binary, dir.path()).await?;
    stage.play(scenario, settings).await
}

/// Everything that takes part.
struct Stage {
    cluster: Arc<Cluster>,
    observer: Arc<Observer>,
    recorder: Arc<Recorder>,
    timeline: Arc<Timeline>,
    stream: StreamName,
    load: Load,
    aside: JoinSet<()>,
}

impl Stage {
    async fn start(scenario: &Scenario, settings: &Settings, binary: PathBuf, disks: &Path) -> anyhow::Result<Stage> {
        let (plan, seed) = (scenario.cluster.clone(), settings.seed);
        let cluster = Arc::new(Cluster::start(plan, seed, binary, disks, &settings.results).await?);
        let stream: StreamName = "chaos".parse().expect("a valid name");
        cluster.create_stream(&stream).await?;
        let recorder = Arc::new(Recorder::new());
        let outcome = Outcome::Ok(());
        recorder.retention(RetentionChange { call: 0, done: 0, retention_ms: RETENTION_MS, outcome });
        let client = || cluster.client(Duration::from_secs(10));
        let observer = Arc::new(Observer::start(client(), &stream, &recorder));
        cluster.ids().into_iter().for_each(|id| observer.add_node(id));
        let load = Load::start(&scenario.load, &stream, &recorder, seed, client);
        let timeline = Arc::new(Timeline::default());
        let mut aside = JoinSet::new();
        aside.spawn(timeline.clone().fill(recorder.clone(), observer.clone(), cluster.clone()));
        aside.spawn(supervise(cluster.clone(), recorder.clone()));
        let stage = Stage { cluster, observer, recorder, timeline, stream, load, aside };
        stage.warm_up().await?;
        Ok(stage)
    }

    async fn warm_up(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + WARM_UP_TIMEOUT;
        while self.recorder.totals().acked < WARM_UP_RECORDS || self.observer.view().shards.is_empty() {
            anyhow::ensure!(Instant::now() < deadline, "the load does not begin to flow within {WARM_UP_TIMEOUT:?}");
            tokio::time::sleep(SUPERVISE_INTERVAL).await;
        }
        Ok(())
    }

    async fn play(mut self, scenario: &Scenario, settings: &Settings) -> anyhow::Result<Verdict> {
        let client = self.cluster.client(Duration::from_secs(30));
        let (recorder, stream) = (self.recorder.clone(), self.stream.clone());
        let arena = Arena::new(self.cluster.clone(), self.observer.clone(), recorder.clone(), stream.clone(), client);
        let until = Instant::now() + settings.lasts;
        let mut nemesis = Nemesis::start(scenario, Arc::new(arena), settings.seed, until);
        let minutes = nemesis.minutes().clone();
        let mut live = Live::new(&settings.name, settings.seed, self.recorder.elapsed() + settings.lasts);
        let (timeline, watched) = (self.timeline.clone(), minutes.clone());
        let mut interrupted = false;
        let mut redraw = tokio::time::interval(DRAW_INTERVAL);
        loop {
            tokio::select! {
                ended = nemesis.finish() => { ended?; break; }
                _ = redraw.tick() => live.draw(&timeline, &watched, &recorder),
                _ = tokio::signal::ctrl_c(), if !interrupted => {
                    interrupted = true;
                    nemesis.hurry();
                    live.say("stopping: no further faults, then the end as usual; Ctrl-C again ends at once");
                }
            }
        }
        live.draw(&timeline, &minutes, &recorder);
        self.end(scenario, &mut live).await?;
        let faults = minutes.faults();
        self.aside.abort_all();
        let samples = self.timeline.samples();
        Verdict::reach(scenario, settings, &recorder, &self.observer.view(), faults, samples)
    }

    /// Heals everything, and finds out what is left.
    async fn end(&mut self, scenario: &Scenario, live: &mut Live) -> anyhow::Result<()> {
        live.say("the last fault is healed: is every shard alive?");
        let client = self.cluster.client(Duration::from_secs(10));
        match finale::liveness(&client, &self.stream, &self.recorder, scenario.liveness).await {
            Ok(took) => live.say(&format!("every open shard takes and gives records again ({took:.1?})")),
            Err(error) => self.recorder.violation(format!("{error:#}")),
        }
        for id in self.cluster.active() {
            let node = self.cluster.node(id);
            let mut node = node.lock().await;
            if let Err(error) = node.wait_ready(READY_TIMEOUT).await {
                self.recorder.violation(format!("{error:#}"));
            }
        }
        live.say("waiting for the outcome of every record");
        self.load.stop_writing().await?;
        live.say("reading every replica of every shard to its end");
        let replicas = finale::read_replicas(&client, &self.stream, &self.recorder).await;
        self.load.stop_reading().await?;
        match replicas {
            Ok(replicas) => live.say(&format!("read {replicas} replicas; judging")),
            Err(error) => self.recorder.violation(format!("the end could not be read: {error:#}")),
        }
        Ok(())
    }
}

/// Finds processes that ended by themselves, says so, and starts them again as an operator would.
async fn supervise(cluster: Arc<Cluster>, recorder: Arc<Recorder>) {
    loop {
        for id in cluster.active() {
            let Some(mut node) = cluster.try_hold(id) else { continue };
            if let Ok(Some(status)) = node.ended() {
                let last = node.log_end();
                recorder.violation(format!("node {id} ended by itself with {status}; its last words:\n{last}"));
                if let Err(error) = node.start() {
                    recorder.violation(format!("node {id} does not start again: {error:#}"));
                }
            }
        }
        tokio::time::sleep(SUPERVISE_INTERVAL).await;
    }
}
