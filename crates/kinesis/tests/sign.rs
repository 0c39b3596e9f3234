//! SigV4: the service's words for every way to be wrong, and that only what was signed passes.

use proptest::prelude::*;
use thalweg_kinesis::sign::{Authorization, BodyHash, Expected, RequestParts, Signer, missing_token, unknown_key};
use thalweg_kinesis::{ApiError, ErrorKind};
use thalweg_types::UnixMillis;

/// 2015-08-30 12:36:00.
const SIGNED: UnixMillis = UnixMillis(1_440_938_160_000);
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const BODY: &[u8] = b"{\"StreamName\":\"orders\"}";
const SIGNER: Signer<'_> =
    Signer { access_key: "AKIDEXAMPLE", secret: SECRET, session_token: None, region: "us-east-1", now: SIGNED };

/// A request that tests change before it is checked.
#[derive(Clone)]
struct Request {
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    now: UnixMillis,
    secret: Option<&'static str>,
    region: Option<&'static str>,
}

impl Request {
    fn unsigned() -> Request {
        let mut request = Request {
            path: "/".to_owned(),
            query: String::new(),
            headers: Vec::new(),
            body: BODY.to_vec(),
            now: SIGNED,
            secret: Some(SECRET),
            region: Some("us-east-1"),
        };
        request.set("host", "localhost:4567");
        request.set("content-type", "application/x-amz-json-1.1");
        request.set("x-amz-target", "Kinesis_20131202.DescribeStream");
        request
    }

    fn signed() -> Request {
        Request::unsigned().sign(&SIGNER)
    }

    fn presigned(expires_secs: u32) -> Request {
        let mut request = Request::unsigned();
        let body = BodyHash::of(&request.body);
        request.query = request.with_parts(|parts| SIGNER.presign(parts, body, expires_secs));
        request
    }

    fn sign(mut self, signer: &Signer<'_>) -> Request {
        let body = BodyHash::of(&self.body);
        for (name, value) in self.with_parts(|parts| signer.sign(parts, body)) {
            self.set(name, &value);
        }
        self
    }

    fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
    }

    fn get(&self, name: &str) -> String {
        let value = self.headers.iter().find(|(known, _)| known == name);
        String::from_utf8(value.unwrap().1.clone()).unwrap()
    }

    /// Replaces a piece of the authorization, which must be there.
    fn authorization(mut self, from: &str, to: &str) -> Request {
        let value = self.get("authorization");
        assert!(value.contains(from), "{value}");
        self.set("authorization", &value.replace(from, to));
        self
    }

    fn with_parts<T>(&self, use_it: impl FnOnce(&RequestParts<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        use_it(&RequestParts { method: "POST", path: &self.path, query: &self.query, headers: &headers })
    }

    fn check(&self) -> Result<(), ApiError> {
        let expected = Expected { secret: self.secret, region: self.region, now: self.now };
        self.with_parts(|parts| {
            let authorization = Authorization::parse(parts)?.ok_or_else(missing_token)?;
            authorization.verify(parts, BodyHash::of(&self.body), &expected)
        })
    }

    #[track_caller]
    fn refused(&self, kind: ErrorKind, message: &str) {
        assert_eq!(self.check(), Err(ApiError::new(kind, message)));
    }

    #[track_caller]
    fn mismatched(&self) {
        let refused = self.check().unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidSignature);
        let message = refused.message.unwrap();
        assert!(
            message.starts_with("The request signature we calculated does not match the signature you"),
            "{message}"
        );
    }
}

#[test]
fn what_is_signed_passes() {
    assert_eq!(Request::signed().check(), Ok(()));
    assert_eq!(Request::presigned(60).check(), Ok(()));
    let temporary = Request::unsigned().sign(&Signer { session_token: Some("to/ken+="), ..SIGNER });
    assert_eq!(temporary.check(), Ok(()));
    let authorization = temporary.with_parts(|parts| Authorization::parse(parts).unwrap().unwrap());
    assert_eq!(authorization.session_token(), Some("to/ken+="));
    assert_eq!(authorization.access_key(), "AKIDEXAMPLE");
    assert_eq!((authorization.date(), authorization.region()), (Some("20150830"), Some("us-east-1")));
    assert_eq!((authorization.service(), authorization.signed_at()), (Some("kinesis"), Some(SIGNED)));
    assert!(!authorization.is_presigned());
}

#[test]
fn an_unsigned_request_is_told_that_its_token_is_missing() {
    Request::unsigned().refused(ErrorKind::MissingAuthenticationToken, "Missing Authentication Token");
    let mut almost = Request::unsigned();
    almost.query = "X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=c&X-Amz-Date=d".to_owned();
    almost.refused(ErrorKind::MissingAuthenticationToken, "Missing Authentication Token");
}

