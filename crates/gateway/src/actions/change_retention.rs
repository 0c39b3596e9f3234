//! IncreaseStreamRetentionPeriod and DecreaseStreamRetentionPeriod.

use thalweg_client::RetentionChange;
use thalweg_kinesis::{ApiError, Struct, texts};

use crate::answer::Answer;
use crate::call::Call;
use crate::{Gateway, failure, target};

pub(crate) async fn handle(
    gateway: &Gateway,
    call: &Call,
    input: &Struct,
    change: RetentionChange,
) -> Result<Answer, ApiError> {
    let stream = target::stream(gateway, call, input)?;
    let given = input.int("RetentionPeriodHours").unwrap_or(0);
    let hours = u32::try_from(given).map_err(|_| texts::retention_too_short(given))?;
    let streams = gateway.client().streams().incarnation(stream.id);
    let changed = streams.change_retention(&stream.name, hours, change).await;
    changed.map(|_| Answer::Empty).map_err(|error| failure::of_retention(call, &stream, &error))
}
