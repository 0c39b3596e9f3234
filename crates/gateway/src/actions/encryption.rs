//! StartStreamEncryption and StopStreamEncryption: the key is recorded and reported, so that
//! programs which insist on encryption work. What lies on disk is encrypted by the disk.

use thalweg_client::{Edit, StreamPatch};
use thalweg_kinesis::{ApiError, ErrorKind, Struct};

use super::update_stream::change;
use crate::Gateway;
use crate::answer::Answer;
use crate::call::Call;

pub(crate) async fn start(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    if input.text("EncryptionType") != Some("KMS") {
        return Err(ApiError::new(ErrorKind::InvalidArgument, "EncryptionType must be KMS to start encryption."));
    }
    let key = input.text("KeyId").unwrap_or("").to_owned();
    change(gateway, call, input, StreamPatch { encryption_key: Edit::Set(key), ..StreamPatch::default() }).await?;
    Ok(Answer::Empty)
}

pub(crate) async fn stop(gateway: &Gateway, call: &Call, input: &Struct) -> Result<Answer, ApiError> {
    change(gateway, call, input, StreamPatch { encryption_key: Edit::Clear, ..StreamPatch::default() }).await?;
    Ok(Answer::Empty)
}
