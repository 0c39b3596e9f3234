//! The log of nodes, on stderr.

use std::fmt;
use std::io::IsTerminal;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Begins to log at `THALWEG_LOG`, or at `level` (of Raft itself only errors): lines for people on a terminal, JSON otherwise.
pub(crate) fn start(level: &str) {
    let filter =
        EnvFilter::try_from_env("THALWEG_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{level},openraft=error")));
    let people = std::io::stderr().is_terminal();
    let colours = people && std::env::var_os("NO_COLOR").is_none();
    // A second start in one process (tests) keeps the first.
    let _ = Registry::default().with(lines(people, colours, filter, std::io::stderr)).try_init();
}

fn lines<W>(people: bool, colours: bool, filter: EnvFilter, to: W) -> impl Layer<Registry>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(to);
    let lines = if people { lines.boxed() } else { lines.json().boxed() };
    lines.with_filter(filter.and(NotTheOrderlyEnd))
}

/// Everything but one thing: when a group is closed in order, whoever still had a message for it
/// makes openraft log an error that says nothing else. A group that stops for another reason says
/// so with other words, and its health is watched besides.
struct NotTheOrderlyEnd;

/// Where openraft hands messages to a group.
const HAND_OVER: &str = "openraft::raft::raft_inner";
/// How it ends the message when the group was closed on request.
const CLOSED: &str = "error: raft stopped";

impl<S: Subscriber> Filter<S> for NotTheOrderlyEnd {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut message = Message(String::new());
        if event.metadata().target() == HAND_OVER {
            event.record(&mut message);
        }
        !message.0.ends_with(CLOSED)
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn of_groups_that_end_only_those_that_were_closed_in_order_are_not_logged() {
        let written = Written::default();
        let to = written.clone();
        let lines = lines(false, false, EnvFilter::new("info"), move || to.clone());
        tracing::subscriber::with_default(Registry::default().with(lines), || {
            let (message, closed) = ("vote", "raft stopped");
            tracing::error!(target: HAND_OVER, "failed to send RaftMsg to RaftCore: {message}, error: {closed}");
            tracing::error!(target: HAND_OVER, "failed to send RaftMsg to RaftCore: {message}, error: broken disk");
            tracing::error!(target: "thalweg_raft", "{message}: error: {closed}");
            tracing::debug!("not asked for");
        });
        let told = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 2, "{told}");
        assert!(lines[0].contains("broken disk") && lines[1].contains("thalweg_raft"), "{told}");
    }
}
