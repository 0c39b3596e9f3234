//! The service's errors: their names, HTTP codes and messages.
//!
//! Holds: every error a client can meet is a [`ErrorKind`]; nothing else is ever sent. Texts that
//! clients match on are made in one place each: [`crate::texts`] says where.

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal;)*) => {
        /// The class of an error: what SDKs turn into an exception.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind { $($(#[$doc])* $variant,)* }

        impl ErrorKind {
            /// All kinds.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$variant,)*];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(ErrorKind::$variant => $name,)* }
            }

            /// The HTTP status it is sent with.
            pub fn status(self) -> u16 {
                match self { $(ErrorKind::$variant => $status,)* }
            }
        }
    };
}

kinds! {
    /// The caller may not do this.
    AccessDenied = "AccessDeniedException", 400;
    /// Everything would have worked, and nothing was done.
    DryRunOperation = "DryRunOperationException", 400;
    /// An iterator is older than five minutes.
    ExpiredIterator = "ExpiredIteratorException", 400;
    /// A page token is older than five minutes.
    ExpiredNextToken = "ExpiredNextTokenException", 400;
    /// Our fault; a retry may help.
    InternalFailure = "InternalFailureException", 500;
    /// An argument that can never be right.
    InvalidArgument = "InvalidArgumentException", 400;
    /// The key of an encrypted stream may not be used.
    KmsAccessDenied = "KMSAccessDeniedException", 400;
    /// The key of an encrypted stream is disabled.
    KmsDisabled = "KMSDisabledException", 400;
    /// The key of an encrypted stream is in a wrong state.
    KmsInvalidState = "KMSInvalidStateException", 400;
    /// The key of an encrypted stream does not exist.
    KmsNotFound = "KMSNotFoundException", 400;
    /// Keys need a subscription.
    KmsOptInRequired = "KMSOptInRequired", 400;
    /// Too many uses of a key.
    KmsThrottling = "KMSThrottlingException", 400;
    /// A limit or a rate of control operations.
    LimitExceeded = "LimitExceededException", 400;
    /// The rate of a shard.
    ProvisionedThroughputExceeded = "ProvisionedThroughputExceededException", 400;
    /// The resource is busy, or exists already.
    ResourceInUse = "ResourceInUseException", 400;
    /// No such resource.
    ResourceNotFound = "ResourceNotFoundException", 400;
    /// Too many requests.
    Throttling = "ThrottlingException", 400;
    /// A member breaks a constraint of its shape.
    Validation = "ValidationException", 400;

    /// The body is not what its content type says, or a member has a wrong type.
    Serialization = "SerializationException", 400;
    /// No such operation.
    UnknownOperation = "UnknownOperationException", 400;
    /// The request is not signed.
    MissingAuthenticationToken = "MissingAuthenticationTokenException", 400;
    /// The signature's parts are not all there.
    IncompleteSignature = "IncompleteSignatureException", 400;
    /// The signature is wrong, or too old.
    InvalidSignature = "InvalidSignatureException", 400;
    /// The access key is unknown.
    UnrecognizedClient = "UnrecognizedClientException", 400;
    /// The security token has expired.
    ExpiredToken = "ExpiredTokenException", 400;
    /// The body is larger than any legal request.
    RequestEntityTooLarge = "RequestEntityTooLargeException", 413;
    /// The body stopped coming; a retry may help.
    RequestTimeout = "RequestTimeoutException", 408;
    /// The node cannot serve now; a retry may help.
    ServiceUnavailable = "ServiceUnavailableException", 503;
}

impl ErrorKind {
    /// How the message member is spelled: one error of the service differs.
    pub fn message_member(self) -> &'static str {
        if self == ErrorKind::Serialization { "Message" } else { "message" }
    }
}

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ApiError {
    /// Its class.
    pub kind: ErrorKind,
    /// What was wrong; absent where the service sends none.
    pub message: Option<String>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{}: {message}", self.kind.name()),
            None => f.write_str(self.kind.name()),
        }
    }
}

impl ApiError {
    /// An error that says what was wrong.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> ApiError {
        ApiError { kind, message: Some(message.into()) }
    }

    /// An error without a message.
    pub fn bare(kind: ErrorKind) -> ApiError {
        ApiError { kind, message: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
