//! Asking before something is destroyed: on a terminal its name must be typed.

use std::io::{BufRead, IsTerminal, Write};

use crate::exit::Failure;

/// Returns when the harm is wanted: `--yes`, or the name typed on a terminal.
pub(crate) fn by_name(what: &str, name: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("to {what} `{name}` without a terminal to ask on, add --yes")).into());
    }
    eprint!("This will {what} `{name}` and its data for good. Type the name to go on: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == name { Ok(()) } else { Err(Failure::usage("not confirmed; nothing was done").into()) }
}
