//! Reading what a stream holds now, and no more.
//!
//! Holds: shards are read by rising id, so that parents come before their children; what is
//! written after the command began may be left out.

use thalweg_client::{Client, ListShards, Position, ReadOptions, ShardDescription};
use thalweg_types::UnixMillis;

use super::print::Printer;
use super::{Sieve, TailArgs};

/// Prints every record from the start to the present end.
pub(super) async fn run(
    args: &TailArgs,
    mut sieve: Sieve,
    mut printer: Printer,
    now: UnixMillis,
) -> anyhow::Result<()> {
    let client = args.connect.client()?;
    let shards = client.streams().list_shards(&args.stream, ListShards::default()).await?;
    let wanted = |shard: &&ShardDescription| args.shard.is_none_or(|id| id == shard.id);
    let mut wanted: Vec<_> = shards.iter().filter(wanted).map(|shard| shard.id).collect();
    wanted.sort_unstable();
    let mut reads = Vec::new();
    for shard in wanted {
        let end = client.read_page(&args.stream, shard, Position::Latest, ReadOptions::default()).await?;
        reads.push((shard, end.next_index));
    }
    for (shard, end_index) in reads {
        let mut position = args.from.of_shard(shard, now);
        while let Some(next) = page(&client, args, shard, position, end_index, &mut sieve, &mut printer).await? {
            position = next;
        }
        if sieve.is_done() {
            break;
        }
    }
    Ok(())
}

/// Prints one page; returns where the next one begins, if there is one to read.
async fn page(
    client: &Client,
    args: &TailArgs,
    shard: thalweg_client::ShardId,
    position: Position,
    end_index: u64,
    sieve: &mut Sieve,
    printer: &mut Printer,
) -> anyhow::Result<Option<Position>> {
    let page = client.read_page(&args.stream, shard, position, ReadOptions::default()).await?;
    printer.print(&sieve.pass(&page.records))?;
    let read = page.end.is_some() || page.records.is_empty() || page.next_index >= end_index;
    Ok((!read && !sieve.is_done()).then_some(Position::Index(page.next_index)))
}
