//! No request makes the verifier panic, and none passes that nobody signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_kinesis::sign::{Authorization, BodyHash, Expected, RequestParts};
use thalweg_types::UnixMillis;

/// 2015-08-30 12:36:00.
const NOW: UnixMillis = UnixMillis(1_440_938_160_000);

fuzz_target!(|input: (&str, Vec<(&str, &[u8])>, &[u8])| {
    let (target, headers, body) = input;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut all: Vec<(&str, &[u8])> = vec![("host", b"localhost"), ("x-amz-date", b"20150830T123600Z")];
    all.extend(headers);
    let parts = RequestParts { method: "POST", path, query, headers: &all };
    if let Ok(Some(authorization)) = Authorization::parse(&parts) {
        let expected = Expected { secret: Some("nobody knows this"), region: None, now: NOW };
        assert!(authorization.verify(&parts, BodyHash::of(body), &expected).is_err());
    }
});
