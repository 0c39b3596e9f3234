//! `thalweg stream set`: settings and tags of a stream, and the arguments for them.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use thalweg_client::{
    Distribution, Edit, LimitsProfile, ShardLimits, StreamMode, StreamName, StreamPatch, StreamSettings,
};

use super::{Common, show};
use crate::human::{Size, parse_size_u32};

/// Settings that may be given when a stream is created and changed later.
#[derive(Args, Debug)]
pub(crate) struct SettingArgs {
    /// Who decides on the number of shards
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// What each shard takes and gives in a second: unlimited, kinesis, or a list such as
    /// write-bytes=1MiB,write-records=1000,read-bytes=2MiB,read-calls=5
    #[arg(long, value_name = "LIMITS", value_parser = parse_limits)]
    limits: Option<LimitsProfile>,
    /// A label; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag)]
    tag: Vec<(String, String)>,
}

/// Who decides on the number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeArg {
    /// You
    Provisioned,
    /// The cluster, by the traffic it sees
    OnDemand,
}

impl From<ModeArg> for StreamMode {
    fn from(mode: ModeArg) -> StreamMode {
        match mode {
            ModeArg::Provisioned => StreamMode::Provisioned,
            ModeArg::OnDemand => StreamMode::OnDemand,
        }
    }
}

/// Who chooses the shard of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DistributionArg {
    /// The writer, by the record's keys
    UserPartitionKey,
    /// The cluster, evenly; for on-demand streams
    Auto,
}

impl From<DistributionArg> for Distribution {
    fn from(distribution: DistributionArg) -> Distribution {
        match distribution {
            DistributionArg::UserPartitionKey => Distribution::UserPartitionKey,
            DistributionArg::Auto => Distribution::Auto,
        }
    }
}

impl SettingArgs {
    /// The settings of a new stream.
    pub(super) fn settings(self) -> StreamSettings {
        StreamSettings {
            mode: self.mode.map(Into::into).unwrap_or_default(),
            limits: self.limits.unwrap_or_default(),
            tags: self.tag.into_iter().collect(),
            ..StreamSettings::default()
        }
    }
}

/// Arguments of `thalweg stream set`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true)
    .args(["mode", "limits", "tag", "untag", "max_record_size", "distribution", "warm_throughput"]))]
pub(crate) struct SetArgs {
    /// The stream
    stream: StreamName,
    #[command(flatten)]
    settings: SettingArgs,
    /// A label to remove; may be given several times
    #[arg(long, value_name = "KEY")]
    untag: Vec<String>,
    /// Largest record, data and key together; at most 10MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size_u32)]
    max_record_size: Option<u32>,
    /// Who chooses the shard of a record
    #[arg(long, value_enum)]
    distribution: Option<DistributionArg>,
    /// Write throughput for which an on-demand stream is to be ready, in MiB a second; 0 for none
    #[arg(long, value_name = "MIBPS")]
    warm_throughput: Option<u32>,
    #[command(flatten)]
    common: Common,
}

impl SetArgs {
    fn patch(&self) -> StreamPatch {
        StreamPatch {
            mode: self.settings.mode.map(Into::into),
            limits: self.settings.limits,
            record_bytes_max: self.max_record_size,
            distribution: self.distribution.map(Into::into),
            warm_mibps: match self.warm_throughput {
                None => Edit::Keep,
                Some(0) => Edit::Clear,
                Some(mibps) => Edit::Set(mibps),
            },
            ..StreamPatch::default()
        }
    }
}

/// Changes the settings, then the tags.
pub(super) async fn run(args: SetArgs) -> anyhow::Result<()> {
    let streams = args.common.streams()?;
    let patch = args.patch();
    if patch != StreamPatch::default() {
        streams.update(&args.stream, &patch).await?;
    }
    let set: BTreeMap<String, String> = args.settings.tag.into_iter().collect();
    if !set.is_empty() || !args.untag.is_empty() {
        streams.tag(&args.stream, set, args.untag.into_iter().collect()).await?;
    }
    show::stream(&streams.describe(&args.stream).await?, args.common.output.format())
}

/// `key=value`; the value may be empty and may contain `=`.
fn parse_tag(given: &str) -> Result<(String, String), String> {
    match given.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{given}` is not a tag; write KEY=VALUE")),
    }
}

/// `unlimited`, `kinesis`, or pairs of limit and number.
fn parse_limits(given: &str) -> Result<LimitsProfile, String> {
    match given {
        "unlimited" => return Ok(LimitsProfile::Unlimited),
        "kinesis" => return Ok(LimitsProfile::Kinesis),
        _ => {}
    }
    let mut limits = ShardLimits::NONE;
    for pair in given.split(',') {
        let wrong = || {
            format!(
                "`{pair}` is not a limit; write unlimited, kinesis, or one or more of write-bytes=1MiB, \
                 write-records=1000, read-bytes=2MiB and read-calls=5, separated by commas"
            )
        };
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let bytes = || value.parse::<Size>().map(|Size(bytes)| Some(bytes));
        let count = || value.parse::<u32>().map(Some).map_err(|_| wrong());
        match name {
            "write-bytes" => limits.write_bytes_per_second = bytes()?,
            "write-records" => limits.write_records_per_second = count()?,
            "read-bytes" => limits.read_bytes_per_second = bytes()?,
            "read-calls" => limits.read_calls_per_second = count()?,
            _ => return Err(wrong()),
        }
    }
    Ok(LimitsProfile::Custom(limits))
}

/// Limits as they are given on the command line.
pub(super) fn said_limits(limits: &LimitsProfile) -> String {
    let limits = match limits {
        LimitsProfile::Unlimited => return "unlimited".to_owned(),
        LimitsProfile::Kinesis => return "kinesis".to_owned(),
        LimitsProfile::Custom(limits) => limits,
    };
    let pairs = [
        ("write-bytes", limits.write_bytes_per_second),
        ("write-records", limits.write_records_per_second.map(u64::from)),
        ("read-bytes", limits.read_bytes_per_second),
        ("read-calls", limits.read_calls_per_second.map(u64::from)),
    ];
    let said = pairs.iter().filter_map(|(name, limit)| limit.map(|limit| format!("{name}={limit}")));
    said.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_they_are_said() {
        for given in ["unlimited", "kinesis", "write-bytes=1048576,read-calls=5", "write-records=7,read-bytes=9"] {
            assert_eq!(said_limits(&parse_limits(given).unwrap()), given);
        }
        let custom = ShardLimits { write_bytes_per_second: Some(2 << 20), ..ShardLimits::NONE };
        assert_eq!(parse_limits("write-bytes=2MiB"), Ok(LimitsProfile::Custom(custom)));
        for wrong in ["", "none", "write-bytes", "write-bytes=many", "read-records=1", "read-calls=-1"] {
            assert!(parse_limits(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tags_are_pairs_whose_value_may_hold_anything() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(parse_tag("env=prod"), pair("env", "prod"));
        assert_eq!(parse_tag("query=a=b"), pair("query", "a=b"));
        assert_eq!(parse_tag("empty="), pair("empty", ""));
        assert!(parse_tag("env").is_err() && parse_tag("=prod").is_err());
    }
}
