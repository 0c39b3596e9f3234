//! What the SDK really puts on the wire: how often it tries, in which encoding.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use aws_sdk_kinesis::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;

/// Sees every attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    attempts: Arc<AtomicU64>,
    content_type: Arc<OnceLock<String>>,
}

impl Sent {
    /// Attempts so far.
    pub(crate) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Content type and protocol of the requests, once there was one. To a plain URL this SDK's
    /// client speaks nothing but HTTP/1.1.
    pub(crate) fn form(&self) -> Option<[String; 2]> {
        Some([self.content_type.get()?.clone(), "HTTP/1.1".to_owned()])
    }
}

impl Intercept for Sent {
    fn name(&self) -> &'static str {
        "what is sent"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let content_type = context.request().headers().get("content-type").unwrap_or("none");
        self.content_type.get_or_init(|| content_type.to_owned());
        Ok(())
    }
}
