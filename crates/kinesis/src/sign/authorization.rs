//! Reading what a request says about its signature, and refusing what is incomplete.

use std::fmt;

use thalweg_types::UnixMillis;

use super::{RequestParts, canonical, date};
use crate::error::{ApiError, ErrorKind};

/// What a request says about its signature. All parts are there, and nothing has been checked:
/// see [`Authorization::verify`].
#[derive(Clone)]
pub struct Authorization {
    pub(super) form: Form,
    pub(super) algorithm: String,
    pub(super) credential: String,
    pub(super) signed_headers: String,
    pub(super) signature: String,
    pub(super) date: String,
    session_token: Option<String>,
}

/// Where the signature stands.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// In the `Authorization` header.
    Header,
    /// In the query: a presigned URL, with the text of `X-Amz-Expires`.
    Query { expires: Option<String> },
}

/// The refusal of a request that is not signed at all.
pub fn missing_token() -> ApiError {
    ApiError::new(ErrorKind::MissingAuthenticationToken, "Missing Authentication Token")
}

/// The refusal of a request whose access key nobody knows.
pub fn unknown_key() -> ApiError {
    ApiError::new(ErrorKind::UnrecognizedClient, "The security token included in the request is invalid.")
}

impl Authorization {
    /// Reads the signature of a request. `None` when it is unsigned; an error when it is signed
    /// twice, or when something is missing.
    pub fn parse(parts: &RequestParts<'_>) -> Result<Option<Authorization>, ApiError> {
        let header = parts.header("authorization");
        let in_query = canonical::parameters(parts.query).any(|(name, _)| name == b"X-Amz-Algorithm");
        match (header, in_query) {
            (Some(_), true) => Err(ApiError::new(
                ErrorKind::InvalidSignature,
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
            )),
            (Some(header), false) => Authorization::from_header(parts, &header).map(Some),
            (None, true) => Authorization::from_query(parts).map(Some),
            (None, false) => Ok(None),
        }
    }

    fn from_header(parts: &RequestParts<'_>, header: &str) -> Result<Authorization, ApiError> {
        let mut words = header.split([',', ' ']);
        let algorithm = words.next().unwrap_or_default().to_owned();
        let mut pairs = Vec::new();
        for word in words.map(str::trim).filter(|word| !word.is_empty()) {
            pairs.push(word.split_once('=').ok_or_else(|| no_equal_sign(word, header))?);
        }
        let mut missing = String::new();
        let mut required = |name: &str| {
            let value = pairs.iter().rev().find(|(known, value)| *known == name && !value.is_empty());
            if value.is_none() {
                missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
            }
            value.map_or_else(String::new, |(_, value)| (*value).to_owned())
        };
        let (credential, signature) = (required("Credential"), required("Signature"));
        let signed_headers = required("SignedHeaders");
        let date = parts.header("x-amz-date").or_else(|| parts.header("date"));
        if date.is_none() {
            missing.push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
        }
        if !missing.is_empty() {
            return Err(ApiError::new(ErrorKind::IncompleteSignature, format!("{missing}Authorization={header}")));
        }
        let (date, session_token) = (date.unwrap_or_default(), parts.header("x-amz-security-token"));
        let form = Form::Header;
        Ok(Authorization { form, algorithm, credential, signed_headers, signature, date, session_token })
    }

    fn from_query(parts: &RequestParts<'_>) -> Result<Authorization, ApiError> {
        let parameters: Vec<(Vec<u8>, Vec<u8>)> = canonical::parameters(parts.query).collect();
        let optional = |name: &str| {
            let value = parameters.iter().find(|(known, _)| known == name.as_bytes());
            value.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).filter(|value| !value.is_empty())
        };
        let mut missing = String::new();
        let mut required = |name: &str| {
            optional(name).unwrap_or_else(|| {
                missing.push_str(&format!("AWS query-string parameters must include '{name}'. "));
                String::new()
            })
        };
        let (algorithm, credential) = (required("X-Amz-Algorithm"), required("X-Amz-Credential"));
        let (signature, signed_headers) = (required("X-Amz-Signature"), required("X-Amz-SignedHeaders"));
        let date = required("X-Amz-Date");
        if !missing.is_empty() {
            let message = format!("{missing}Re-examine the query-string parameters.");
            return Err(ApiError::new(ErrorKind::IncompleteSignature, message));
        }
        let session_token = optional("X-Amz-Security-Token").or_else(|| parts.header("x-amz-security-token"));
        let form = Form::Query { expires: optional("X-Amz-Expires") };
        Ok(Authorization { form, algorithm, credential, signed_headers, signature, date, session_token })
    }

    /// The access key's id: whose secret [`Authorization::verify`] needs.
    pub fn access_key(&self) -> &str {
        self.element(0).unwrap_or_default()
    }

    /// The day of the credential scope, as `20150830`, if there is one.
    pub fn date(&self) -> Option<&str> {
        self.element(1)
    }

    /// The region of the credential scope, if there is one.
    pub fn region(&self) -> Option<&str> {
        self.element(2)
    }

    /// The service of the credential scope, if there is one.
    pub fn service(&self) -> Option<&str> {
        self.element(3)
    }

    fn element(&self, at: usize) -> Option<&str> {
        self.credential.split('/').nth(at).filter(|element| !element.is_empty())
    }

    /// When the request says it was signed, if its date can be read.
    pub fn signed_at(&self) -> Option<UnixMillis> {
        date::parse_basic(&self.date).or_else(|| date::parse_http(&self.date))
    }

    /// The token of temporary credentials. It is not checked here.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Whether the signature stands in the query.
    pub fn is_presigned(&self) -> bool {
        matches!(self.form, Form::Query { .. })
    }
}

// Logs may show who signed, not with what.
impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorization({} at {})", self.credential, self.date)
    }
}

fn no_equal_sign(word: &str, header: &str) -> ApiError {
    let message =
        format!("'{word}' not a valid key=value pair (missing equal-sign) in Authorization header: '{header}'.");
    ApiError::new(ErrorKind::IncompleteSignature, message)
}
