//! The Rust client of Thalweg: for applications, the command line, the gateway and benchmarks.
//!
//! ```text
//!   Client ──┬─ streams()   create, describe, split, merge, set, consumers …   any node answers
//!            ├─ cluster()   nodes, draining, leaders, access keys, events      any node answers
//!            ├─ routing()   image of one stream, kept fresh by a watch
//!            ├─ Producer    records → batches → the leader of each shard
//!            ├─ append()    the simple form of it
//!            ├─ raw_appender() packed batches to chosen shards
//!            ├─ Consumer    all shards of a stream, parents before children
//!            ├─ tail()      one shard, followed page by page
//!            └─ read_page() one page of one shard
//! ```
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use thalweg_client::{Client, Options, Record, StartPosition, StreamName};
//!
//! let client = Client::connect(Options::new(["localhost:4567"]))?;
//! let orders: StreamName = "orders".parse()?;
//! client.streams().create(&orders, Default::default()).await?;
//!
//! let producer = client.producer(&orders).build();
//! let delivery = producer.send(Record::new("customer-7", "{}")).await?; // waits for room
//! println!("{}", delivery.await?.sequence_number); // waits until it is durable
//!
//! let mut consumer = client.consumer(&orders).from(StartPosition::TrimHorizon).start().await?;
//! while let Some(batch) = consumer.next().await {
//!     println!("{:?}", batch?.records);
//! }
//! # Ok(())
//! # }
//! ```
//! Holds: an error says whether its write was certainly not applied or perhaps applied. What is
//! retried, and where, is decided by pure code: [`producer`] for records, `call` for the rest.

pub mod access_keys;
pub mod call;
pub mod client;
pub mod cluster;
pub mod connect;
pub mod consumer;
pub mod describe;
pub mod events;
pub mod fan_out;
pub mod options;
pub mod producer;
pub mod raw;
pub mod read;
pub mod routing;
pub mod streams;
pub mod tail;
pub mod wire;

mod append;
mod backoff;
mod charge;
mod pool;
mod random;
#[cfg(test)]
mod testing;

pub use access_keys::{AccessKeyDescription, NewAccessKey};
pub use append::AppendError;
pub use call::CallError;
pub use charge::{Charge, Charged};
pub use client::{Client, ConnectError};
pub use cluster::{Cluster, DrainProgress};
pub use connect::{Connector, TcpConnector};
pub use consumer::{
    Checkpoint, ConsumeError, ConsumedBatch, ConsumedRecord, Consumer, ConsumerBuilder, ShardProgress, StartPosition,
};
pub use describe::{ClusterDescription, NodeDescription, ShardDescription, StreamDescription};
pub use events::{ClusterEvent, EventPage, ListEvents};
pub use options::Options;
pub use producer::{CloseReport, Deliveries, Delivery, ProduceError, Producer, ProducerBuilder, RecordPosition};
pub use raw::{Appended, RawAppender};
pub use read::{Position, ReadError, ReadOptions, ReadPage};
pub use routing::{Image, Routing, RoutingError, ShardRoute};
pub use streams::{CreateStream, ListShards, ScaleProgress, Streams};
pub use tail::{Subscriber, Tail, TailError, TailOptions};

pub use thalweg_catalog::{
    AccessKey, AccountPatch, AccountSettings, Commitment, CommitmentStatus, ConsumerPatch, ConsumerRef, Distribution,
    Edit, FanOutConsumer, LimitsProfile, Refusal, RetentionChange, Secret, ShardLimits, ShardMetric, StreamMode,
    StreamPatch, StreamSettings,
};
pub use thalweg_proto::errors::{Reason, WireError};
pub use thalweg_proto::v1::{Durability, NodeState, ShardFilter, StreamStatus};
pub use thalweg_types::{
    HashKey, HashRange, NodeId, Record, SequenceNumber, ShardId, StreamId, StreamName, UnixMillis,
};
