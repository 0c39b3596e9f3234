//! Who sent a request, and whether they may.
//!
//! Keys are in the catalog, so every node knows them; a new key works as soon as the node has heard
//! of it. Holds: with authentication on, nothing of a request but its head and its bytes' hash is
//! acted on before the signature is known to be right.

use std::sync::Arc;

use ::http::header::HOST;
use ::http::request::Parts;
use axum::body::Bytes;
use thalweg_catalog::{FanOutConsumer, Stream};
use thalweg_kinesis::sign::{Authorization, BodyHash, Expected, RequestParts, missing_token};
use thalweg_kinesis::token::{Listing, PageToken, ShardIteratorToken};
use thalweg_kinesis::{ApiError, ErrorKind, Struct};
use thalweg_types::{StreamId, UnixMillis};

use crate::call::Call;
use crate::policy::{Deed, Policy};
use crate::resource::{self, Resource};
use crate::{Auth, Gateway, present, target};

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

/// Refuses what the policy of the stream or consumer that is named denies the caller.
pub(crate) fn authorize(gateway: &Gateway, call: &Call, input: &Struct) -> Result<(), ApiError> {
    let Some(access_key) = call.principal.as_deref() else { return Ok(()) };
    for (resource, policy) in policies(gateway, call, input) {
        let deed = Deed { account: &call.account, access_key, operation: call.operation.name(), resource: &resource };
        // A policy that cannot be read was never put through this front: it denies everything.
        if Policy::parse(&policy).map_or(true, |policy| policy.denies(deed)) {
            return Err(denied(deed));
        }
    }
    Ok(())
}

/// The policies of what a request names, each with the ARN of what it belongs to.
fn policies(gateway: &Gateway, call: &Call, input: &Struct) -> Vec<(String, String)> {
    let Some((stream, consumer)) = named(gateway, call, input) else { return Vec::new() };
    let of_consumer = consumer.and_then(|consumer| {
        Some((present::consumer_arn(call, &stream, &consumer).to_string(), consumer.policy.clone()?))
    });
    let of_stream =
        stream.settings.policy.clone().map(|policy| (present::stream_arn(call, &stream).to_string(), policy));
    of_consumer.into_iter().chain(of_stream).collect()
}

/// What a request names, if that exists; that it does not is for its handler to say.
fn named(gateway: &Gateway, call: &Call, input: &Struct) -> Option<(Arc<Stream>, Option<FanOutConsumer>)> {
    if input.get("ResourceARN").is_some() {
        return Resource::of(gateway, call, input).ok().map(|named| (named.stream, named.consumer));
    }
    if let Some(arn) = input.text("ConsumerARN") {
        let (stream, consumer) = resource::consumer(gateway, call, &arn.parse().ok()?).ok()?;
        return Some((stream, Some(consumer)));
    }
    if let Some(text) = input.text("ShardIterator") {
        let token = ShardIteratorToken::open(&gateway.token_key().ok()?, text).ok()?;
        return with_id(gateway, token.stream).map(|stream| (stream, None));
    }
    if let Some(text) = input.text("NextToken").filter(|_| call.operation.name() == "ListShards") {
        let token = PageToken::open(&gateway.token_key().ok()?, Listing::Shards, text).ok()?;
        return with_id(gateway, token.stream?).map(|stream| (stream, None));
    }
    let stream = target::stream(gateway, call, input).ok()?;
    let consumer = input.text("ConsumerName").and_then(|name| stream.consumers.get(name)).cloned();
    Some((stream, consumer))
}

fn with_id(gateway: &Gateway, id: StreamId) -> Option<Arc<Stream>> {
    gateway.catalog().streams().find(|stream| stream.id == id).cloned()
}

fn denied(deed: Deed<'_>) -> ApiError {
    let Deed { account, access_key, operation, resource } = deed;
    let text = format!(
        "User: arn:aws:iam::{account}:user/{access_key} is not authorized to perform: kinesis:{operation} on resource: \
         {resource} with an explicit deny in a resource-based policy"
    );
    ApiError::new(ErrorKind::AccessDenied, text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    const DENY: &str = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"kinesis:*",
        "Resource":"arn:aws:kinesis:us-east-1:000000000000:stream/orders*"}}"#;
    const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    const CONSUMER: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/reader:9";

    fn is_denied(gateway: &Gateway, operation: &str, region: &str, input: &Struct) -> bool {
        match authorize(gateway, &testing::call(operation, region), input) {
            Ok(()) => false,
            Err(error) => error.kind == ErrorKind::AccessDenied,
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
}
