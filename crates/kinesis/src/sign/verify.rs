//! Checking a signature, in the service's order: date, headers, algorithm, scope, key, signature.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use thalweg_types::UnixMillis;

use super::authorization::{Form, unknown_key};
use super::{ALGORITHM, Authorization, BodyHash, RequestParts, SERVICE, TERMINATOR, canonical, date};
use crate::error::{ApiError, ErrorKind};

/// How far the clocks of signer and verifier may be apart.
const SKEW_MS: u64 = 5 * 60 * 1000;
/// How long a date in the basic format is; HTTP dates are longer.
const STAMP_CHARS: usize = 16;
/// The longest life of a presigned URL.
const EXPIRES_MAX_SECS: u64 = 7 * 24 * 3600;

/// What the verifier knows.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// The secret of [`Authorization::access_key`]; `None` when nobody knows that key.
    pub secret: Option<&'a str>,
    /// The only region that is right; `None` when any is.
    pub region: Option<&'a str>,
    /// The time.
    pub now: UnixMillis,
}

/// The credential scope: `date/region/service/aws4_request`.
pub(super) struct Scope<'a> {
    pub(super) date: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) terminator: &'a str,
}

impl Authorization {
    /// Whether the request is signed by the holder of the secret, unchanged, and in time.
    pub fn verify(&self, parts: &RequestParts<'_>, body: BodyHash, expected: &Expected<'_>) -> Result<(), ApiError> {
        let signed_at = self.signed_at().ok_or_else(|| self.bad_date())?;
        self.check_time(signed_at, expected.now)?;
        let signed = self.check_signed_headers(parts)?;
        if self.algorithm != ALGORITHM {
            return Err(incomplete(format!(
                "Unsupported AWS 'algorithm': '{}' (only {ALGORITHM} for now). ",
                self.algorithm
            )));
        }
        // A date in the right format is signed as it stands.
        let stamp = if self.date.len() == STAMP_CHARS { self.date.clone() } else { date::basic(signed_at) };
        let scope = self.check_scope(&stamp, expected.region)?;
        let secret = expected.secret.ok_or_else(unknown_key)?;
        let request = canonical::request(parts, &signed, body);
        let to_sign = string_to_sign(&stamp, &scope, &request);
        let declared = parts.header("x-amz-content-sha256");
        let body_is_declared = declared.is_none_or(|declared| declared == body.hex());
        if body_is_declared && self.is_signature_of(&to_sign, secret, &scope) {
            Ok(())
        } else {
            Err(mismatch(&request, &to_sign))
        }
    }

    fn bad_date(&self) -> ApiError {
        let message = "Date must be in ISO-8601 'basic format'. Got ";
        incomplete(format!("{message}'{}'. See http://en.wikipedia.org/wiki/ISO_8601", self.date))
    }

    fn check_time(&self, signed_at: UnixMillis, now: UnixMillis) -> Result<(), ApiError> {
        let life = match &self.form {
            Form::Query { expires: Some(expires) } => expires_secs(expires)? * 1000,
            _ => SKEW_MS,
        };
        let (earliest, latest) = (now.minus_ms(life), UnixMillis(now.0.saturating_add(SKEW_MS)));
        // Signatures know whole seconds only, so that is how they are compared.
        if signed_at.secs() < earliest.secs() {
            let [signed_at, earliest, now] = [signed_at, earliest, now].map(date::basic);
            let life = span(life);
            return Err(invalid(format!(
                "Signature expired: {signed_at} is now earlier than {earliest} ({now} - {life})"
            )));
        }
        if signed_at > latest {
            let [signed_at, latest, now] = [signed_at, latest, now].map(date::basic);
            let skew = span(SKEW_MS);
            return Err(invalid(format!(
                "Signature not yet current: {signed_at} is still later than {latest} ({now} + {skew})"
            )));
        }
        Ok(())
    }

