//! Scenario files: a workload and faults, composed. Data only.
//!
//! ```toml
//! about = "leaders die"
//! minutes = 3
//! at_once = 1              # faults under way at the same time, at most
//! pause = ["1s", "3s"]     # between faults
//!
//! [cluster]                # see ClusterPlan
//! [load]                   # see LoadPlan
//!
//! [[fault]]
//! kind = "kill-leader"     # `thalweg-chaos kinds` lists them
//! lasts = ["1s", "4s"]
//! weight = 2
//! ```
//! Holds: an unknown key or kind is an error that names the nearest known one.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Deserializer};

use crate::cluster::ClusterPlan;
use crate::faults::Kind;
use crate::load::LoadPlan;

/// What one run is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// What it is for, in a sentence.
    pub(crate) about: String,
    /// How long faults go on, at most if all are counted, unless the command line says.
    #[serde(default = "default_minutes")]
    pub(crate) minutes: f64,
    /// Faults under way at the same time, at most.
    #[serde(default = "default_at_once")]
    pub(crate) at_once: usize,
    /// Between the end of one fault and the beginning of the next.
    #[serde(default = "default_pause")]
    pub(crate) pause: Span,
    /// Within this after the last fault every shard has to take records.
    #[serde(default = "default_liveness", with = "humantime_serde")]
    pub(crate) liveness: Duration,
    /// The cluster.
    #[serde(default)]
    pub(crate) cluster: ClusterPlan,
    /// The clients.
    #[serde(default)]
    pub(crate) load: LoadPlan,
    /// The faults.
    #[serde(rename = "fault")]
    pub(crate) faults: Vec<FaultPlan>,
}

/// One kind of fault in a scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultPlan {
    /// Which.
    #[serde(deserialize_with = "kind")]
    pub(crate) kind: Kind,
    /// How long it lasts each time.
    #[serde(default = "default_lasts")]
    pub(crate) lasts: Span,
    /// How often it comes in each round.
    #[serde(default = "one")]
    pub(crate) weight: usize,
    /// How often it comes in the whole run; when every fault says so, the run ends after the last.
    #[serde(default)]
    pub(crate) times: Option<usize>,
}

/// A length of time between two bounds: `["1s", "4s"]`, or one: `"2s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// At least.
    pub(crate) from: Duration,
    /// At most.
    pub(crate) to: Duration,
}

impl Span {
    /// Draws one.
    pub(crate) fn draw(self, random: &mut StdRng) -> Duration {
        self.from + (self.to - self.from).mul_f64(random.random::<f64>())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        #[derive(Deserialize)]
        struct Time(#[serde(with = "humantime_serde")] Duration);
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a time such as \"2s\", or two: [\"1s\", \"4s\"]")]
        enum Given {
            One(Time),
            Two([Time; 2]),
        }
        let (from, to) = match Given::deserialize(from)? {
            Given::One(Time(time)) => (time, time),
            Given::Two([Time(from), Time(to)]) => (from, to),
        };
        if from > to {
            return Err(serde::de::Error::custom("the first time is the shorter one"));
        }
        Ok(Span { from, to })
    }
}

fn default_minutes() -> f64 {
    3.0
}

fn default_at_once() -> usize {
    1
}

fn default_pause() -> Span {
    Span { from: Duration::from_secs(1), to: Duration::from_secs(3) }
}

fn default_lasts() -> Span {
    Span { from: Duration::from_secs(2), to: Duration::from_secs(6) }
}

fn default_liveness() -> Duration {
    Duration::from_secs(30)
}

fn one() -> usize {
    1
}

fn kind<'de, D: Deserializer<'de>>(from: D) -> Result<Kind, D::Error> {
    let given = String::deserialize(from)?;
    Kind::named(&given).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        serde::de::Error::custom(format!("unknown kind `{given}`; did you mean `{}`?", nearest(&given, &names)))
    })
}

