//! Where records come from: arguments, whole files, lines of files, lines of standard input.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

/// Yields the data of one record after another.
pub(super) struct Source {
    arguments: VecDeque<String>,
    files: VecDeque<PathBuf>,
    lines: Option<Box<dyn AsyncBufRead + Send + Unpin>>,
}

const STDIN: &str = "-";

impl Source {
    /// The arguments, or else the lines of the files, or else those of standard input.
    pub(super) fn new(arguments: Vec<String>, mut files: Vec<PathBuf>) -> Source {
        if arguments.is_empty() && files.is_empty() {
            files.push(PathBuf::from(STDIN));
        }
        Source { arguments: arguments.into(), files: files.into(), lines: None }
    }

    /// The next record's data.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        if let Some(argument) = self.arguments.pop_front() {
            return argument_data(argument).await.map(Some);
        }
        loop {
            if let Some(lines) = &mut self.lines
                && let Some(line) = next_line(lines).await?
            {
                return Ok(Some(line));
            }
            let Some(file) = self.files.pop_front() else { return Ok(None) };
            self.lines = Some(open(&file).await?);
        }
    }
}

async fn argument_data(argument: String) -> anyhow::Result<Bytes> {
    match argument.strip_prefix('@') {
        Some(path) => Ok(tokio::fs::read(path).await.with_context(|| format!("cannot read `{path}`"))?.into()),
        None => Ok(argument.into()),
    }
}

async fn open(path: &Path) -> anyhow::Result<Box<dyn AsyncBufRead + Send + Unpin>> {
    if path == Path::new(STDIN) {
        return Ok(Box::new(BufReader::new(tokio::io::stdin())));
    }
    let file = tokio::fs::File::open(path).await.with_context(|| format!("cannot open `{}`", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// The next line without its end; an empty line is an empty record.
async fn next_line(lines: &mut (dyn AsyncBufRead + Send + Unpin)) -> std::io::Result<Option<Bytes>> {
    let mut line = Vec::new();
    if lines.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
    Ok(Some(line.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_line_is_a_record_and_an_at_sign_takes_the_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        std::fs::write(&path, "a\n\nb\r\nc").unwrap();
        let mut lines = Source::new(Vec::new(), vec![path.clone()]);
        for expected in ["a", "", "b", "c"] {
            assert_eq!(lines.next().await.unwrap().unwrap(), expected);
        }
        assert_eq!(lines.next().await.unwrap(), None);
        let mut whole = Source::new(vec!["x".to_owned(), format!("@{}", path.display())], Vec::new());
        assert_eq!(whole.next().await.unwrap().unwrap(), "x");
        assert_eq!(whole.next().await.unwrap().unwrap(), "a\n\nb\r\nc");
    }
}