#[test]
fn a_request_that_is_signed_twice_is_refused() {
    let mut both = Request::signed();
    both.query = "X-Amz-Algorithm".to_owned();
    both.refused(
        ErrorKind::InvalidSignature,
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    );
}

#[test]
fn an_incomplete_header_is_told_all_that_is_missing() {
    let mut request = Request::unsigned();
    request.set("authorization", "X");
    request.refused(
        ErrorKind::IncompleteSignature,
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
         Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a \
         'X-Amz-Date' or a 'Date' header. Authorization=X",
    );
    request.set("date", "a");
    for header in
        ["AWS4- Signature=b Credential=a", "AWS4- Signature=b,Credential=a", "AWS4- Signature=b, Credential=a"]
    {
        request.set("authorization", header);
        let message = format!("Authorization header requires 'SignedHeaders' parameter. Authorization={header}");
        request.refused(ErrorKind::IncompleteSignature, &message);
    }
    request.set("authorization", "Bearer token");
    request.refused(
        ErrorKind::IncompleteSignature,
        "'token' not a valid key=value pair (missing equal-sign) in Authorization header: 'Bearer token'.",
    );
}

#[test]
fn an_incomplete_query_is_told_all_that_is_missing() {
    let mut request = Request::unsigned();
    request.query = "X-Amz-Algorithm".to_owned();
    request.refused(
        ErrorKind::IncompleteSignature,
        "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include \
         'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters \
         must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. \
         Re-examine the query-string parameters.",
    );
    request.query = "X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d".to_owned();
    request.refused(
        ErrorKind::IncompleteSignature,
        "AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the query-string parameters.",
    );
}

#[test]
fn a_date_that_is_none_is_refused() {
    let mut request = Request::signed();
    request.set("x-amz-date", "2015-08-30");
    request.refused(
        ErrorKind::IncompleteSignature,
        "Date must be in ISO-8601 'basic format'. Got '2015-08-30'. See http://en.wikipedia.org/wiki/ISO_8601",
    );
}

#[test]
fn clocks_may_be_five_minutes_apart_and_not_more() {
    let mut request = Request::signed();
    for allowed in [SIGNED.0 + 300_999, SIGNED.0 - 300_000] {
        request.now = UnixMillis(allowed);
        assert_eq!(request.check(), Ok(()), "{allowed}");
    }
    request.now = UnixMillis(SIGNED.0 + 301_000);
    request.refused(
        ErrorKind::InvalidSignature,
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)",
    );
    request.now = UnixMillis(SIGNED.0 - 301_000);
    request.refused(
        ErrorKind::InvalidSignature,
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)",
    );
}

#[test]
fn a_presigned_url_lives_as_long_as_it_says() {
    let mut request = Request::presigned(90);
    request.now = UnixMillis(SIGNED.0 + 90_000);
    assert_eq!(request.check(), Ok(()));
    request.now = UnixMillis(SIGNED.0 + 91_000);
    request.refused(
        ErrorKind::InvalidSignature,
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T123731Z - 90 sec.)",
    );
    let mut longer = Request::presigned(90);
    longer.query = longer.query.replace("X-Amz-Expires=90", "X-Amz-Expires=91");
    longer.mismatched();
    assert_eq!(Request::presigned(604_800).check(), Ok(()));
    assert_eq!(Request::presigned(604_801).check().unwrap_err().kind, ErrorKind::InvalidSignature);
    longer.query = longer.query.replace("X-Amz-Expires=91", "X-Amz-Expires=-1");
    longer.refused(ErrorKind::InvalidSignature, "X-Amz-Expires should be a number");
}

#[test]
fn host_and_every_amz_header_must_be_signed() {
    Request::signed().authorization("SignedHeaders=content-type;host;", "SignedHeaders=content-type;").refused(
        ErrorKind::InvalidSignature,
        "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    );
    let mut added = Request::signed();
    added.set("X-Amz-Extra", "1");
    added.refused(ErrorKind::InvalidSignature, "'X-Amz-Extra' must be a 'SignedHeader' in the AWS Authorization.");
    let mut gone = Request::signed();
    gone.headers.retain(|(name, _)| name != "content-type");
    gone.refused(
        ErrorKind::IncompleteSignature,
        "'content-type' is named as a SignedHeader, but it does not exist in the HTTP request.",
    );
    let mut unsigned_extra = Request::signed();
    unsigned_extra.set("user-agent", "proxies may change this");
    assert_eq!(unsigned_extra.check(), Ok(()));
}

#[test]
fn other_algorithms_and_broken_credentials_are_refused() {
    Request::signed().authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA25").refused(
        ErrorKind::IncompleteSignature,
        "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA25' (only AWS4-HMAC-SHA256 for now). ",
    );
    Request::signed().authorization("AKIDEXAMPLE/", "AK/ID/").refused(
        ErrorKind::IncompleteSignature,
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, \
         got 'AK/ID/20150830/us-east-1/kinesis/aws4_request'",
    );
}

