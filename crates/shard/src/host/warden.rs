//! One task a replica: reports what changes and does the leader's duties. Sleeps without a timer.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Host;
use super::duties::{self, Done, Kind};
use crate::replica::Replica;

/// A failing duty rests at most this many sweeps before it is tried again.
const REST_SWEEPS_MAX: u32 = 32;

/// A new leader waits this many sweeps before it hands over to the preferred one, which perhaps
/// has just handed over in order to stop.
const NEW_LEADER_SWEEPS: u32 = 5;

/// A kind of duty that failed lately.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    /// Pokes to sit out.
    sweeps_left: u32,
    failures: u32,
}

#[derive(Default)]
struct Duties {
    running: JoinSet<(Kind, Result<(), String>)>,
    busy: Vec<Kind>,
    led: bool,
    rests: BTreeMap<Kind, Rest>,
}

pub(super) async fn run(host: Arc<Host>, replica: Arc<Replica>) {
    let (mut status, mut spec) = (replica.group().status(), replica.spec_changes());
    let (mut landmarks, mut gone) = (replica.state().landmarks(), replica.gone());
    let mut duties = Duties::default();
    loop {
        status.mark_unchanged();
        spec.mark_unchanged();
        landmarks.mark_unchanged();
        host.observe(&replica);
        duties.start_due(&host, &replica);
        tokio::select! {
            _ = gone.wait_for(|gone| *gone) => return,
            changed = status.changed() => match changed {
                // A seal that failed with its leader is the next leader's first duty.
                Ok(()) => duties.rests.remove(&Kind::Seal).map_or((), |_| ()),
                Err(_) => return,
            },
            _ = spec.changed() => duties.rests.clear(),
            _ = landmarks.changed() => {}
            () = replica.poke.notified() => duties.rest_one_sweep(),
            Some(done) = duties.running.join_next() => duties.finish(&replica, done),
        }
    }
}

impl Duties {
    fn start_due(&mut self, host: &Host, replica: &Arc<Replica>) {
        let placed = replica.placed();
        let done = replica.state().with(|state| {
            let (sealed, placement) = (state.sealed().is_some(), state.placement());
            Done { sealed, placement, placed }
        });
        let status = replica.status();
        let due = duties::due(replica.node_id(), &status, &replica.spec(), done);
        replica.want_poke(!due.is_empty());
        self.rests.retain(|kind, _| due.iter().any(|duty| duty.kind() == *kind));
        if status.leading && !self.led {
            self.rests.insert(Kind::HandOver, Rest { sweeps_left: NEW_LEADER_SWEEPS, failures: 0 });
        }
        self.led = status.leading;
        for duty in due {
            let kind = duty.kind();
            let rests = self.rests.get(&kind).is_some_and(|rest| rest.sweeps_left > 0);
            // Both halves of a change of voters show the wanted ones; only its end is the end.
            let changing = kind == Kind::HandOver && self.busy.contains(&Kind::Voters);
            if !rests && !changing && !self.busy.contains(&kind) {
                self.busy.push(kind);
                let performed = duties::perform(replica.clone(), duty, host.changes.clone());
                self.running.spawn(async move { (kind, performed.await) });
            }
        }
    }

    fn rest_one_sweep(&mut self) {
        self.rests.values_mut().for_each(|rest| rest.sweeps_left = rest.sweeps_left.saturating_sub(1));
    }

    fn finish(&mut self, replica: &Replica, done: Result<(Kind, Result<(), String>), tokio::task::JoinError>) {
        let Ok((kind, result)) = done else {
            tracing::error!(group = %replica.group().id(), "a duty panicked");
            self.busy.clear();
            return;
        };
        self.busy.retain(|other| *other != kind);
        let Err(why) = result else {
            self.rests.remove(&kind);
            return;
        };
        let rest = self.rests.entry(kind).or_default();
        rest.failures += 1;
        rest.sweeps_left = (1 << rest.failures.min(16)).min(REST_SWEEPS_MAX);
        tracing::debug!(group = %replica.group().id(), ?kind, why, failures = rest.failures, "duty not done yet");
    }
}
