//! The other side: signing a request. For tests and tools; a node signs nothing.

use hmac::Mac;
use thalweg_types::UnixMillis;

use super::verify::{Scope, keyed, signing_key, string_to_sign};
use super::{ALGORITHM, BodyHash, RequestParts, SERVICE, TERMINATOR, canonical, date};

/// Who signs, where and when.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// The access key's id.
    pub access_key: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// The token of temporary credentials.
    pub session_token: Option<&'a str>,
    /// The region of the scope.
    pub region: &'a str,
    /// The time.
    pub now: UnixMillis,
}

impl Signer<'_> {
    /// The headers to add to a request so that it is signed. `parts` must carry `host`; what it
    /// has of `content-type` and `x-amz-` headers is signed too.
    pub fn sign(&self, parts: &RequestParts<'_>, body: BodyHash) -> Vec<(&'static str, String)> {
        let stamp = date::basic(self.now);
        let mut added = vec![("x-amz-date", stamp.clone())];
        added.extend(self.session_token.map(|token| ("x-amz-security-token", token.to_owned())));
        let all = added.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers: Vec<(&str, &[u8])> = parts.headers.iter().copied().chain(all).collect();
        let signed = names_to_sign(&headers);
        let signature = self.signature(&RequestParts { headers: &headers, ..*parts }, &signed, body, &stamp);
        let (credential, signed) = (self.credential(&stamp), signed.join(";"));
        let value = format!("{ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}");
        added.push(("authorization", value));
        added
    }

    /// The query of a presigned URL, which signs the same headers.
    pub fn presign(&self, parts: &RequestParts<'_>, body: BodyHash, expires_secs: u32) -> String {
        let stamp = date::basic(self.now);
        let signed = names_to_sign(parts.headers);
        let mut query = parts.query.to_owned();
        let mut add = |name: &str, value: &str| {
            query.push_str(if query.is_empty() { "" } else { "&" });
            query.push_str(&format!("{name}={}", canonical::encode(value.as_bytes())));
        };
        add("X-Amz-Algorithm", ALGORITHM);
        add("X-Amz-Credential", &self.credential(&stamp));
        add("X-Amz-Date", &stamp);
        add("X-Amz-Expires", &expires_secs.to_string());
        add("X-Amz-SignedHeaders", &signed.join(";"));
        if let Some(token) = self.session_token {
            add("X-Amz-Security-Token", token);
        }
        let signature = self.signature(&RequestParts { query: &query, ..*parts }, &signed, body, &stamp);
        format!("{query}&X-Amz-Signature={signature}")
    }

    fn signature(&self, parts: &RequestParts<'_>, signed: &[String], body: BodyHash, stamp: &str) -> String {
        let scope = Scope { date: &stamp[..8], region: self.region, service: SERVICE, terminator: TERMINATOR };
        let to_sign = string_to_sign(stamp, &scope, &canonical::request(parts, signed, body));
        let signature = keyed(&signing_key(self.secret, &scope), to_sign.as_bytes()).finalize().into_bytes();
        base16ct::lower::encode_string(&signature)
    }

    fn credential(&self, stamp: &str) -> String {
        format!("{}/{}/{}/{SERVICE}/{TERMINATOR}", self.access_key, &stamp[..8], self.region)
    }
}

fn names_to_sign(headers: &[(&str, &[u8])]) -> Vec<String> {
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.retain(|name| matches!(name.as_str(), "host" | "content-type") || name.starts_with("x-amz-"));
    names.sort_unstable();
    names.dedup();
    names
}
