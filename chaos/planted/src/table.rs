//! The table in `README.md`, between two marks. What was not looked for stays as it is there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use thalweg_types::planted::Planted;

use crate::hunt::Found;
use crate::layers::{Layer, home_of};

const BEGIN: &str = "<!-- table -->";
const END: &str = "<!-- end of table -->";
/// Columns before those of the layers.
const FIRST: [&str; 3] = ["defect", "crate", "what goes wrong"];

/// One defect and who noticed it, in the order of [`Layer::ALL`].
pub(crate) struct Row {
    pub(crate) defect: Planted,
    pub(crate) found: Vec<Found>,
}

impl Row {
    /// Whether somebody looked and nobody noticed.
    pub(crate) fn is_missed(&self) -> bool {
        !self.found.iter().any(|found| matches!(found, Found::Caught(_)))
    }

    /// The line, with what another layer found earlier.
    fn line(&self, before: Option<&Vec<String>>) -> String {
        let mut cells = vec![format!("`{:?}`", self.defect), home_of(self.defect).to_owned()];
        cells.push(self.defect.what().trim_end_matches('.').to_owned());
        for (layer, found) in Layer::ALL.iter().zip(&self.found) {
            let old =
                before.and_then(|cells_before| cells_before.get(cells.len()..cells.len() + layer.columns().len()));
            let mut new = match (found, old) {
                (Found::NotLooked, Some(old)) => old.to_vec(),
                (Found::NotLooked | Found::OutOfReach, _) => vec![String::new()],
                (Found::Nothing, _) => vec!["–".to_owned()],
                (Found::Caught(caught), _) => [vec![format!("`{}`", caught.by)], caught.figures.clone()].concat(),
            };
            new.resize(layer.columns().len(), String::new());
            cells.extend(new);
        }
        format!("| {} |", cells.join(" | "))
    }
}

fn path() -> PathBuf {
    crate::build::root().join("chaos/planted/README.md")
}

fn cells(line: &str) -> Option<(String, Vec<String>)> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<String> = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
    let name = cells.first()?.strip_prefix('`')?.strip_suffix('`')?.to_owned();
    Some((name, cells))
}

/// Puts these rows in the place of their predecessors.
pub(crate) fn write(rows: &[Row]) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path())?;
    std::fs::write(path(), with(&text, rows)?)?;
    Ok(())
}

fn with(text: &str, rows: &[Row]) -> anyhow::Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("the mark where the table begins")?;
    let (old, after) = rest.split_once(END).context("the mark where the table ends")?;
    let known: BTreeMap<String, Vec<String>> = old.lines().filter_map(cells).collect();
    let line = |defect: &Planted| match rows.iter().find(|row| row.defect == *defect) {
        Some(row) => Some(row.line(known.get(&format!("{defect:?}")))),
        None => known.get(&format!("{defect:?}")).map(|cells| format!("| {} |", cells.join(" | "))),
    };
    let columns: Vec<&str> =
        FIRST.into_iter().chain(Layer::ALL.iter().flat_map(|layer| layer.columns()).copied()).collect();
    // Figures stand to the right.
    let ruler = |column: &&str| if column.ends_with('s') || column.ends_with(" h") { "--:" } else { "---" };
    let rulers: Vec<&str> = columns.iter().map(ruler).collect();
    let mut table = vec![format!("| {} |", columns.join(" | ")), format!("|{}|", rulers.join("|"))];
    table.extend(Planted::ALL.iter().filter_map(line));
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", table.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::Catch;

    const TEXT: &str = "before\n<!-- table -->\n| `SyncSkipped` | wal | x | `a: b` | 1.0 | `seed 1: kept` | 0.1 | 2.0 |  |  |\n<!-- end of table -->\nafter\n";

    #[test]
    fn what_one_layer_found_stays_when_another_is_asked() {
        let caught = Found::Caught(Catch { by: "cuts: 2 broken".to_owned(), figures: vec!["3.0".to_owned()] });
        let row = Row { defect: Planted::SyncSkipped, found: vec![Found::NotLooked, Found::Nothing, caught] };
        let text = with(TEXT, &[row]).unwrap();
        assert!(text.contains("| `a: b` | 1.0 | – |  |  | `cuts: 2 broken` | 3.0 |\n"), "{text}");
        assert!(text.starts_with("before\n") && text.ends_with("after\n"));
        let same = with(&text, &[]).unwrap();
        assert_eq!(same, text);
    }
}
