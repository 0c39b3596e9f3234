//! What happened, read from the controller's leader by way of any node.
//!
//! The log of events is with the controller's replicas alone, so a node that does not lead asks the
//! one that does. A leader that has just been deposed may answer late, never wrongly: what it
//! holds was committed.

use std::time::Duration;

use thalweg_catalog::{EventLog, EventPage};
use thalweg_proto::convert::stream_name;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::peer::{ReadEventsRequest, ReadEventsResponse, read_events_response};
use thalweg_proto::v1::{self, ListEventsRequest, ListEventsResponse};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::forward::{find_leader, must_be_member};
use crate::node::Node;

/// Events of one answer at most.
const PAGE_MAX: u32 = 1_000;
/// Events of one answer when the caller does not say.
const PAGE_DEFAULT: u32 = 100;
/// Longest wait for a first event.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// A leader that does not answer within this time, beyond the wait, is looked for again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two attempts while nobody leads.
const PAUSE: Duration = Duration::from_millis(50);

/// What is asked of the leader.
struct Query {
    request: ReadEventsRequest,
    wait: Duration,
}

impl Cluster {
    pub(super) async fn events(&self, request: ListEventsRequest) -> Result<ListEventsResponse, WireError> {
        must_be_member(self.node())?;
        let ListEventsRequest { after, limit, stream_name: stream, wait_ms } = request;
        if !stream.is_empty() {
            stream_name(&stream)?;
        }
        let limit = if limit == 0 { PAGE_DEFAULT } else { limit.min(PAGE_MAX) };
        let wait = Duration::from_millis(wait_ms.into()).min(WAIT_MAX);
        let request = ReadEventsRequest { after, limit, stream_name: stream, wait_ms: wait.as_millis() as u32 };
        let page = ask_leader(self.node(), &Query { request, wait }, self.deadline() + wait).await?;
        Ok(to_wire(&page))
    }
}

/// Asks whoever leads until somebody answers. Reading twice does no harm.
async fn ask_leader(node: &Node, query: &Query, deadline: Instant) -> Result<EventPage, WireError> {
    let (mut hint, mut why) = (None, "the controller has no leader".to_owned());
    while Instant::now() < deadline {
        if node.leads() {
            return read(node, &query.request).await;
        }
        let address = match hint.take() {
            Some(hint) => Some(hint),
            None => find_leader(node).await,
        };
        match address {
            Some(address) => match ask(node, query, &address).await {
                Ok(read_events_response::Outcome::Page(bytes)) => {
                    return EventPage::decode(&bytes).map_err(|error| unavailable(error.to_string()));
                }
                Ok(read_events_response::Outcome::Redirect(other)) => hint = Some(other).filter(|to| !to.is_empty()),
                Err(reason) => why = format!("controller at {address}: {reason}"),
            },
            None => why = "the controller has no leader".to_owned(),
        }
        if hint.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Err(unavailable(why))
}

async fn ask(node: &Node, query: &Query, address: &str) -> Result<read_events_response::Outcome, String> {
    let mut peer = node.dialer.peer(address).map_err(|error| error.to_string())?;
    let asked = tokio::time::timeout(query.wait + ANSWER_TIMEOUT, peer.read_events(query.request.clone())).await;
    let answer = asked.map_err(|_| "no answer".to_owned())?.map_err(|status| status.message().to_owned())?;
    answer.into_inner().outcome.ok_or_else(|| "an empty answer".to_owned())
}

fn unavailable(why: String) -> WireError {
    WireError::new(Reason::Unavailable, why)
}

/// The leader's answer to another node.
pub(super) async fn answer(node: &Node, request: ReadEventsRequest) -> Result<ReadEventsResponse, WireError> {
    let outcome = if node.leads() {
        read_events_response::Outcome::Page(read(node, &request).await?.encode().into())
    } else {
        let leader = node.elected().filter(|leader| *leader != node.id());
        let address = leader.and_then(|leader| node.peer_address(leader));
        read_events_response::Outcome::Redirect(address.unwrap_or_default())
    };
    Ok(ReadEventsResponse { outcome: Some(outcome) })
}

/// Reads this node's own log; waits for a first event for as long as was asked.
async fn read(node: &Node, request: &ReadEventsRequest) -> Result<EventPage, WireError> {
    let stream = match &*request.stream_name {
        "" => None,
        name => Some(stream_name(name)?),
    };
    let page = |log: &EventLog| log.page(request.after, request.limit.clamp(1, PAGE_MAX) as usize, stream.as_ref());
    let wait = Duration::from_millis(request.wait_ms.into()).min(WAIT_MAX);
    let mut events = node.events.subscribe();
    let first = async {
        let found = events.wait_for(|log| !page(log).events.is_empty()).await;
        found.map(|log| page(&log)).ok()
    };
    tokio::select! {
        biased;
        Some(found) = first => return Ok(found),
        () = tokio::time::sleep(wait) => {}
        () = node.stop.cancelled() => {}
    }
    let newest = node.events.borrow().clone();
    Ok(page(&newest))
}

fn to_wire(page: &EventPage) -> ListEventsResponse {
    let event = |event: &std::sync::Arc<thalweg_catalog::Event>| {
        let (closed, opened) = event.kind.shards();
        v1::Event {
            number: event.number,
            at_ms: event.at.0,
            kind: event.kind.name().to_owned(),
            stream_name: event.kind.stream().map_or_else(String::new, ToString::to_string),
            node_id: event.kind.node().map_or(0, |node| node.0),
            what: event.kind.what(),
            why: event.kind.why(),
            closed_shards: closed.iter().map(ToString::to_string).collect(),
            opened_shards: opened.iter().map(ToString::to_string).collect(),
        }
    };
    let events = page.events.iter().map(event).collect();
    ListEventsResponse { events, next_after: page.next_after, gap: page.gap }
}
