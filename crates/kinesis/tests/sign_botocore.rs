//! The verifier against botocore's signer: all it signs passes, nothing changed afterwards does.

mod sign_python;

use serde_json::Value;
use thalweg_kinesis::sign::{Authorization, BodyHash, Expected, RequestParts, missing_token};
use thalweg_kinesis::{ApiError, ErrorKind};
use thalweg_types::UnixMillis;

/// A request as botocore sends it, and who signed it.
#[derive(Clone, Debug)]
struct Signed {
    presigned: bool,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    access_key: String,
    secret: String,
    token: Option<String>,
    region: String,
    now: UnixMillis,
}

impl Signed {
    fn read(line: &str) -> Signed {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        let bytes = |value: &Value| base64_simd::STANDARD.decode_to_vec(value.as_str().unwrap()).unwrap();
        let header = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), bytes(&pair[1]));
        Signed {
            presigned: value["kind"] == "query",
            method: text("method"),
            path: text("path"),
            query: text("query"),
            headers: value["headers"].as_array().unwrap().iter().map(header).collect(),
            body: bytes(&value["body"]),
            access_key: text("access_key"),
            secret: text("secret"),
            token: value["token"].as_str().map(str::to_owned),
            region: text("region"),
            now: UnixMillis(value["now_secs"].as_u64().unwrap() * 1000),
        }
    }

    fn check(&self) -> Result<Authorization, ApiError> {
        let headers: Vec<(&str, &[u8])> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let parts = RequestParts { method: &self.method, path: &self.path, query: &self.query, headers: &headers };
        let authorization = Authorization::parse(&parts)?.ok_or_else(missing_token)?;
        let secret = (authorization.access_key() == self.access_key).then_some(&*self.secret);
        let expected = Expected { secret, region: Some(&self.region), now: self.now };
        authorization.verify(&parts, BodyHash::of(&self.body), &expected)?;
        Ok(authorization)
    }

    /// Where the signature stands: replaces a piece of it, which must be there.
    fn replace(&self, from: &str, to: &str) -> Signed {
        let mut changed = self.clone();
        let header = changed.headers.iter_mut().find(|(name, _)| name == "Authorization").map(|(_, value)| value);
        match header {
            Some(value) => *value = replaced(&String::from_utf8(value.clone()).unwrap(), from, to).into_bytes(),
            None => changed.query = replaced(&changed.query, from, to),
        }
        changed
    }

    fn signature(&self) -> String {
        let header = self.headers.iter().find(|(name, _)| name == "Authorization");
        let text = header.map_or(self.query.clone(), |(_, value)| String::from_utf8(value.clone()).unwrap());
        text.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    fn with(&self, change: impl FnOnce(&mut Signed)) -> Signed {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    /// The same request, changed in one way each.
    fn tampered(&self, seed: usize) -> Vec<(&'static str, Signed)> {
        let signature = self.signature();
        let mut bits = signature.clone().into_bytes();
        bits[seed % 64] ^= 1 << (seed / 64 % 7);
        let flipped = String::from_utf8(bits).unwrap();
        let other_region = if self.region == "us-east-1" { "eu-west-1" } else { "us-east-1" };
        let slash = if self.presigned { "%2F" } else { "/" };
        let scope = |region: &str| format!("{slash}{region}{slash}kinesis{slash}");
        let region = self.replace(&scope(&self.region), &scope(other_region));
        vec![
            ("body, a byte more", self.with(|request| request.body.push(0))),
            ("secret", self.with(|request| request.secret.push('x'))),
            ("method", self.with(|request| request.method = "DELETE".to_owned())),
            ("path", self.with(|request| request.path.push_str("/x"))),
            ("query, a parameter more", self.with(|request| request.query.push_str("&x=y"))),
            ("signature", self.replace(&signature, &flipped)),
            ("region", region.with(|request| request.region = other_region.to_owned())),
            ("region, only in the scope", region),
            ("access key", self.replace(&self.access_key, "AKIASOMEONEELSE")),
            ("header more", self.with(|request| request.headers.push(("x-amz-more".to_owned(), b"1".to_vec())))),
            ("target", self.change_header("X-Amz-Target", |value| value.push(b'x'))),
            ("host", self.change_header("Host", |value| value.insert(0, b'x'))),
            ("content type", self.change_header("Content-Type", |value| value[3] = b'_')),
            ("target, a second time", self.repeat_header("X-Amz-Target")),
            ("target, gone", self.with(|request| request.headers.retain(|(name, _)| name != "X-Amz-Target"))),
            ("a second later", self.a_second_later()),
        ]
    }

    fn change_header(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Signed {
        self.with(|request| {
            let header = request.headers.iter_mut().find(|(known, _)| known == name);
            change(&mut header.expect("botocore sends it").1);
        })
    }

    fn repeat_header(&self, name: &str) -> Signed {
        self.with(|request| {
            let header = request.headers.iter().find(|(known, _)| known == name);
            request.headers.push(header.expect("botocore sends it").clone());
        })
    }

    /// With another date, and a scope that agrees with it.
    fn a_second_later(&self) -> Signed {
        let tick = |value: &mut Vec<u8>| {
            let last = value.iter_mut().rev().find(|byte| byte.is_ascii_digit()).expect("a date has digits");
            *last = if *last == b'0' { b'1' } else { *last - 1 };
        };
        if let Some((_, date)) = self.query.split_once("X-Amz-Date=") {
            let date = &date[..16];
            let mut ticked = date.as_bytes().to_vec();
            tick(&mut ticked);
            return self
                .with(|request| request.query = replaced(&request.query, date, str::from_utf8(&ticked).unwrap()));
        }
        let name = if self.headers.iter().any(|(name, _)| name == "X-Amz-Date") { "X-Amz-Date" } else { "Date" };
        // The Date header ends in its zone: the second stands before it.
        self.change_header(name, |value| {
            let end = if name == "Date" { value.len() - 6 } else { value.len() };
            let mut second = value[..end].to_vec();
            tick(&mut second);
            value[..end].copy_from_slice(&second);
        })
    }
}

#[track_caller]
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    text.replacen(from, to, 1)
}

#[test]
fn what_botocore_signs_passes_and_nothing_changed_afterwards_does() {
    let Some(output) = sign_python::run("sign_botocore.py", b"") else { return };
    let requests: Vec<Signed> = output.lines().map(Signed::read).collect();
    assert_eq!(requests.len(), 2000);
    assert_eq!(requests.iter().filter(|request| request.presigned).count(), 600);
    for (seed, request) in requests.iter().enumerate() {
        let authorization = request.check().unwrap_or_else(|error| panic!("{request:?}\n{error}"));
        assert_eq!(authorization.access_key(), request.access_key);
        assert_eq!(authorization.session_token(), request.token.as_deref());
        assert_eq!(authorization.signed_at(), Some(request.now));
        assert_eq!(authorization.is_presigned(), request.presigned);
        for (what, tampered) in request.tampered(seed) {
            let refused = tampered.check().err().unwrap_or_else(|| panic!("passes with another {what}: {tampered:?}"));
            let class = match what {
                "access key" => refused.kind == ErrorKind::UnrecognizedClient,
                _ => matches!(refused.kind, ErrorKind::InvalidSignature | ErrorKind::IncompleteSignature),
            };
            assert!(class, "{what}: {refused}");
        }
    }
}
