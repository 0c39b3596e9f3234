//! Partition keys for records that came without.

use bytes::Bytes;
use clap::ValueEnum;
use rand::Rng;
use rand::rngs::StdRng;
use thalweg_client::{HashKey, Record};

use crate::exit::Failure;

/// Where a record's key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum KeyFrom {
    /// Another key for each record, so that all shards share the load
    Random,
    /// The record itself
    Data,
    /// What stands before the separator; the rest is the record
    Prefix,
}

/// Makes records of data.
pub(super) struct Keys {
    constant: Option<String>,
    from: KeyFrom,
    separator: String,
    hash_key: Option<HashKey>,
    random: StdRng,
}

impl Keys {
    pub(super) fn new(
        constant: Option<String>,
        from: KeyFrom,
        separator: String,
        hash_key: Option<HashKey>,
        random: StdRng,
    ) -> Keys {
        Keys { constant, from, separator, hash_key, random }
    }

    /// The record with its key.
    pub(super) fn record(&mut self, data: Bytes) -> Result<Record, Failure> {
        let (key, data) = match (&self.constant, self.from) {
            (Some(key), _) => (key.clone(), data),
            (None, KeyFrom::Random) => (format!("{:016x}", self.random.random::<u64>()), data),
            (None, KeyFrom::Data) => (text(&data)?.to_owned(), data),
            (None, KeyFrom::Prefix) => self.divided(&data)?,
        };
        Ok(Record { partition_key: key, explicit_hash_key: self.hash_key, data })
    }

    fn divided(&self, data: &Bytes) -> Result<(String, Bytes), Failure> {
        let separator = self.separator.as_bytes();
        let at = data.windows(separator.len().max(1)).position(|window| window == separator).ok_or_else(|| {
            let shown = String::from_utf8_lossy(data).chars().take(40).collect::<String>();
            Failure::usage(format!("no `{}` in `{shown}`: its key is missing", self.separator))
        })?;
        Ok((text(&data[..at])?.to_owned(), data.slice(at + separator.len()..)))
    }
}

fn text(bytes: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| Failure::usage("a key must be UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn record(constant: Option<&str>, from: KeyFrom, data: &'static str) -> Result<(String, Bytes), Failure> {
        let mut keys = Keys::new(constant.map(str::to_owned), from, ":".to_owned(), None, StdRng::seed_from_u64(1));
        keys.record(Bytes::from_static(data.as_bytes())).map(|record| (record.partition_key, record.data))
    }

    #[test]
    fn keys_come_from_where_they_were_asked_from() {
        assert_eq!(record(Some("k"), KeyFrom::Random, "a:b").unwrap(), ("k".to_owned(), "a:b".into()));
        assert_eq!(record(None, KeyFrom::Data, "a:b").unwrap(), ("a:b".to_owned(), "a:b".into()));
        assert_eq!(record(None, KeyFrom::Prefix, "a:b:c").unwrap(), ("a".to_owned(), "b:c".into()));
        assert_eq!(record(None, KeyFrom::Random, "a").unwrap().0.len(), 16);
        assert!(record(None, KeyFrom::Prefix, "ab").is_err());
    }
}
