//! DescribeAccountSettings and UpdateAccountSettings: the commitment to a minimum throughput.

use thalweg_client::{AccountPatch, Commitment, CommitmentStatus};
use thalweg_kinesis::{ApiError, Struct};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure};

pub(crate) fn describe(gateway: &Gateway, call: &Call) -> Result<Answer, ApiError> {
    Ok(answer(call, &gateway.catalog().account().commitment))
}

pub(crate) async fn update(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    let status = input.structure("MinimumThroughputBillingCommitment").and_then(|wanted| wanted.text("Status"));
    let patch = AccountPatch { commitment: Some(status == Some("ENABLED")), ..AccountPatch::default() };
    let updated = gateway.client().cluster().update_account(&patch).await;
    let account = updated.map_err(|error| failure::of_call(call, &error))?;
    Ok(answer(call, &account.commitment))
}

fn answer(call: &Call, commitment: &Commitment) -> Answer {
    let status = match commitment.status(call.now) {
        CommitmentStatus::Disabled => "DISABLED",
        CommitmentStatus::Enabled => "ENABLED",
        CommitmentStatus::EnabledUntilEarliestEnd => "ENABLED_UNTIL_EARLIEST_ALLOWED_END",
    };
    let described = Struct::new()
        .with("Status", status)
        .with_some("StartedAt", commitment.started_at)
        .with_some("EndedAt", commitment.ended_at)
        .with_some("EarliestAllowedEndAt", commitment.earliest_end_at());
    Struct::new().with("MinimumThroughputBillingCommitment", described).into()
}
