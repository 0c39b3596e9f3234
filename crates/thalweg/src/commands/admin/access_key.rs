//! `thalweg admin access-key`: the keys with which clients of the Kinesis API sign.
//!
//! Holds: no secret is taken from the command line, where other users of the machine could read it.

use std::io::{BufRead, IsTerminal, Write};

use clap::{Args, Subcommand};
use serde_json::json;
use thalweg_client::{NewAccessKey, Secret};

use crate::cli::{ConnectArgs, OutputArgs};
use crate::exit::Failure;
use crate::human;
use crate::output::{Listing, print_facts};

/// What to do with access keys.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessKeyCommand {
    /// Make an access key; its secret is shown this once
    Create(CreateArgs),
    /// List the access keys, without their secrets
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Delete an access key: requests signed with it are refused from now on
    Rm(RmArgs),
}

/// Arguments of `thalweg admin access-key create`.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Import a key that exists elsewhere; its secret is read from standard input
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Whose it is, for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `thalweg admin access-key ls`.
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `thalweg admin access-key rm`.
#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    /// The key's id
    id: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the command.
pub(super) async fn run(command: AccessKeyCommand) -> anyhow::Result<()> {
    match command {
        AccessKeyCommand::Create(args) => create(args).await,
        AccessKeyCommand::Ls(args) => ls(args).await,
        AccessKeyCommand::Rm(args) => {
            args.connect.client()?.cluster().delete_access_key(&args.id).await?;
            eprintln!("access key {} is deleted", args.id);
            Ok(())
        }
    }
}

async fn create(args: CreateArgs) -> anyhow::Result<()> {
    let import = match args.id {
        Some(id) => Some((id, read_secret()?)),
        None => None,
    };
    let wanted = NewAccessKey { import, description: args.description };
    let key = args.connect.client()?.cluster().create_access_key(wanted).await?;
    // The names under which every SDK of AWS takes them.
    let facts = [("AWS_ACCESS_KEY_ID", key.id.clone()), ("AWS_SECRET_ACCESS_KEY", key.secret.reveal().to_owned())];
    let object = json!({
        "id": key.id,
        "secret": key.secret.reveal(),
        "description": key.description,
        "created": human::instant(key.created_at),
    });
    print_facts(args.output.format(), &facts, &object)?;
    eprintln!("keep the secret: it is not shown again");
    Ok(())
}

/// The first line of standard input; on a terminal it is asked for.
fn read_secret() -> anyhow::Result<Secret> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprint!("Secret of the key: ");
        std::io::stderr().flush()?;
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    match line.trim() {
        "" => Err(Failure::usage("no secret came from standard input: pipe in the secret of the key").into()),
        secret => Ok(Secret::new(secret)),
    }
}

async fn ls(args: LsArgs) -> anyhow::Result<()> {
    let mut listing = Listing::new(&["ID", "CREATED", "DESCRIPTION"]);
    for key in args.connect.client()?.cluster().access_keys().await? {
        let created = human::instant(key.created);
        let object = json!({ "id": key.id, "created": created, "description": key.description });
        listing.push(vec![key.id, created, key.description], object);
    }
    Ok(listing.print(args.output.format())?)
}
