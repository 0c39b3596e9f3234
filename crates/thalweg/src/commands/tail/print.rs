//! Records on stdout: a line of text each, a JSON object each, or their bare bytes.

use std::io::{IsTerminal, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::ValueEnum;
use serde_json::{Value, json};
use thalweg_client::ConsumedRecord;

use crate::human;

/// How to print records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Time, shard, key and data
    Text,
    /// One JSON object a line; data that is not UTF-8 comes as `data_base64`
    Json,
    /// The data alone, each record followed by a line end
    Raw,
}

/// Prints records in one form.
pub(super) struct Printer {
    form: Form,
    buffer: Vec<u8>,
}

impl Printer {
    /// In the form asked for, or the one that suits where stdout leads.
    pub(super) fn new(form: Option<Form>) -> Printer {
        let suited = if std::io::stdout().is_terminal() { Form::Text } else { Form::Json };
        Printer { form: form.unwrap_or(suited), buffer: Vec::new() }
    }

    /// Prints some records at once.
    pub(super) fn print(&mut self, records: &[&ConsumedRecord]) -> std::io::Result<()> {
        self.buffer.clear();
        for record in records {
            render(self.form, record, &mut self.buffer);
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&self.buffer)?;
        stdout.flush()
    }
}

fn render(form: Form, record: &ConsumedRecord, out: &mut Vec<u8>) {
    match form {
        Form::Raw => out.extend_from_slice(&record.data),
        Form::Json => out.extend_from_slice(object(record).to_string().as_bytes()),
        Form::Text => {
            let (time, shard, key) =
                (human::instant(record.arrived), record.shard, record.partition_key.escape_debug());
            out.extend_from_slice(format!("{time}  {shard}  {key}  ").as_bytes());
            out.extend_from_slice(shown(&record.data).as_bytes());
        }
    }
    out.push(b'\n');
}

/// Data as text that cannot do anything to a terminal.
fn shown(data: &[u8]) -> String {
    match std::str::from_utf8(data) {
        Ok(text) => text
            .chars()
            .map(|c| if c.is_control() && c != '\t' { c.escape_debug().to_string() } else { c.to_string() })
            .collect(),
        Err(_) => format!("base64:{}", BASE64_STANDARD.encode(data)),
    }
}

fn object(record: &ConsumedRecord) -> Value {
    let mut object = json!({
        "shard": record.shard.to_string(),
        "sequence_number": record.sequence_number.to_string(),
        "arrived": human::instant(record.arrived),
        "partition_key": record.partition_key,
    });
    if let Some(key) = record.explicit_hash_key {
        object["hash_key"] = Value::from(key.to_string());
    }
    match std::str::from_utf8(&record.data) {
        Ok(text) => object["data"] = Value::from(text),
        Err(_) => object["data_base64"] = Value::from(BASE64_STANDARD.encode(&record.data)),
    }
    object
}

#[cfg(test)]
mod tests {
    use thalweg_client::{SequenceNumber, ShardId, UnixMillis};

    use super::*;

    fn printed(form: Form, data: &'static [u8]) -> String {
        let (shard, arrived) = (ShardId(2), UnixMillis(1_500));
        let sequence_number = SequenceNumber::new(UnixMillis(1_000), shard, 9, 1, arrived);
        let record = ConsumedRecord {
            shard,
            sequence_number,
            arrived,
            partition_key: "k".to_owned(),
            explicit_hash_key: None,
            data: data.into(),
        };
        let mut out = Vec::new();
        render(form, &record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_shows_time_shard_key_and_data_on_one_line() {
        let line = printed(Form::Text, b"a\nb\x1b[31m");
        assert_eq!(line, "1970-01-01T00:00:01.500Z  shardId-000000000002  k  a\\nb\\u{1b}[31m\n");
    }

    #[test]
    fn json_carries_any_bytes() {
        let text: Value = serde_json::from_str(&printed(Form::Json, b"hi")).unwrap();
        assert_eq!((text["data"].as_str(), text["partition_key"].as_str()), (Some("hi"), Some("k")));
        let bytes: Value = serde_json::from_str(&printed(Form::Json, b"\xff\x00")).unwrap();
        assert_eq!(bytes["data_base64"], "/wA=");
    }

    #[test]
    fn raw_is_the_data_alone() {
        assert_eq!(printed(Form::Raw, b"hi"), "hi\n");
    }
}
