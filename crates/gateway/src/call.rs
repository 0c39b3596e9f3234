//! What a handler knows of the request besides its members.

use std::sync::Arc;

use thalweg_kinesis::{ApiError, ErrorKind, Operation};
use thalweg_types::UnixMillis;

/// One request under way.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// What is asked for.
    pub(crate) operation: Operation,
    /// The account whose resources it names: 12 digits.
    pub(crate) account: Arc<str>,
    /// The region in whose name it is answered.
    pub(crate) region: String,
    /// The access key that signed it, when signatures are checked.
    pub(crate) principal: Option<String>,
    /// When it arrived.
    pub(crate) now: UnixMillis,
}

impl Call {
    /// Says that all would have worked, if that is all the caller wants to know.
    pub(crate) fn end_dry_run(&self, dry_run: bool) -> Result<(), ApiError> {
        if !dry_run {
            return Ok(());
        }
        let text = "Request would have succeeded, but DryRun flag is set.";
        Err(ApiError::new(ErrorKind::DryRunOperation, text))
    }
}
