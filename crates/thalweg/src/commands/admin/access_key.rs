//! `thalweg admin access-key`: the keys with which clients of the Kinesis API sign.
//!
//! Holds: no secret is taken from the command line, where other users of the machine could read it.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};

use clap::{Args, Subcommand};
use serde_json::json;
use thalweg_client::{NewAccessKey, Secret};
use thalweg_kinesis::Operation;

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
    /// Let it do only what resource policies of streams and consumers allow it, and what --allow says
    #[arg(long)]
    restricted: bool,
    /// Let it do only what resource policies allow it and, with anything, these actions
    #[arg(long, value_name = "ACTION,...", value_delimiter = ',', value_parser = action)]
    allow: Vec<String>,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl CreateArgs {
    /// Nothing for a key that may do everything.
    fn allowed(&self) -> Option<BTreeSet<String>> {
        let restricted = self.restricted || !self.allow.is_empty();
        restricted.then(|| self.allow.iter().cloned().collect())
    }
}

/// An action, with or without its service, or a pattern of actions.
fn action(text: &str) -> Result<String, String> {
    let action = text.strip_prefix("kinesis:").unwrap_or(text);
    if action.is_empty() {
        return Err("an action is missing".to_owned());
    }
    let is_pattern = action.contains(['*', '?']);
    match is_pattern || Operation::by_name(action).is_some() {
        true => Ok(action.to_owned()),
        false => Err(format!("`{action}` is no operation of Kinesis; `Get*` would be a pattern of some")),
    }
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
    let allowed = args.allowed();
    let import = match args.id {
        Some(id) => Some((id, read_secret()?)),
        None => None,
    };
    let wanted = NewAccessKey { import, description: args.description, allowed };
    let key = args.connect.client()?.cluster().create_access_key(wanted).await?;
    // The names under which every SDK of AWS takes them.
    let facts = [("AWS_ACCESS_KEY_ID", key.id.clone()), ("AWS_SECRET_ACCESS_KEY", key.secret.reveal().to_owned())];
    let object = json!({
        "id": key.id,
        "secret": key.secret.reveal(),
        "description": key.description,
        "created": human::instant(key.created_at),
        "allowed": key.allowed,
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
    let mut listing = Listing::new(&["ID", "CREATED", "MAY", "DESCRIPTION"]);
    for key in args.connect.client()?.cluster().access_keys().await? {
        let created = human::instant(key.created);
        let may = deeds(key.allowed.as_ref());
        let object =
            json!({ "id": key.id, "created": created, "description": key.description, "allowed": key.allowed });
        listing.push(vec![key.id, created, may, key.description], object);
    }
    Ok(listing.print(args.output.format())?)
}

/// What a key may do, in short.
fn deeds(allowed: Option<&BTreeSet<String>>) -> String {
    match allowed {
        None => "everything".to_owned(),
        Some(allowed) if allowed.is_empty() => "by policy".to_owned(),
        Some(allowed) => format!("by policy, {}", allowed.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_operations_or_patterns_of_some() {
        for (given, kept) in [("kinesis:PutRecord", "PutRecord"), ("GetRecords", "GetRecords"), ("*", "*")] {
            assert_eq!(action(given).as_deref(), Ok(kept));
        }
        for bad in ["PutRecrod", "kinesis:", "s3:GetObject", ""] {
            assert!(action(bad).is_err(), "{bad}");
        }
    }
}
