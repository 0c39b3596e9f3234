//! The writer and the mover of a node's log, as a task: what their threads do, at simulated speed.

use std::sync::Arc;
use std::time::Duration;

use thalweg_storage::{Health, NodeLog};
use tokio::time::{Instant, sleep, sleep_until};

use crate::machine::Machine;

/// Between two writes of the fence, as the writer's thread has it.
const FENCE_INTERVAL: Duration = Duration::from_millis(100);
/// How often the mover looks whether there is work.
const MOVE_INTERVAL: Duration = Duration::from_secs(1);
/// How often trimmed entries are looked for.
const TRIMMED_INTERVAL: Duration = Duration::from_secs(15);
/// The fence is written twice after the last write, once into each of its slots.
const FENCES_AFTER_WRITE: u32 = 2;

/// Runs until its runtime ends, or the log does.
pub async fn drive(machine: Arc<Machine>, log: NodeLog) {
    let mut fences_due = FENCES_AFTER_WRITE;
    let mut fence_at = Instant::now() + FENCE_INTERVAL;
    let mut move_at = Instant::now() + MOVE_INTERVAL;
    let mut trimmed_at = Instant::now() + TRIMMED_INTERVAL;
    loop {
        let next = if fences_due > 0 { fence_at.min(move_at) } else { move_at };
        tokio::select! {
            biased;
            () = log.write_queued() => {
                write(&machine, &log).await;
                if fences_due == 0 {
                    fence_at = Instant::now() + FENCE_INTERVAL;
                }
                fences_due = FENCES_AFTER_WRITE;
                log.run_mover_once();
            }
            () = sleep_until(next) => {}
        }
        let now = Instant::now();
        if fences_due > 0 && now >= fence_at {
            log.tick_writer();
            machine.remembers();
            fences_due -= 1;
            fence_at = now + FENCE_INTERVAL;
        }
        if now >= move_at {
            if now >= trimmed_at {
                log.call_for_trimmed();
                trimmed_at = now + TRIMMED_INTERVAL;
            }
            log.run_mover_once();
            // Free space is looked at in idle times too.
            log.tick_writer();
            move_at = now + MOVE_INTERVAL;
        }
        if matches!(*log.health().borrow(), Health::Failed(_)) {
            // Whoever waits for an answer gets one; nothing is written any more.
            while log.run_writer_once() {}
        }
    }
}

/// One batch: written, then synced as fast as this machine's disk is just now.
async fn write(machine: &Machine, log: &NodeLog) {
    machine.writes(log);
    let begun = log.begin_write();
    let written = machine.written(log, begun);
    let takes = machine.sync_takes();
    if !takes.is_zero() {
        sleep(takes).await;
    }
    while machine.disk_stalls() {
        sleep(Duration::from_millis(10)).await;
    }
    log.finish_write();
    if !matches!(*log.health().borrow(), Health::Failed(_)) {
        machine.synced(written);
    }
}
