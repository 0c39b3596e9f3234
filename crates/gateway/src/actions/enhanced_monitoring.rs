//! EnableEnhancedMonitoring and DisableEnhancedMonitoring: the wish is recorded and reported. The
//! metrics themselves are on the admin port of every node, asked for or not.

use std::collections::BTreeSet;

use thalweg_catalog::Stream;
use thalweg_client::{ShardMetric, StreamPatch};
use thalweg_kinesis::{ApiError, Struct, Value};

use super::update_stream::change;
use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, present};

pub(crate) async fn enable(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let wanted = metrics(input);
    let patch = StreamPatch { enable_metrics: wanted.clone(), ..StreamPatch::default() };
    let before = change(gateway, call, input, patch).await?;
    let after = before.settings.monitoring.union(&wanted).copied().collect();
    Ok(answer(call, &before, &after))
}

pub(crate) async fn disable(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let unwanted = metrics(input);
    let patch = StreamPatch { disable_metrics: unwanted.clone(), ..StreamPatch::default() };
    let before = change(gateway, call, input, patch).await?;
    let after = before.settings.monitoring.difference(&unwanted).copied().collect();
    Ok(answer(call, &before, &after))
}

fn metrics(input: &Struct) -> BTreeSet<ShardMetric> {
    let named = |name: &str| -> Vec<ShardMetric> {
        ShardMetric::ALL.into_iter().filter(|metric| name == "ALL" || metric.as_str() == name).collect()
    };
    input.texts("ShardLevelMetrics").flat_map(named).collect()
}

fn answer(call: &Call, before: &Stream, after: &BTreeSet<ShardMetric>) -> Answer {
    let desired: Value = after.iter().map(|metric| metric.as_str()).collect();
    Struct::new()
        .with("StreamName", before.name.as_str())
        .with("CurrentShardLevelMetrics", present::metrics(before))
        .with("DesiredShardLevelMetrics", desired)
        .with("StreamARN", present::stream_arn(call, before).to_string())
        .into()
}
