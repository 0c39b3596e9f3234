//! `thalweg admin`: nodes, leaders, events and access keys.
//!
//! Access keys are in [`access_key`], what happened in [`events`].

mod access_key;
mod events;

use clap::{Args, Subcommand};
use serde_json::json;
use thalweg_client::{
    Client, ClusterDescription, DrainProgress, NodeDescription, NodeId, NodeState, ShardId, StreamName,
};
use tokio::time::{Duration, Instant, sleep};

use crate::cli::{ConnectArgs, OutputArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Listing, print_facts};
use crate::progress;

/// How often a draining node is asked how far it is.
const DRAIN_POLL: Duration = Duration::from_millis(500);

/// What to do with nodes, leaders and access keys.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// List the nodes, what they hold and who leads
    Nodes(NodesArgs),
    /// Move everything off a node without a failed write, and wait until that is done
    Drain(DrainArgs),
    /// Declare a node gone for good; its replicas are rebuilt on others
    Remove(RemoveArgs),
    /// Hand the lead of a shard to another of its replicas
    TransferLeader(TransferArgs),
    /// Show what happened to nodes, streams and shards, and why
    Events(events::EventsArgs),
    /// Make, list and delete the keys with which clients of the Kinesis API sign
    #[command(subcommand)]
    AccessKey(access_key::AccessKeyCommand),
}

/// Arguments of `thalweg admin nodes`.
#[derive(Args, Debug)]
pub(crate) struct NodesArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `thalweg admin drain`.
#[derive(Args, Debug)]
pub(crate) struct DrainArgs {
    /// The node's id
    node: u64,
    /// Take the node back into service instead
    #[arg(long)]
    cancel: bool,
    /// Return at once; call again to see how far it is
    #[arg(long, conflicts_with = "cancel")]
    no_wait: bool,
    /// How long to wait until that is done
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    wait: Duration,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `thalweg admin remove`.
#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// The node's id; it is never used again
    node: u64,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Arguments of `thalweg admin transfer-leader`.
#[derive(Args, Debug)]
pub(crate) struct TransferArgs {
    /// The stream
    stream: StreamName,
    /// The shard
    shard: ShardId,
    /// The node that is to lead it
    #[arg(long, value_name = "NODE")]
    to: u64,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the command.
pub(crate) async fn run(command: AdminCommand) -> anyhow::Result<()> {
    match command {
        AdminCommand::Nodes(args) => nodes(args).await,
        AdminCommand::Drain(args) => drain(args).await,
        AdminCommand::Remove(args) => remove(args).await,
        AdminCommand::TransferLeader(args) => transfer(args).await,
        AdminCommand::Events(args) => events::run(args).await,
        AdminCommand::AccessKey(command) => access_key::run(command).await,
    }
}

async fn nodes(args: NodesArgs) -> anyhow::Result<()> {
    let cluster = args.connect.client()?.cluster().describe().await?;
    let mut listing =
        Listing::new(&["NODE", "STATE", "ZONE", "LEADERS", "REPLICAS", "CONTROLLER", "PUBLIC", "PEER", "ADMIN"]);
    for node in &cluster.nodes {
        listing.push(cells(node, &cluster), object(node, &cluster));
    }
    Ok(listing.print(args.output.format())?)
}

fn cells(node: &NodeDescription, cluster: &ClusterDescription) -> Vec<String> {
    let state = if node.connected { state(node.state).to_owned() } else { format!("{}, silent", state(node.state)) };
    vec![
        node.id.to_string(),
        state,
        node.zone.clone(),
        node.leader_count.to_string(),
        node.replica_count.to_string(),
        controller_role(node, cluster).unwrap_or("").to_owned(),
        node.public_address.clone(),
        node.peer_address.clone(),
        node.admin_address.clone(),
    ]
}

fn object(node: &NodeDescription, cluster: &ClusterDescription) -> serde_json::Value {
    json!({
        "node": node.id.0,
        "state": state(node.state),
        "connected": node.connected,
        "zone": node.zone,
        "leaders": node.leader_count,
        "replicas": node.replica_count,
        "controller": controller_role(node, cluster),
        "public_address": node.public_address,
        "peer_address": node.peer_address,
        "admin_address": node.admin_address,
    })
}

fn controller_role(node: &NodeDescription, cluster: &ClusterDescription) -> Option<&'static str> {
    match (cluster.controller_leader == Some(node.id), node.controller_voter) {
        (true, _) => Some("leader"),
        (false, true) => Some("voter"),
        (false, false) => None,
    }
}

fn state(state: NodeState) -> &'static str {
    match state {
        NodeState::Unspecified => "unknown",
        NodeState::Active => "active",
        NodeState::Draining => "draining",
        NodeState::Dead => "dead",
        NodeState::Removed => "removed",
    }
}

