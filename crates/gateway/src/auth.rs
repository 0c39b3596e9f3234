//! Who sent a request, and whether they may.
//!
//! Keys are in the catalog, so every node knows them; a new key works as soon as the node has heard
//! of it. Holds: with authentication on, nothing of a request but its head and its bytes' hash is
//! acted on before the signature is known to be right.

use ::http::header::HOST;
use ::http::request::Parts;
use axum::body::Bytes;
use thalweg_kinesis::sign::{Authorization, BodyHash, Expected, RequestParts, missing_token};
use thalweg_kinesis::{ApiError, ErrorKind};
use thalweg_types::UnixMillis;

use crate::call::Call;
use crate::policy::{self, Deed, Verdict};
use crate::subject::Subject;
use crate::{Auth, Gateway};

/// What a request's signature says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The key that signed it, once that is checked.
    pub(crate) access_key: Option<String>,
    /// The region it is meant for.
    pub(crate) region: Option<String>,
}

/// Checks the signature as far as the operator wants.
pub(crate) fn authenticate(
    gateway: &Gateway,
    parts: &Parts,
    body: &Bytes,
    now: UnixMillis,
) -> Result<Caller, ApiError> {
    let headers = headers(parts);
    let signed = RequestParts {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        headers: &headers,
    };
    let auth = gateway.config().auth;
    let authorization = match Authorization::parse(&signed) {
        Ok(authorization) => authorization,
        Err(_) if auth == Auth::Off => None,
        Err(error) => return Err(error),
    };
    let Some(authorization) = authorization else {
        return if auth == Auth::Required { Err(missing_token()) } else { Ok(Caller::default()) };
    };
    let region = authorization.region().filter(|region| !region.is_empty()).map(str::to_owned);
    if auth == Auth::Off {
        return Ok(Caller { access_key: None, region });
    }
    let catalog = gateway.catalog();
    let secret = catalog.access_key(authorization.access_key()).map(|key| key.secret.reveal());
    authorization.verify(&signed, BodyHash::of(body), &Expected { secret, region: None, now })?;
    Ok(Caller { access_key: Some(authorization.access_key().to_owned()), region })
}

/// The headers as they came, and HTTP/2's authority as the host it stands for.
fn headers(parts: &Parts) -> Vec<(&str, &[u8])> {
    let mut headers: Vec<(&str, &[u8])> =
        parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    if !parts.headers.contains_key(HOST)
        && let Some(authority) = parts.uri.authority()
    {
        headers.push((HOST.as_str(), authority.as_str().as_bytes()));
    }
    headers
}

/// Why a caller may not.
#[derive(Debug)]
pub(crate) enum Denial {
    /// A policy says so.
    ByPolicy(ApiError),
    /// Nothing that is known allows it.
    ByNone(ApiError),
}

impl From<Denial> for ApiError {
    fn from(denial: Denial) -> ApiError {
        match denial {
            Denial::ByPolicy(error) | Denial::ByNone(error) => error,
        }
    }
}

/// Refuses what a policy of the stream or consumer that is named denies the caller and, if the caller's
/// key is restricted, what neither the key nor such a policy allows.
pub(crate) fn authorize(gateway: &Gateway, call: &Call, subject: &Subject) -> Result<(), Denial> {
    let Some(access_key) = call.principal.as_deref() else { return Ok(()) };
    let (stream, consumer) = (subject.stream_arn.as_deref(), subject.consumer_arn.as_deref());
    let of_consumer = subject.consumer.as_ref().and_then(|consumer| consumer.policy.as_deref());
    let of_stream = subject.stream.as_ref().and_then(|stream| stream.settings.policy.as_deref());
    let mut allowed = gateway.catalog().access_key(access_key).is_some_and(|key| policy::key_allows(key, call));
    for (text, resources) in [(of_consumer, [consumer, None]), (of_stream, [stream, consumer])] {
        let Some(text) = text else { continue };
        let deed = Deed { account: &call.account, access_key, operation: call.operation.name(), resources };
        // A policy that cannot be read was never put through this front: it denies everything.
        match gateway.policies().read(text).map_or(Verdict::Denied, |policy| policy.judge(deed)) {
            Verdict::Denied => {
                return Err(Denial::ByPolicy(denied(call, access_key, resources[0], DENIED_BY_POLICY)));
            }
            Verdict::Allowed => allowed = true,
            Verdict::Silent => {}
        }
    }
    let because = format!("because no identity-based policy allows the kinesis:{} action", call.operation.name());
    if allowed { Ok(()) } else { Err(Denial::ByNone(denied(call, access_key, consumer.or(stream), &because))) }
}

