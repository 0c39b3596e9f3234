//! Appending: order, numbers, retries, refusals.

use std::time::Duration;

use thalweg_shard::Options;
use thalweg_shard::append::AppendError;
use thalweg_types::UnixMillis;

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_reads_back_at_once_under_rising_numbers() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let mut last = None;
    for i in 0..20 {
        let appended = append(&shard, &[&format!("{i}a"), &format!("{i}b")]).await;
        assert_eq!((appended.record_count, appended.duplicate), (2, false));
        assert!(last < Some(appended.first));
        last = Some(appended.first);
        assert_eq!(all_payloads(&shard).await.len(), 2 * (i + 1), "an acknowledged record can be read");
    }
    let expected: Vec<String> = (0..20).flat_map(|i| [format!("{i}a"), format!("{i}b")]).collect();
    assert_eq!(all_payloads(&shard).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_gets_the_first_answer_and_writes_nothing() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let first = append_tagged(&shard, "a", 1).await.unwrap();
    let retry = append_tagged(&shard, "a", 1).await.unwrap();
    assert_eq!((retry.first, retry.arrived, retry.duplicate), (first.first, first.arrived, true));
    // Both on their way at once: one outcome, one entry.
    let (one, other) = tokio::join!(append_tagged(&shard, "b", 2), append_tagged(&shard, "b", 2));
    assert_eq!(one.unwrap().first, other.unwrap().first);
    assert_eq!(all_payloads(&shard).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_refused_and_what_is_too_old_is_said_to_be_unknown() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    for sequence in 5..25 {
        append_tagged(&shard, &sequence.to_string(), sequence).await.unwrap();
    }
    assert_eq!(append_tagged(&shard, "x", 26).await, Err(AppendError::OutOfOrder { sequence: 26, expected: 25 }));
    assert_eq!(append_tagged(&shard, "x", 6).await, Err(AppendError::TooOld { sequence: 6 }));
    assert!(append_tagged(&shard, "24", 24).await.unwrap().duplicate);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_batches_keep_the_order_in_which_they_were_submitted() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let mut tickets = Vec::new();
    for sequence in 1..=100 {
        tickets.push(shard.submit(batch(&[&sequence.to_string()]), tag(sequence), PATIENCE).await.unwrap());
    }
    let mut last = None;
    for ticket in tickets {
        let appended = ticket.outcome(PATIENCE).await.unwrap();
        assert!(last < Some(appended.first));
        last = Some(appended.first);
    }
    assert_eq!(all_payloads(&shard).await, (1..=100).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn arrival_never_falls_when_the_clock_does() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let before = append(&shard, &["a"]).await;
    cluster.clock.set(UnixMillis(1));
    assert_eq!(append(&shard, &["b"]).await.arrived, before.arrived);
    cluster.clock.set(UnixMillis(START.0 + 5));
    assert_eq!(append(&shard, &["c"]).await.arrived, UnixMillis(START.0 + 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_bound_appends_are_throttled_and_nothing_is_written() {
    let options = Options { shard_in_flight_bytes_max: 100, ..Options::default() };
    let cluster = Cluster::start_with(1, options).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let refused = shard.append(batch(&["too much for this shard"; 10]), None, PATIENCE).await;
    assert!(matches!(refused, Err(AppendError::Throttled { scope: "the shard", limit_bytes: 100 })), "{refused:?}");
    append(&shard, &["x"]).await;
    assert_eq!(all_payloads(&shard).await, ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_come_before_the_shard_opens_wait_a_moment_in_order() {
    let cluster = Cluster::start(1).await;
    let mut child = spec(1, &[1]);
    child.writable = false;
    cluster.apply(std::slice::from_ref(&child));
    let shard = cluster.leader(1).await;
    let refused = append_tagged(&shard, "a", 1).await.unwrap_err();
    assert_eq!(refused.to_string(), "the shard cannot take writes now: it is not open for writes yet");
    let early = tokio::spawn({
        let shard = shard.clone();
        async move { append_tagged(&shard, "a", 1).await }
    });
    child.writable = true;
    cluster.apply(&[child]);
    early.await.unwrap().unwrap();
    append_tagged(&shard, "b", 2).await.unwrap();
    assert_eq!(all_payloads(&shard).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_leaves_the_outcome_open_and_a_retry_closes_it() {
    let cluster = Cluster::start(1).await;
    cluster.apply(&[spec(1, &[1])]);
    let shard = cluster.leader(1).await;
    let hasty = shard.append(batch(&["a"]), tag(1), Duration::ZERO).await;
    assert!(matches!(hasty, Err(AppendError::Timeout { .. }) | Ok(_)), "{hasty:?}");
    append_tagged(&shard, "a", 1).await.unwrap();
    assert_eq!(all_payloads(&shard).await, ["a"]);
}
