//! Progress of long work, on stderr and only when that is a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const REDRAW: Duration = Duration::from_millis(100);

/// A spinner with a text that can change; gone once finished.
pub(crate) fn spinner(text: impl Into<String>) -> ProgressBar {
    let spinner = hidden_unless_terminal(ProgressBar::new_spinner());
    spinner.set_style(style("{spinner} {msg} [{elapsed}]"));
    spinner.set_message(text.into());
    spinner.enable_steady_tick(REDRAW);
    spinner
}

/// A bar of `total` steps.
pub(crate) fn bar(total: u64, text: impl Into<String>) -> ProgressBar {
    let bar = hidden_unless_terminal(ProgressBar::new(total));
    bar.set_style(style("{msg} {wide_bar} {pos}/{len} [{elapsed}]"));
    bar.set_message(text.into());
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant")
}

fn hidden_unless_terminal(bar: ProgressBar) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}
