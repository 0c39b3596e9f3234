//! Following one shard page by page, whatever breaks.
//!
//! ```text
//!   Opening ──answered──► Following ──page──► caller
//!      ▲  (pause, image, choice of node)  │
//!      └───────── broken ─────────────────┘   definite error or the shard's end ──► Ended
//! ```
//! Holds: after a break reading goes on at the index that the last page named, so nothing is
//! missed or repeated; a connection that stays silent longer than the server ever is counts as
//! broken. A tail follows one incarnation of its stream: another one under the same name is
//! another stream. Nothing is lost when a call of [`Tail::next`] is dropped before it returns.
//!
//! A tail reads only while it is polled. One that is not pins at most 1 MiB of received bytes in
//! this process and one page at the node, and holds up nobody: see [`connections`].

pub(crate) mod connections;
mod open;
mod route;

use std::time::Duration;

use futures::future::BoxFuture;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1;
use thalweg_types::{ShardId, StreamId, StreamName};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::call::{MISSING_GRACE, Repeat, Verdict, leader_hint, may_pass, verdict};
use crate::client::Client;
use crate::read::{Position, ReadPage, decode};
use crate::routing::{Routing, RoutingError};
use open::{Attempt, Broken, Following};
use route::Route;

/// Damaged pages in a row before reading is given up.
const DAMAGED_MAX: u32 = 5;

/// Who follows a shard: of the tails under one name, the shard's leader serves one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// Names the place; 1 to 512 bytes.
    pub name: String,
    /// Tells this tail from others of its name; draw it at random.
    pub id: u64,
}

/// How to follow a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailOptions {
    /// The name to follow under; default none, and then any number of tails may follow a shard.
    pub subscriber: Option<Subscriber>,
    /// Bytes of batches in one page; at least one batch comes anyway. Default 256 KiB.
    pub max_bytes: u32,
    /// Whether pages without records are told as well: one comes when the tail is accepted and
    /// one at least every 5 s. Default true.
    pub heartbeats: bool,
}

impl Default for TailOptions {
    fn default() -> Self {
        TailOptions { subscriber: None, max_bytes: 256 * 1024, heartbeats: true }
    }
}

/// Why a tail ended before its shard did. All of them are final.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TailError {
    /// The stream does not exist (any more), or no node told where its shards are.
    #[error(transparent)]
    Routing(#[from] RoutingError),
    /// The stream has no such shard, or retention has removed it.
    #[error("the stream has no {shard}")]
    ShardNotFound {
        /// The shard.
        shard: ShardId,
    },
    /// Another tail of this subscriber began less than 5 s ago.
    #[error("{shard} has another subscription of this subscriber: {error}")]
    AlreadySubscribed {
        /// The shard.
        shard: ShardId,
        /// What the leader said.
        error: WireError,
    },
    /// Another tail of this subscriber follows the shard now.
    #[error("another subscription of this subscriber took over {shard}: {error}")]
    TakenOver {
        /// The shard.
        shard: ShardId,
        /// What the leader said.
        error: WireError,
    },
    /// The shard has as many subscribers as it may have.
    #[error("{shard} has no room for a subscriber: {error}")]
    LimitExceeded {
        /// The shard.
        shard: ShardId,
        /// What the leader said.
        error: WireError,
    },
    /// The cluster refuses for good, for example a position in another shard.
    #[error("cannot read {shard}: {error}")]
    Refused {
        /// The shard.
        shard: ShardId,
        /// Why.
        error: WireError,
    },
    /// No replica sends an intact copy of what lies here.
    #[error("what was read from {shard} is damaged: {what}")]
    Damaged {
        /// The shard.
        shard: ShardId,
        /// What is wrong.
        what: String,
    },
}

/// Yields the pages of one shard. Made by [`Client::tail`]; reading stops when it is dropped.
pub struct Tail {
    client: Client,
    routing: Routing,
    shard: ShardId,
    options: TailOptions,
    position: Position,
    stream: Option<StreamId>,
    route: Route,
    backoff: Backoff,
    damaged: u32,
    missing_since: Option<Instant>,
    stage: Stage,
}

enum Stage {
    Opening(BoxFuture<'static, Result<Following, Broken>>),
    Following(Box<Following>),
    Ended,
}

impl Client {
    /// Follows a shard from `position`, across failovers and broken connections, until it ends.
    /// Nothing is sent before the tail is polled; [`Position::Latest`] means what is newest when
    /// the first page comes.
    pub fn tail(&self, stream: &StreamName, shard: ShardId, position: Position, options: TailOptions) -> Tail {
        Tail::begin(self.clone(), self.routing(stream), shard, position, options)
    }
}

impl Tail {
    pub(crate) fn begin(
        client: Client,
        routing: Routing,
        shard: ShardId,
        position: Position,
        options: TailOptions,
    ) -> Tail {
        let mut tail = Tail {
            backoff: Backoff::seeded(client.random().seed()),
            route: Route::default(),
            stream: None,
            damaged: 0,
            missing_since: None,
            stage: Stage::Ended,
            client,
            routing,
            shard,
            options,
            position,
        };
        tail.stage = tail.opening(Duration::ZERO);
        tail
    }