async fn drain(args: DrainArgs) -> anyhow::Result<()> {
    let client = args.connect.client()?;
    let node = NodeId(args.node);
    if args.cancel {
        let left = client.cluster().cancel_drain(node).await?;
        return show_drain(&args, "in service", left);
    }
    let mut left = client.cluster().drain(node).await?;
    let replicas_fit = others_hold_all(&client, node).await?;
    if !args.no_wait {
        left = wait_until_drained(&client, &args, left, replicas_fit).await?;
    }
    if !replicas_fit && left.replicas_left > 0 {
        eprintln!("the other nodes are too few to hold every replica; those of node {node} stay, without leading");
    }
    let state = match (left.leaders_left, left.replicas_left) {
        (0, 0) => "drained",
        (0, _) if !replicas_fit => "leads nothing",
        _ => "draining",
    };
    show_drain(&args, state, left)
}

fn show_drain(args: &DrainArgs, state: &str, left: DrainProgress) -> anyhow::Result<()> {
    let facts = [
        ("node", args.node.to_string()),
        ("state", state.to_owned()),
        ("replicas left", left.replicas_left.to_string()),
        ("leaders left", left.leaders_left.to_string()),
    ];
    let object = json!({
        "node": args.node, "state": state,
        "replicas_left": left.replicas_left, "leaders_left": left.leaders_left,
    });
    Ok(print_facts(args.output.format(), &facts, &object)?)
}

/// Whether the other nodes are enough for the replicas of every stream.
async fn others_hold_all(client: &Client, node: NodeId) -> anyhow::Result<bool> {
    let nodes = client.cluster().describe().await?.nodes;
    let serves = |other: &&NodeDescription| other.id != node && other.connected && other.state == NodeState::Active;
    let others = nodes.iter().filter(serves).count();
    let streams = client.streams().list().await?;
    Ok(streams.iter().all(|stream| stream.replication as usize <= others))
}

/// Waits until the node leads nothing and, where the others can take them, holds no replica.
async fn wait_until_drained(
    client: &Client,
    args: &DrainArgs,
    mut left: DrainProgress,
    replicas_fit: bool,
) -> anyhow::Result<DrainProgress> {
    let deadline = Instant::now() + args.wait;
    let bar = progress::bar(0, format!("draining node {}", args.node));
    let count = |left: DrainProgress| left.leaders_left + if replicas_fit { left.replicas_left } else { 0 };
    while count(left) > 0 {
        let total = bar.length().unwrap_or(0).max(u64::from(count(left)));
        bar.set_length(total);
        bar.set_position(total - u64::from(count(left)));
        if Instant::now() >= deadline {
            let waited = humantime::format_duration(args.wait);
            let DrainProgress { replicas_left, leaders_left } = left;
            let text = format!(
                "node {} has {replicas_left} replicas and {leaders_left} leaders left after {waited}; \
                 it goes on by itself, and the same command shows how far",
                args.node
            );
            return Err(Failure::new(Exit::Unavailable, text).into());
        }
        sleep(DRAIN_POLL).await;
        left = client.cluster().drain(NodeId(args.node)).await?;
    }
    bar.finish_and_clear();
    Ok(left)
}

async fn remove(args: RemoveArgs) -> anyhow::Result<()> {
    super::stream::confirm::by_name("remove node", &args.node.to_string(), args.yes)?;
    args.connect.client()?.cluster().remove(NodeId(args.node)).await?;
    eprintln!("node {} is removed; its replicas are being rebuilt on others", args.node);
    Ok(())
}

async fn transfer(args: TransferArgs) -> anyhow::Result<()> {
    let client = args.connect.client()?;
    client.cluster().transfer_leader(&args.stream, args.shard, NodeId(args.to)).await?;
    eprintln!("node {} is asked to lead {} of `{}`", args.to, args.shard, args.stream);
    Ok(())
}
