//! `thalweg completions`: a script that makes a shell complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::output::print_text;

/// Arguments of `thalweg completions`.
#[derive(Args, Debug)]
#[command(after_help = "For example: thalweg completions bash > ~/.local/share/bash-completion/completions/thalweg")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "thalweg", &mut script);
    Ok(print_text(&String::from_utf8(script)?)?)
}
