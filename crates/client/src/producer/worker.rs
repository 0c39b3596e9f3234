//! The task behind a producer: carries events to [`State`] and its effects out to links.
//!
//! Holds: at most one link to a node at a time, so that when it is lost exactly its requests are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use thalweg_types::StreamName;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};

use super::Offer;
use super::limits::Limits;
use super::link::{Event, Link};
use super::state::{Effect, State};
use crate::Client;
use crate::pool::Pool;
use crate::routing::{Routing, RoutingState};

/// Offers or events taken before the state is advanced.
const TAKE_MAX: usize = 1024;
/// Shortest sleep, so that a timer in the past cannot spin.
const SLEEP_MIN: Duration = Duration::from_millis(1);
/// Longest sleep when nothing is due.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

struct Worker {
    state: State,
    pool: Arc<Pool>,
    routing: Routing,
    links: HashMap<String, Link>,
    next_link: u64,
    events: mpsc::UnboundedSender<Event>,
}

/// Starts the task. It ends when the producer is dropped and every record has its outcome, or
/// when the stream is gone; `room` is closed then.
pub(super) fn start(
    client: &Client,
    stream: &StreamName,
    limits: Limits,
    queue: mpsc::UnboundedReceiver<Offer>,
    room: Arc<Semaphore>,
) {
    let (events, incoming) = mpsc::unbounded_channel();
    let worker = Worker {
        state: State::new(stream.clone(), limits, client.random().producer_id(), client.random().seed()),
        pool: client.pool().clone(),
        routing: client.routing(stream),
        links: HashMap::new(),
        next_link: 0,
        events,
    };
    tokio::spawn(async move {
        worker.run(queue, incoming).await;
        room.close();
    });
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Offer>, mut incoming: mpsc::UnboundedReceiver<Event>) {
        let mut routing = self.routing.watch();
        routing.mark_changed();
        let mut taken = Vec::with_capacity(TAKE_MAX);
        let mut heard = Vec::new();
        let mut closed = false;
        while !(closed && self.state.is_empty()) {
            let wake = self.wake_at();
            tokio::select! {
                count = queue.recv_many(&mut taken, TAKE_MAX), if !closed => closed = count == 0,
                _ = incoming.recv_many(&mut heard, TAKE_MAX) => {}
                changed = routing.changed() => {
                    let state = routing.borrow_and_update().clone();
                    if changed.is_err() || !self.route(state) {
                        return self.end(queue);
                    }
                }
                () = sleep_until(wake) => {}
            }
            let now = Instant::now();
            heard.drain(..).for_each(|event| self.hear(event, now));
            taken.drain(..).for_each(|offer| self.offer(offer, now));
            self.state.advance(now);
            self.perform();
        }
    }

    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        self.state.wake_at().unwrap_or(now + SLEEP_MAX).clamp(now + SLEEP_MIN, now + SLEEP_MAX)
    }

    /// Takes a routing state; false when the stream is gone.
    fn route(&mut self, state: RoutingState) -> bool {
        match state {
            RoutingState::Unknown(_) => true,
            RoutingState::Known(image) => {
                self.state.image(image, Instant::now());
                true
            }
            RoutingState::Gone => false,
        }
    }

    fn end(mut self, mut queue: mpsc::UnboundedReceiver<Offer>) {
        self.state.gone();
        queue.close();
        while let Ok(offer) = queue.try_recv() {
            self.offer(offer, Instant::now());
        }
    }

    fn offer(&mut self, offer: Offer, now: Instant) {
        match offer {
            Offer::One(pending) => self.state.offer(pending, now),
            Offer::Many(all) => all.into_iter().for_each(|pending| self.state.offer(pending, now)),
        }
    }

    fn hear(&mut self, event: Event, now: Instant) {
        match event {
            Event::Answer(answer) => self.state.answer(answer, now),
            Event::Lost { address, link, sent, why } => {
                if self.links.get(&address).is_some_and(|running| running.id == link) {
                    tracing::debug!(address, why, "append link lost");
                    self.links.remove(&address);
                    self.state.link_lost(&address, sent, &why, now);
                }
            }
        }
    }

    fn perform(&mut self) {
        for effect in self.state.take_effects() {
            match effect {
                Effect::Send { address, request } => {
                    // A link that ended meanwhile reports so, and this request counts as lost with it.
                    let _ = self.link(address).requests.send(request);
                }
                Effect::NoteLeader { shard, address } => self.routing.note_leader(shard, &address),
                Effect::NoteStale => self.routing.note_stale(),
            }
        }
    }

    fn link(&mut self, address: String) -> &Link {
        self.links.entry(address).or_insert_with_key(|address| {
            self.next_link += 1;
            Link::open(self.next_link, address.clone(), self.pool.clone(), self.events.clone())
        })
    }
}