    /// The signed headers in canonical order. All are there, and all that matter are signed.
    fn check_signed_headers(&self, parts: &RequestParts<'_>) -> Result<Vec<String>, ApiError> {
        let mut signed: Vec<String> = self.signed_headers.split(';').map(str::to_ascii_lowercase).collect();
        signed.sort_unstable();
        signed.dedup();
        let is_signed = |name: &str| signed.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !is_signed("host") {
            return Err(invalid(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
            ));
        }
        let ours = |name: &&str| name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"));
        if let Some(name) = parts.headers.iter().map(|(name, _)| *name).filter(ours).find(|name| !is_signed(name)) {
            return Err(invalid(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
        }
        match signed.iter().find(|name| parts.values(name).next().is_none()) {
            Some(name) => Err(incomplete(format!(
                "'{name}' is named as a SignedHeader, but it does not exist in the HTTP request."
            ))),
            None => Ok(signed),
        }
    }

    fn check_scope(&self, stamp: &str, region: Option<&str>) -> Result<Scope<'_>, ApiError> {
        let elements: Vec<&str> = self.credential.trim_end_matches('/').split('/').collect();
        let &[_, date, found_region, service, terminator] = elements.as_slice() else {
            return Err(incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, \
                 e.g. keyid/date/region/service/term, got '{}'",
                self.credential
            )));
        };
        let mut wrong = String::new();
        if found_region.is_empty() || region.is_some_and(|region| region != found_region) {
            wrong += &format!("Credential should be scoped to a valid region, not '{found_region}'. ");
        }
        if service != SERVICE {
            wrong += &format!("Credential should be scoped to correct service: '{SERVICE}'. ");
        }
        if terminator != TERMINATOR {
            wrong +=
                &format!("Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'. ");
        }
        let day = &stamp[..8];
        if date != day {
            wrong += "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: ";
            wrong += &format!("'{date}' != '{day}', from '{stamp}'.");
        }
        if !wrong.is_empty() {
            return Err(invalid(wrong));
        }
        Ok(Scope { date, region: found_region, service, terminator })
    }

    fn is_signature_of(&self, to_sign: &str, secret: &str, scope: &Scope<'_>) -> bool {
        let mut given = [0; 32];
        // Lower case only: a signature has one spelling, so that no changed bit passes.
        let decoded = base16ct::lower::decode(&self.signature, &mut given).map(<[u8]>::len);
        decoded == Ok(given.len())
            && keyed(&signing_key(secret, scope), to_sign.as_bytes()).verify_slice(&given).is_ok()
    }
}

/// What is signed: the scope, and the hash of the canonical request.
pub(super) fn string_to_sign(stamp: &str, scope: &Scope<'_>, request: &[u8]) -> String {
    let Scope { date, region, service, terminator } = scope;
    let hash = base16ct::lower::encode_string(&Sha256::digest(request));
    format!("{ALGORITHM}\n{stamp}\n{date}/{region}/{service}/{terminator}\n{hash}")
}

/// The key of one day, region and service.
pub(super) fn signing_key(secret: &str, scope: &Scope<'_>) -> [u8; 32] {
    let first = keyed(format!("AWS4{secret}").as_bytes(), scope.date.as_bytes());
    [scope.region, scope.service, scope.terminator]
        .iter()
        .fold(first.finalize().into_bytes().into(), |key: [u8; 32], step| {
            keyed(&key, step.as_bytes()).finalize().into_bytes().into()
        })
}

/// An HMAC-SHA256 that has seen the message.
pub(super) fn keyed(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length").chain_update(message)
}

fn expires_secs(text: &str) -> Result<u64, ApiError> {
    let seconds: Option<u64> = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    match seconds {
        None => Err(invalid("X-Amz-Expires should be a number".to_owned())),
        Some(seconds) if seconds > EXPIRES_MAX_SECS => Err(invalid(format!(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than {EXPIRES_MAX_SECS} seconds"
        ))),
        Some(seconds) => Ok(seconds),
    }
}

fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    if seconds > 0 && seconds.is_multiple_of(60) { format!("{} min.", seconds / 60) } else { format!("{seconds} sec.") }
}

fn mismatch(request: &[u8], to_sign: &str) -> ApiError {
    invalid(format!(
        "The request signature we calculated does not match the signature you provided. \
         Check your AWS Secret Access Key and signing method. \
         Consult the service documentation for details.\n\n\
         The Canonical String for this request should have been\n'{}'\n\n\
         The String-to-Sign should have been\n'{to_sign}'\n",
        String::from_utf8_lossy(request)
    ))
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorKind::InvalidSignature, message)
}

fn incomplete(message: String) -> ApiError {
    ApiError::new(ErrorKind::IncompleteSignature, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of AWS's documentation, so that signer and verifier cannot agree on
    /// something wrong.
    #[test]
    fn the_published_example_comes_out() {
        let headers: [(&str, &[u8]); 3] = [
            ("Host", b"iam.amazonaws.com"),
            ("Content-Type", b"application/x-www-form-urlencoded; charset=utf-8"),
            ("X-Amz-Date", b"20150830T123600Z"),
        ];
        let parts =
            RequestParts { method: "GET", path: "/", query: "Action=ListUsers&Version=2010-05-08", headers: &headers };
        let scope = Scope { date: "20150830", region: "us-east-1", service: "iam", terminator: TERMINATOR };
        let signed = ["content-type", "host", "x-amz-date"].map(str::to_owned);
        let to_sign =
            string_to_sign("20150830T123600Z", &scope, &canonical::request(&parts, &signed, BodyHash::of(b"")));
        let hash = to_sign.lines().last();
        assert_eq!(hash, Some("f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"));
        let key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &scope);
        let hex = base16ct::lower::encode_string;
        assert_eq!(hex(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
        let signature = keyed(&key, to_sign.as_bytes()).finalize().into_bytes();
        assert_eq!(hex(&signature), "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
    }
}
