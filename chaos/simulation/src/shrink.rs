//! The fewest faults with which a seed still breaks the same promise.
//!
//! Delta debugging over the events of the schedule: halves, quarters and so on are left out as
//! long as the run still fails in the same way. Events keep their numbers and times, whatever else
//! is left out.

use crate::outcome::Outcome;
use crate::plan::{Plan, Request};
use crate::sweep::one;

/// Runs at most.
const RUNS_MAX: usize = 200;
/// Load goes on for this long after the last event.
const AFTERMATH_MS: u64 = 15_000;

struct Shrinking {
    request: Request,
    signature: String,
    runs: usize,
}

/// Shrinks a seed, telling how it goes. False if it fails: then there is something to fix.
pub fn run(request: &Request) -> Result<bool, String> {
    let whole = simulate(request, None, None).ok_or("the seed has no outcome")?;
    let Some(signature) = whole.signature() else {
        println!("seed {} fails in nothing", request.seed);
        return Ok(true);
    };
    println!("seed {} breaks `{signature}` with {} events", request.seed, whole.events.len());
    let mut shrinking = Shrinking { request: request.clone(), signature, runs: 0 };
    let events = shrinking.shorten(whole.events);
    let seconds = shrinking.shorten_time(&events);
    let list: Vec<String> = events.iter().map(u32::to_string).collect();
    let seconds = seconds.map(|seconds| format!(" --seconds {seconds}")).unwrap_or_default();
    let keep = if list.is_empty() { " --only none".to_owned() } else { format!(" --keep {}", list.join(",")) };
    println!("after {} runs, {} events are left:", shrinking.runs, events.len());
    for event in Plan::of(request).events.iter().filter(|event| events.contains(&event.id)) {
        println!("    {event:?}");
    }
    let plain = if request.plain { " --plain" } else { "" };
    println!("make simulate-seed ARGS=\"--seed {}{plain}{seconds}{keep}\"", request.seed);
    Ok(false)
}

impl Shrinking {
    fn fails(&mut self, events: &[u32], seconds: Option<u64>) -> bool {
        self.runs += 1;
        let outcome = simulate(&self.request, Some(events), seconds);
        let found = outcome
            .is_some_and(|outcome| outcome.violations.iter().any(|violation| violation.invariant == self.signature));
        println!("  {:>3}: {} events: {}", self.runs, events.len(), if found { "fails" } else { "passes" });
        found
    }

    fn shorten(&mut self, mut events: Vec<u32>) -> Vec<u32> {
        let mut parts = 2;
        while events.len() > 1 && self.runs < RUNS_MAX {
            let size = events.len().div_ceil(parts);
            let without = (0..parts).map(|part| {
                let kept = events.iter().enumerate().filter(|(at, _)| at / size != part);
                kept.map(|(_, event)| *event).collect::<Vec<u32>>()
            });
            let candidates: Vec<Vec<u32>> = without.filter(|kept| kept.len() < events.len()).collect();
            match candidates.into_iter().find(|kept| self.fails(kept, None)) {
                Some(kept) => {
                    events = kept;
                    parts = (parts - 1).max(2);
                }
                None if size == 1 => break,
                None => parts = (parts * 2).min(events.len()),
            }
        }
        if events.len() == 1 && self.fails(&[], None) {
            events.clear();
        }
        events
    }

    fn shorten_time(&mut self, events: &[u32]) -> Option<u64> {
        let plan = Plan::of(&self.request);
        let last = plan.events.iter().filter(|event| events.contains(&event.id)).map(|event| event.at_ms).max();
        let seconds = (last.unwrap_or(0) + AFTERMATH_MS).div_ceil(1_000);
        (seconds * 1_000 < plan.load_ms && self.fails(events, Some(seconds))).then_some(seconds)
    }
}

fn simulate(request: &Request, keep: Option<&[u32]>, seconds: Option<u64>) -> Option<Outcome> {
    let mut arguments = vec!["--seed".to_owned(), request.seed.to_string()];
    if let Some(seconds) = seconds.or(request.seconds) {
        arguments.extend(["--seconds".to_owned(), seconds.to_string()]);
    }
    if request.plain {
        arguments.push("--plain".to_owned());
    }
    if !request.only.is_empty() {
        let names: Vec<String> = request.only.iter().map(|kind| kind.name()).collect();
        arguments.extend(["--only".to_owned(), names.join(",")]);
    }
    match keep {
        Some([]) => arguments.extend(["--only".to_owned(), "none".to_owned()]),
        Some(keep) => {
            let list: Vec<String> = keep.iter().map(u32::to_string).collect();
            arguments.extend(["--keep".to_owned(), list.join(",")]);
        }
        None => {}
    }
    one(&arguments).ok()
}