#[test]
fn a_scope_is_told_all_that_is_wrong_with_it() {
    Request::signed().authorization("20150830/us-east-1/kinesis/aws4_request", "b/c/d/e").refused(
        ErrorKind::InvalidSignature,
        "Credential should be scoped to a valid region, not 'c'. Credential should be scoped to correct service: \
         'kinesis'. Credential should be scoped with a valid terminator: 'aws4_request', not 'e'. Date in Credential \
         scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: 'b' != '20150830', from \
         '20150830T123600Z'.",
    );
    let mut anywhere = Request::unsigned().sign(&Signer { region: "mars-north-1", ..SIGNER });
    anywhere
        .refused(ErrorKind::InvalidSignature, "Credential should be scoped to a valid region, not 'mars-north-1'. ");
    anywhere.region = None;
    assert_eq!(anywhere.check(), Ok(()));
}

#[test]
fn an_unknown_key_is_told_only_that() {
    let mut request = Request::signed();
    request.secret = None;
    assert_eq!(request.check(), Err(unknown_key()));
    request.refused(ErrorKind::UnrecognizedClient, "The security token included in the request is invalid.");
}

#[test]
fn a_mismatch_shows_what_should_have_been_signed() {
    let mut request = Request::signed();
    request.body = b"{}".to_vec();
    request.mismatched();
    let message = request.check().unwrap_err().message.unwrap();
    assert!(
        message.contains("'POST\n/\n\ncontent-type:application/x-amz-json-1.1\nhost:localhost:4567\n"),
        "{message}"
    );
    assert!(
        message.contains("'AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/kinesis/aws4_request\n"),
        "{message}"
    );
}

#[test]
fn a_declared_body_hash_must_be_the_bodys() {
    let with = |declared: &str| {
        let mut request = Request::unsigned();
        request.set("x-amz-content-sha256", declared);
        request.sign(&SIGNER)
    };
    let hash = BodyHash::of(BODY);
    assert_eq!(with(&format!("{hash:?}")).check(), Ok(()));
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    with(empty).mismatched();
    with("UNSIGNED-PAYLOAD").mismatched();
}

#[test]
fn every_bit_of_a_signature_matters() {
    let request = Request::signed();
    let text = request.get("authorization").into_bytes();
    for at in text.len() - 64..text.len() {
        for bit in 0..8 {
            let mut changed = request.clone();
            let mut bytes = text.clone();
            bytes[at] ^= 1 << bit;
            changed.headers.retain(|(name, _)| name != "authorization");
            changed.headers.push(("authorization".to_owned(), bytes));
            assert!(changed.check().is_err(), "bit {bit} of character {at}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_signed_passes_and_any_change_of_it_does_not(
        path in "(/[a-zA-Z0-9%._~-]{0,6}){0,4}", query in "([a-z%+]{1,3}(=[a-z0-9%]{0,4})?&?){0,4}",
        header in "[ -~é]{0,30}", body in proptest::collection::vec(any::<u8>(), 0..50), at: prop::sample::Index,
    ) {
        let mut request = Request::unsigned();
        (request.path, request.query, request.body) = (path, query, body);
        request.set("x-amz-meta", &header);
        let request = request.sign(&SIGNER);
        prop_assert_eq!(request.check(), Ok(()));

        let mut longer = request.clone();
        longer.body.insert(at.index(longer.body.len() + 1), 0);
        prop_assert!(longer.check().is_err());
        let mut elsewhere = request.clone();
        elsewhere.path.push_str("/x");
        prop_assert!(elsewhere.check().is_err());
        let mut asked = request.clone();
        asked.query.push_str("&x=");
        prop_assert!(asked.check().is_err());
        let mut told = request;
        told.set("x-amz-meta", &format!("{header}x"));
        prop_assert!(told.check().is_err());
    }

    #[test]
    fn no_request_makes_the_verifier_panic(
        path in ".{0,20}", query in ".{0,40}", authorization in "AWS4-HMAC-SHA256 .{0,80}|.{0,40}",
        date in ".{0,20}", name in "[a-zA-Z-]{0,8}", value in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut request = Request::unsigned();
        (request.path, request.query) = (path, query);
        request.set("authorization", &authorization);
        request.set("x-amz-date", &date);
        request.headers.push((name, value));
        prop_assert!(request.check().is_err());
    }

    #[test]
    fn no_query_makes_the_verifier_panic(
        credential in ".{0,30}", date in "20150830T123600Z|.{0,16}", expires in "[-0-9a-z]{0,25}", signed in "(host;?)?.{0,20}",
    ) {
        let mut request = Request::unsigned();
        request.query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={expires}\
             &X-Amz-SignedHeaders={signed}&X-Amz-Signature=0"
        );
        prop_assert!(request.check().is_err());
    }
}
