//! The table in `README.md`, between two marks. Rows of defects that were not looked for stay.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use thalweg_types::planted::Planted;

use crate::hunt::Catch;
use crate::layers::home_of;

const BEGIN: &str = "<!-- table -->";
const END: &str = "<!-- end of table -->";

/// One defect and who noticed it.
pub(crate) struct Row {
    pub(crate) defect: Planted,
    pub(crate) caught: Option<Catch>,
}

impl Row {
    fn line(&self) -> String {
        let what = self.defect.what().trim_end_matches('.');
        let (by, took) = match &self.caught {
            Some(caught) => (format!("`{}`", caught.by), format!("{:.1}", caught.took.as_secs_f64())),
            None => ("**nobody**".to_owned(), String::new()),
        };
        format!("| `{:?}` | {} | {what} | {by} | {took} |", self.defect, home_of(self.defect))
    }
}

fn path() -> PathBuf {
    crate::build::root().join("chaos/planted/README.md")
}

/// Puts these rows in the place of their predecessors.
pub(crate) fn write(rows: &[Row]) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path())?;
    let (before, rest) = text.split_once(BEGIN).context("the mark where the table begins")?;
    let (old, after) = rest.split_once(END).context("the mark where the table ends")?;
    let name =
        |line: &str| line.strip_prefix("| `").and_then(|line| line.split_once('`')).map(|(name, _)| name.to_owned());
    let mut lines: BTreeMap<String, String> =
        old.lines().filter_map(|line| Some((name(line)?, line.to_owned()))).collect();
    lines.extend(rows.iter().map(|row| (format!("{:?}", row.defect), row.line())));
    let in_order = Planted::ALL.iter().filter_map(|defect| lines.get(&format!("{defect:?}")));
    let head = "| defect | crate | what goes wrong | noticed by | after, s |\n|---|---|---|---|--:|";
    let table: Vec<&str> = std::iter::once(head).chain(in_order.map(String::as_str)).collect();
    std::fs::write(path(), format!("{before}{BEGIN}\n{}\n{END}{after}", table.join("\n")))?;
    Ok(())
}
