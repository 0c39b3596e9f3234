//! Results on stdout: aligned columns for people, one JSON object a line for programs.
//!
//! Holds: what is printed is complete before the command ends; a failed write comes back as an
//! error, so that a broken pipe ends the command instead of the process.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::cli::{Format, OutputArgs};

impl OutputArgs {
    /// The form asked for, or the one that suits where stdout leads.
    pub(crate) fn format(self) -> Format {
        let suited = if std::io::stdout().is_terminal() { Format::Table } else { Format::Json };
        self.output.unwrap_or(suited)
    }
}

/// Rows of one kind, in both forms.
pub(crate) struct Listing {
    header: &'static [&'static str],
    rows: Vec<Vec<String>>,
    objects: Vec<Value>,
}

impl Listing {
    /// A listing with these columns.
    pub(crate) fn new(header: &'static [&'static str]) -> Listing {
        Listing { header, rows: Vec::new(), objects: Vec::new() }
    }

    /// Adds one thing: its cells and its object.
    pub(crate) fn push(&mut self, cells: Vec<String>, object: Value) {
        self.rows.push(cells);
        self.objects.push(object);
    }

    /// Prints it to stdout.
    pub(crate) fn print(&self, format: Format) -> std::io::Result<()> {
        print_text(&self.render(format))
    }

    /// What is printed.
    pub(crate) fn render(&self, format: Format) -> String {
        match format {
            Format::Json => self.objects.iter().map(|object| format!("{object}\n")).collect(),
            Format::Table => {
                let mut table = plain_table();
                table.set_header(self.header.iter().copied()).add_rows(&self.rows);
                format!("{}\n", trimmed(&table))
            }
        }
    }
}

/// One thing and its facts: a fact a line for people, one object for programs.
pub(crate) fn print_facts(format: Format, facts: &[(&str, String)], object: &Value) -> std::io::Result<()> {
    print_text(&match format {
        Format::Json => format!("{object}\n"),
        Format::Table => render_facts(facts),
    })
}

/// Names and values in two columns.
pub(crate) fn render_facts(facts: &[(&str, String)]) -> String {
    let mut table = plain_table();
    table.add_rows(facts.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]));
    format!("{}\n", trimmed(&table))
}

/// Writes text to stdout.
pub(crate) fn print_text(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The table without the blanks that pad its first and last column.
fn trimmed(table: &Table) -> String {
    let lines = table.lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end()).to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listing() -> Listing {
        let mut listing = Listing::new(&["NAME", "SHARDS"]);
        listing.push(vec!["orders".to_owned(), "4".to_owned()], json!({"name": "orders", "shards": 4}));
        listing.push(vec!["a".to_owned(), "16".to_owned()], json!({"name": "a", "shards": 16}));
        listing
    }

    #[test]
    fn people_get_aligned_columns_without_trailing_blanks() {
        assert_eq!(listing().render(Format::Table), "NAME    SHARDS\norders  4\na       16\n");
    }

    #[test]
    fn programs_get_one_object_a_line() {
        let text = listing().render(Format::Json);
        assert_eq!(text, "{\"name\":\"orders\",\"shards\":4}\n{\"name\":\"a\",\"shards\":16}\n");
    }
}