const DENIED_BY_POLICY: &str = "with an explicit deny in a resource-based policy";

fn denied(call: &Call, access_key: &str, resource: Option<&str>, because: &str) -> ApiError {
    let (account, operation) = (&call.account, call.operation.name());
    let text = format!(
        "User: arn:aws:iam::{account}:user/{access_key} is not authorized to perform: kinesis:{operation} on resource: \
         {} {because}",
        resource.unwrap_or("*")
    );
    ApiError::new(ErrorKind::AccessDenied, text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use thalweg_kinesis::Struct;
    use thalweg_kinesis::token::{Listing, PageToken, ShardIteratorToken};

    use super::*;
    use crate::subject::Names;
    use crate::testing;

    const DENY: &str = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"kinesis:*",
        "Resource":"arn:aws:kinesis:us-east-1:000000000000:stream/orders*"}}"#;
    const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    const CONSUMER: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/reader:9";

    fn is_denied(gateway: &Gateway, operation: &str, region: &str, input: &Struct) -> bool {
        let call = testing::call(operation, region);
        let subject = Names::of(gateway, &call, input).in_catalog(&call, &gateway.catalog());
        match authorize(gateway, &call, &subject) {
            Ok(()) => false,
            Err(denial) => ApiError::from(denial).kind == ErrorKind::AccessDenied,
        }
    }

    #[tokio::test]
    async fn a_streams_policy_binds_by_whichever_way_the_stream_is_named() {
        let gateway = testing::gateway(testing::catalog(Some(DENY), None, json!("unlimited")), Auth::Required);
        let free = testing::gateway(testing::catalog(None, None, json!("unlimited")), Auth::Required);
        let key = gateway.token_key().unwrap();
        let (stream, issued) = (thalweg_types::StreamId(7), UnixMillis(1_000_000));
        let page = PageToken {
            listing: Listing::Shards,
            stream: Some(stream),
            after: "shardId-000000000000".to_owned(),
            detail: vec![2, 0, 0, 0, 0, 0, 0, 0, 0],
            issued,
        };
        let position = thalweg_kinesis::token::TokenPosition::TrimHorizon;
        let iterator = ShardIteratorToken { stream, shard: thalweg_types::ShardId(0), position, issued };
        let ways = [
            ("PutRecord", Struct::new().with("StreamName", "orders")),
            ("PutRecord", Struct::new().with("StreamARN", STREAM)),
            ("TagResource", Struct::new().with("ResourceARN", STREAM)),
            ("ListTagsForResource", Struct::new().with("ResourceARN", CONSUMER)),
            ("SubscribeToShard", Struct::new().with("ConsumerARN", CONSUMER)),
            ("GetRecords", Struct::new().with("ShardIterator", iterator.seal(&key))),
            ("ListShards", Struct::new().with("NextToken", page.seal(&key))),
        ];
        for (operation, input) in &ways {
            for region in ["us-east-1", "eu-west-1"] {
                assert!(is_denied(&gateway, operation, region, input), "{operation} {region} {input:?}");
                assert!(!is_denied(&free, operation, region, input), "{operation} {region} {input:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_consumers_policy_binds_by_its_arn_and_by_its_name() {
        let gateway = testing::gateway(testing::catalog(None, Some(DENY), json!("unlimited")), Auth::Required);
        let by_name = Struct::new().with("StreamARN", STREAM).with("ConsumerName", "reader");
        assert!(is_denied(&gateway, "DeregisterStreamConsumer", "us-east-1", &by_name));
        let by_arn = Struct::new().with("ConsumerARN", CONSUMER);
        assert!(is_denied(&gateway, "DeregisterStreamConsumer", "us-east-1", &by_arn));
        let of_other = Struct::new().with("StreamARN", STREAM).with("ConsumerName", "other");
        assert!(!is_denied(&gateway, "RegisterStreamConsumer", "us-east-1", &of_other));
    }

    fn refused(gateway: &Gateway, operation: &str, input: &Struct) -> Option<String> {
        let call = Call { principal: Some("bound".to_owned()), ..testing::call(operation, "us-east-1") };
        let subject = Names::of(gateway, &call, input).in_catalog(&call, &gateway.catalog());
        authorize(gateway, &call, &subject).err().and_then(|denial| ApiError::from(denial).message)
    }

    #[tokio::test]
    async fn a_restricted_key_may_only_what_it_or_a_policy_allows() {
        let (named, nothing) = (Struct::new().with("StreamName", "orders"), Struct::new());
        let silent = testing::gateway(testing::catalog(None, None, json!("unlimited")), Auth::Required);
        assert_eq!(refused(&silent, "ListStreams", &nothing), None, "its own pattern says so");
        assert_eq!(refused(&silent, "ListShards", &named), None);
        let said = |operation: &str, resource: &str| {
            let (user, action) = ("arn:aws:iam::000000000000:user/bound", format!("kinesis:{operation}"));
            Some(format!(
                "User: {user} is not authorized to perform: {action} on resource: {resource} because no \
                 identity-based policy allows the {action} action"
            ))
        };
        assert_eq!(refused(&silent, "GetShardIterator", &named), said("GetShardIterator", STREAM));
        assert_eq!(refused(&silent, "DescribeLimits", &nothing), said("DescribeLimits", "*"));
        let unknown = Struct::new().with("StreamName", "unknown");
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/unknown";
        for operation in ["CreateStream", "DescribeStream"] {
            assert_eq!(refused(&silent, operation, &unknown), said(operation, arn), "whether it is there or not");
        }
        for unreadable in [Struct::new().with("ShardIterator", "x"), Struct::new().with("StreamARN", "x")] {
            assert!(refused(&silent, "GetRecords", &unreadable).is_some());
        }

        let allow = |action: &str| {
            format!(
                r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":
                "arn:aws:iam::000000000000:user/bound"}},"Action":"kinesis:{action}"}}}}"#
            )
        };
        let reads = allow("Get*");
        let reader = testing::gateway(testing::catalog(Some(&reads), None, json!("unlimited")), Auth::Required);
        assert_eq!(refused(&reader, "GetShardIterator", &named), None);
        assert!(refused(&reader, "PutRecord", &named).is_some());
        let subscribes = allow("SubscribeToShard");
        let consumer = Struct::new().with("ConsumerARN", CONSUMER);
        for (of_stream, of_consumer) in [(Some(&*subscribes), None), (None, Some(&*subscribes))] {
            let catalog = testing::catalog(of_stream, of_consumer, json!("unlimited"));
            let gateway = testing::gateway(catalog, Auth::Required);
            assert_eq!(refused(&gateway, "SubscribeToShard", &consumer), None, "either's policy may allow it");
        }
        let catalog = testing::catalog(Some(DENY), Some(&subscribes), json!("unlimited"));
        let denied = testing::gateway(catalog, Auth::Required);
        assert!(refused(&denied, "SubscribeToShard", &consumer).is_some(), "a deny outweighs it");
        assert!(refused(&denied, "ListShards", &named).is_some(), "and what the key itself allows");
    }
}