    /// The next page. Nothing after a page with [`ReadPage::end`], nor after an error. May be
    /// dropped before it returns, and called again.
    pub async fn next(&mut self) -> Option<Result<ReadPage, TailError>> {
        loop {
            match self.next_sized().await? {
                Ok((page, _)) if !self.options.heartbeats && page.records.is_empty() && page.end.is_none() => {}
                page => return Some(page.map(|(page, _)| page)),
            }
        }
    }

    /// The next page, empty or not, and the bytes of its batches.
    pub(crate) async fn next_sized(&mut self) -> Option<Result<(ReadPage, usize), TailError>> {
        loop {
            let broken = match &mut self.stage {
                Stage::Ended => return None,
                Stage::Opening(attempt) => match attempt.await {
                    Ok(following) => {
                        self.stream = Some(following.stream());
                        self.stage = Stage::Following(Box::new(following));
                        continue;
                    }
                    Err(broken) => broken,
                },
                Stage::Following(following) => match following.page().await {
                    Ok(page) => match self.take(page) {
                        Ok(taken) => return Some(Ok(taken)),
                        Err(broken) => broken,
                    },
                    Err(broken) => broken,
                },
            };
            self.stage = Stage::Ended;
            if let Err(error) = self.note(broken) {
                return Some(Err(error));
            }
            let pause = self.backoff.next_elsewhere();
            self.stage = self.opening(pause);
        }
    }

    fn opening(&mut self, pause: Duration) -> Stage {
        let attempt = Attempt {
            client: self.client.clone(),
            routing: self.routing.clone(),
            shard: self.shard,
            options: self.options.clone(),
            position: self.position,
            stream: self.stream,
            route: self.route.for_one_attempt(),
            pause,
        };
        Stage::Opening(Box::pin(attempt.run()))
    }

    fn take(&mut self, page: v1::ReadResponse) -> Result<(ReadPage, usize), Broken> {
        let from_index = match self.position {
            Position::Index(index) => index,
            _ => 0,
        };
        let bytes = page.batches.iter().map(|stored| stored.batch.len()).sum();
        let page = decode(self.shard, page, from_index).map_err(|what| self.damaged(what))?;
        self.backoff.reset();
        self.route.reset();
        (self.damaged, self.missing_since) = (0, None);
        self.position = Position::Index(page.next_index);
        if page.end.is_some() {
            self.stage = Stage::Ended;
        }
        Ok((page, bytes))
    }

    fn damaged(&self, what: String) -> Broken {
        match &self.stage {
            Stage::Following(following) => following.damaged(what),
            _ => unreachable!("pages come from a node that is followed"),
        }
    }

    /// Prepares the next attempt, unless there is none to make.
    fn note(&mut self, broken: Broken) -> Result<(), TailError> {
        let shard = self.shard;
        match broken {
            Broken::Final(error) => return Err(error),
            Broken::Missing => {
                let since = *self.missing_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= MISSING_GRACE {
                    return Err(TailError::ShardNotFound { shard });
                }
            }
            Broken::Failed { address, error } => {
                tracing::debug!(%shard, address, %error, "tail broke");
                match verdict(&error, Repeat::Harmless) {
                    Verdict::GiveUp if !may_pass(error.reason) => return Err(definite(shard, error)),
                    Verdict::TryAt(_) => self.route.follow(leader_hint(&error)),
                    _ => self.route.pass_over(&address),
                }
            }
            Broken::Damaged { address, what } => {
                tracing::warn!(%shard, address, what, "damaged page");
                self.damaged += 1;
                self.route.pass_over(&address);
                if self.damaged >= DAMAGED_MAX {
                    return Err(TailError::Damaged { shard, what });
                }
                return Ok(());
            }
        }
        self.routing.note_stale();
        Ok(())
    }
}

fn definite(shard: ShardId, error: WireError) -> TailError {
    match error.reason {
        Reason::AlreadySubscribed => TailError::AlreadySubscribed { shard, error },
        Reason::TakenOver => TailError::TakenOver { shard, error },
        Reason::LimitExceeded => TailError::LimitExceeded { shard, error },
        _ => TailError::Refused { shard, error },
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tail { shard, position, options, .. } = self;
        f.debug_struct("Tail").field("shard", shard).field("position", position).field("options", options).finish()
    }
}