impl Scenario {
    /// Reads a file.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Scenario> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Scenario::parse(&text).with_context(|| format!("{} is no scenario", path.display()))
    }

    /// Reads a text.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Scenario> {
        let scenario: Scenario = toml::from_str(text).map_err(|error| anyhow::anyhow!(explain(&error)))?;
        if scenario.cluster.nodes < 3 || scenario.cluster.nodes > 9 {
            bail!("`nodes` is 3 to 9: fewer cannot lose one, more do not fit one machine");
        }
        if scenario.faults.is_empty() || scenario.at_once == 0 {
            bail!("a scenario without faults tests nothing");
        }
        let clocks = scenario.faults.iter().any(|fault| fault.kind.needs_clocks());
        if clocks && !scenario.cluster.clocks {
            bail!("faults of clocks need `clocks = true` in [cluster]");
        }
        Ok(scenario)
    }

    /// Whether the run ends when every fault has come often enough.
    pub(crate) fn is_counted(&self) -> bool {
        self.faults.iter().all(|fault| fault.times.is_some())
    }
}

/// The parser's message; for an unknown key also the nearest known one.
fn explain(error: &toml::de::Error) -> String {
    let message = error.to_string();
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((given, known)) if error.message().starts_with("unknown field") && !known.is_empty() => {
            format!("{message}unknown key `{given}`; did you mean `{}`?", nearest(given, known))
        }
        _ => message,
    }
}

fn nearest<'a>(given: &str, known: &[&'a str]) -> &'a str {
    let similarity = |name: &str| strsim::jaro_winkler(given, name);
    known.iter().copied().max_by(|a, b| similarity(a).total_cmp(&similarity(b))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "about = 'x'\n[[fault]]\nkind = 'kill'\n";

    #[test]
    fn what_is_left_out_has_a_default() {
        let scenario = Scenario::parse(SMALL).unwrap();
        assert_eq!((scenario.cluster.nodes, scenario.at_once, scenario.faults.len()), (3, 1, 1));
        assert!(!scenario.is_counted());
    }

    #[test]
    fn an_unknown_key_or_kind_names_the_nearest_known_one() {
        let complaint = |text: &str| format!("{:#}", Scenario::parse(text).unwrap_err());
        let key = complaint("about = 'x'\n[[fault]]\nkind = 'kill'\nlast = '2s'\n");
        assert!(key.contains("unknown key `last`; did you mean `lasts`?"), "{key}");
        let nested = complaint(&format!("{SMALL}[load]\nrecord_per_second = 1\n"));
        assert!(nested.contains("did you mean `records_per_second`?"), "{nested}");
        let kind = complaint("about = 'x'\n[[fault]]\nkind = 'kill-leadr'\n");
        assert!(kind.contains("unknown kind `kill-leadr`; did you mean `kill-leader`?"), "{kind}");
    }

    #[test]
    fn spans_have_one_time_or_two() {
        let span = |lasts: &str| Scenario::parse(&format!("{SMALL}lasts = {lasts}\n")).map(|s| s.faults[0].lasts);
        let secs = Duration::from_secs;
        assert_eq!(span("'2s'").unwrap(), Span { from: secs(2), to: secs(2) });
        assert_eq!(span("['1s', '2min']").unwrap(), Span { from: secs(1), to: secs(120) });
        assert!(span("['3s', '1s']").is_err() && span("5").is_err());
    }

    #[test]
    fn faults_of_clocks_ask_for_clocks() {
        let text = "about = 'x'\n[[fault]]\nkind = 'clock-forward'\n";
        assert!(Scenario::parse(text).unwrap_err().to_string().contains("clocks = true"));
    }

    #[test]
    fn every_scenario_of_the_project_is_valid() {
        let dir = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this"))
            .join("../scenarios");
        let files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 8, "{files:?}");
        for file in files {
            Scenario::load(&file).unwrap();
        }
    }
}
