//! One append stream to one node: requests out, answers back, and how it ended.

use std::sync::Arc;

use thalweg_proto::v1::{AppendStreamRequest, AppendStreamResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use crate::call::is_broken_connection;
use crate::client::stub;
use crate::pool::{Connection, Pool};

/// What a link reports to its worker.
pub(super) enum Event {
    /// A batch was answered.
    Answer(AppendStreamResponse),
    /// The link ended; what it had not answered is open.
    Lost {
        /// Where it led.
        address: String,
        /// Which of the links there.
        link: u64,
        /// Whether a request can have reached the node.
        sent: bool,
        /// Why it ended.
        why: String,
    },
}

/// A running link. Its requests are bounded by the producer's buffer.
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) requests: mpsc::UnboundedSender<AppendStreamRequest>,
}

impl Link {
    pub(super) fn open(id: u64, address: String, pool: Arc<Pool>, events: mpsc::UnboundedSender<Event>) -> Link {
        let (requests, queue) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (sent, why) = run(&address, &pool, queue, &events).await;
            // The worker may have ended before.
            let _ = events.send(Event::Lost { address, link: id, sent, why });
        });
        Link { id, requests }
    }
}

/// Runs until the stream ends; tells whether something can have been sent, and why it ended.
async fn run(
    address: &str,
    pool: &Pool,
    queue: mpsc::UnboundedReceiver<AppendStreamRequest>,
    events: &mpsc::UnboundedSender<Event>,
) -> (bool, String) {
    let connection = match pool.connection(address).await {
        Ok(connection) => connection,
        Err(unreachable) => return (false, unreachable.to_string()),
    };
    let outbound = UnboundedReceiverStream::new(queue);
    let ended = match stub::records(connection.channel.clone()).append_stream(outbound).await {
        Ok(answers) => forward(answers.into_inner(), events).await,
        Err(status) => Err(status),
    };
    (true, describe(ended, &connection, pool))
}

async fn forward(
    mut answers: Streaming<AppendStreamResponse>,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<(), Status> {
    while let Some(answer) = answers.message().await? {
        if events.send(Event::Answer(answer)).is_err() {
            break;
        }
    }
    Ok(())
}

fn describe(ended: Result<(), Status>, connection: &Connection, pool: &Pool) -> String {
    match ended {
        Ok(()) => format!("{} ended the append stream", connection.address),
        Err(status) => {
            if is_broken_connection(&status) {
                pool.forget(connection);
            }
            format!("the connection to {} broke: {}", connection.address, status.message())
        }
    }
}
