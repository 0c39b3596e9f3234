//! `thalweg admin`: nodes and leaders.

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use serde_json::json;
use thalweg_client::{Client, ClusterDescription, NodeDescription, NodeId, NodeState, ShardId, StreamName};
use tokio::time::{Duration, sleep};

use crate::cli::{ConnectArgs, OutputArgs};
use crate::output::{Listing, print_facts};
use crate::progress;

/// How often a draining node is asked how far it is.
const DRAIN_POLL: Duration = Duration::from_millis(500);

/// What to do with nodes and leaders.
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
    let mut left =
        if args.cancel { client.cluster().cancel_drain(node).await? } else { client.cluster().drain(node).await? };
    if !args.cancel && !args.no_wait {
        left = wait_until_empty(&client, node, left).await?;
    }
    let state = match (args.cancel, left.replicas_left + left.leaders_left) {
        (true, _) => "in service",
        (false, 0) => "drained",
        (false, _) => "draining",
    };
    let facts = [
        ("node", node.to_string()),
        ("state", state.to_owned()),
        ("replicas left", left.replicas_left.to_string()),
        ("leaders left", left.leaders_left.to_string()),
    ];
    let object = json!({
        "node": node.0, "state": state,
        "replicas_left": left.replicas_left, "leaders_left": left.leaders_left,
    });
    Ok(print_facts(args.output.format(), &facts, &object)?)
}

async fn wait_until_empty(
    client: &Client,
    node: NodeId,
    mut left: thalweg_client::DrainProgress,
) -> anyhow::Result<thalweg_client::DrainProgress> {
    let bar: ProgressBar = progress::bar(u64::from(left.replicas_left), format!("draining node {node}"));
    while left.replicas_left + left.leaders_left > 0 {
        bar.set_length(bar.length().unwrap_or(0).max(u64::from(left.replicas_left)));
        bar.set_position(bar.length().unwrap_or(0) - u64::from(left.replicas_left));
        sleep(DRAIN_POLL).await;
        left = client.cluster().drain(node).await?;
    }
    bar.finish_and_clear();
    Ok(left)
}

async fn remove(args: RemoveArgs) -> anyhow::Result<()> {
    super::stream::confirm::by_name("remove node", &args.node.to_string(), args.yes)?;
    Ok(args.connect.client()?.cluster().remove(NodeId(args.node)).await?)
}

async fn transfer(args: TransferArgs) -> anyhow::Result<()> {
    let client = args.connect.client()?;
    Ok(client.cluster().transfer_leader(&args.stream, args.shard, NodeId(args.to)).await?)
}
