//! `thalweg admin events`: what happened to the cluster, and why.

use clap::Args;
use serde_json::{Value, json};
use thalweg_client::{Client, ClusterEvent, ListEvents, ShardId, StreamName};
use tokio::time::Duration;

use crate::cli::{ConnectArgs, Format, OutputArgs};
use crate::human;
use crate::output::{Listing, print_text};

/// Events asked for at a time.
const PAGE: u32 = 1_000;
/// How long a node may wait for the next event before it answers that there is none.
const WAIT: Duration = Duration::from_secs(5);

/// Arguments of `thalweg admin events`.
#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    /// Only what happened to this stream
    #[arg(long, value_name = "STREAM")]
    stream: Option<StreamName>,
    /// Show so many of the last events; the cluster keeps 1,000
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
    last: usize,
    /// Go on with what happens from now on
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub(super) async fn run(args: EventsArgs) -> anyhow::Result<()> {
    let client = args.connect.client()?;
    let format = args.output.format();
    let (events, mut after) = kept(&client, &args).await?;
    let shown = &events[events.len().saturating_sub(args.last)..];
    if !args.follow {
        let mut listing = Listing::new(&["TIME", "STREAM", "EVENT", "WHY"]);
        shown.iter().for_each(|event| listing.push(cells(event), object(event)));
        return Ok(listing.print(format)?);
    }
    print_lines(format, shown)?;
    loop {
        let next = wanted(&args, after, WAIT);
        let page = client.cluster().events(&next).await?;
        if page.gap {
            eprintln!("some events are gone already: there were more than the cluster keeps");
        }
        print_lines(format, &page.events)?;
        after = page.next_after;
    }
}

/// Everything that the cluster keeps of what is asked for, and where to go on.
async fn kept(client: &Client, args: &EventsArgs) -> anyhow::Result<(Vec<ClusterEvent>, u64)> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = client.cluster().events(&wanted(args, after, Duration::ZERO)).await?;
        after = page.next_after;
        if page.events.is_empty() {
            return Ok((events, after));
        }
        events.extend(page.events);
    }
}

fn wanted(args: &EventsArgs, after: u64, wait: Duration) -> ListEvents {
    ListEvents { after, limit: Some(PAGE), stream: args.stream.clone(), wait }
}

fn print_lines(format: Format, events: &[ClusterEvent]) -> std::io::Result<()> {
    let line = |event: &ClusterEvent| match format {
        Format::Json => format!("{}\n", object(event)),
        Format::Table => format!("{}\n", text(event)),
    };
    print_text(&events.iter().map(line).collect::<String>())
}

/// One line without columns: what follows is not known yet, so nothing can be aligned.
fn text(event: &ClusterEvent) -> String {
    let stream = event.stream.as_ref().map_or_else(String::new, |stream| format!("{stream}: "));
    let why = if event.why.is_empty() { String::new() } else { format!(" ({})", event.why) };
    format!("{}  {stream}{}{why}", human::instant(event.at), event.what)
}

fn cells(event: &ClusterEvent) -> Vec<String> {
    let stream = event.stream.as_ref().map_or_else(String::new, ToString::to_string);
    vec![human::instant(event.at), stream, event.what.clone(), event.why.clone()]
}

fn object(event: &ClusterEvent) -> Value {
    let shards = |ids: &[ShardId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "number": event.number,
        "time": human::instant(event.at),
        "kind": event.kind,
        "stream": event.stream.as_ref().map(ToString::to_string),
        "node": event.node.map(|node| node.0),
        "what": event.what,
        "why": event.why,
        "closed": shards(&event.closed),
        "opened": shards(&event.opened),
    })
}

#[cfg(test)]
mod tests {
    use thalweg_client::UnixMillis;

    use super::*;

    fn split() -> ClusterEvent {
        ClusterEvent {
            number: 12,
            at: UnixMillis(1_800_000_000_000),
            kind: "shard_split".to_owned(),
            stream: Some("orders".parse().unwrap()),
            node: None,
            what: "split shardId-000000000003 into shardId-000000000004 and shardId-000000000005".to_owned(),
            why: "812 KiB/s, 40 records/s for 3 min".to_owned(),
            closed: vec![ShardId(3)],
            opened: vec![ShardId(4), ShardId(5)],
        }
    }

    #[test]
    fn people_read_when_what_and_why_in_one_line() {
        let expected = "2027-01-15T08:00:00.000Z  orders: split shardId-000000000003 into shardId-000000000004 and \
                        shardId-000000000005 (812 KiB/s, 40 records/s for 3 min)";
        assert_eq!(text(&split()), expected);
    }

    #[test]
    fn programs_get_the_kind_and_the_shards_apart() {
        let object = object(&split());
        assert_eq!((object["kind"].as_str(), object["node"].is_null()), (Some("shard_split"), true));
        assert_eq!(object["opened"], json!(["shardId-000000000004", "shardId-000000000005"]));
    }
}
