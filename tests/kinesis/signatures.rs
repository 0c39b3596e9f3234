//! Signed requests end to end: keys are made through the native API and checked by every node.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use thalweg_client::{AccessKey, NewAccessKey};
use thalweg_gateway::{Gateway, GatewayConfig, GatewayParts};
use thalweg_kinesis::sign::{BodyHash, RequestParts, Signer};
use thalweg_server::Auth;
use thalweg_types::{Clock, SystemClock, UnixMillis};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::wire::{JSON, request};
use crate::support::{Cluster, PATIENCE, Refusal, Reply, Shape, Wire, arn};

fn cluster() -> &'static Cluster {
    static SIGNED: LazyLock<Cluster> =
        LazyLock::new(|| Cluster::start(Shape { name: "signed", nodes: 1, tls: false, auth: Auth::Required }));
    &SIGNED
}

/// A key that the node knows.
async fn key(description: &str) -> AccessKey {
    made(NewAccessKey { description: description.to_owned(), ..NewAccessKey::default() }).await
}

/// As [`key`], but one that may do only these actions and what policies allow.
async fn restricted(actions: &[&str]) -> AccessKey {
    let allowed = Some(actions.iter().map(|action| (*action).to_owned()).collect());
    made(NewAccessKey { allowed, ..NewAccessKey::default() }).await
}

async fn made(wanted: NewAccessKey) -> AccessKey {
    let cluster = cluster();
    let made = cluster.client(0).cluster().create_access_key(wanted).await.unwrap();
    let mut catalog = cluster.catalog.clone();
    let known = catalog.wait_for(|catalog| catalog.access_key(&made.id).is_some());
    tokio::time::timeout(PATIENCE, known).await.expect("the node hears of the key").unwrap();
    made
}

/// A request and how it is signed.
struct Signing {
    key: AccessKey,
    region: &'static str,
    now: UnixMillis,
}

impl Signing {
    fn with(key: &AccessKey) -> Signing {
        Signing { key: key.clone(), region: "us-east-1", now: SystemClock.now() }
    }

    fn signer(&self) -> Signer<'_> {
        let (access_key, secret) = (&*self.key.id, self.key.secret.reveal());
        Signer { access_key, secret, session_token: None, region: self.region, now: self.now }
    }

    fn request(&self, operation: &str, input: &Value) -> Request<Full<Bytes>> {
        let body = input.to_string();
        let mut signed = request(operation, JSON, body.clone());
        for (name, value) in self.signer().sign(&parts(&headers(&signed)), BodyHash::of(body.as_bytes())) {
            signed.headers_mut().insert(name, value.parse().unwrap());
        }
        signed
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, Refusal> {
        outcome(&send(self.request(operation, &input)).await)
    }
}

type Headers = Vec<(String, Vec<u8>)>;

fn headers(request: &Request<Full<Bytes>>) -> Headers {
    request.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

/// Leaks a little: the signer borrows what lives as long as the test.
fn parts(headers: &Headers) -> RequestParts<'static> {
    let headers: Vec<(&'static str, &'static [u8])> =
        headers.iter().map(|(name, value)| (&*name.clone().leak(), &*value.clone().leak())).collect();
    RequestParts { method: "POST", path: "/", query: "", headers: headers.leak() }
}

async fn send(request: Request<Full<Bytes>>) -> Reply {
    Wire::h1(cluster().endpoints[0]).await.send(request).await
}

fn outcome(reply: &Reply) -> Result<Value, Refusal> {
    match reply.status {
        200 if reply.body.is_empty() => Ok(Value::Null),
        200 => Ok(reply.json()),
        _ => {
            let body = reply.json();
            let text = body["message"].as_str().or(body["Message"].as_str()).unwrap_or_default().to_owned();
            Err(Refusal { kind: body["__type"].as_str().unwrap().to_owned(), text })
        }
    }
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> String {
    outcome.expect_err("a refusal").kind
}

#[tokio::test]
async fn a_signed_request_is_served_over_http_1_and_2() {
    let signing = Signing::with(&key("served").await);
    assert!(signing.call("ListStreams", json!({})).await.unwrap()["StreamNames"].is_array());
    let reply = Wire::h2(cluster().endpoints[0]).await.send(signing.request("ListStreams", &json!({}))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let mut without_host = signing.request("ListStreams", &json!({}));
    without_host.headers_mut().remove("host");
    let reply = Wire::h2(cluster().endpoints[0]).await.send(without_host).await;
    assert_eq!(reply.status, 200, "HTTP/2 names the host as its authority: {reply:?}");
    let elsewhere = Signing { region: "eu-west-1", ..signing };
    let name = json!({ "StreamName": "in-the-scope", "ShardCount": 1 });
    elsewhere.call("CreateStream", name).await.unwrap();
    let summary = elsewhere.call("DescribeStreamSummary", json!({ "StreamName": "in-the-scope" })).await.unwrap();
    let arn = "arn:aws:kinesis:eu-west-1:000000000000:stream/in-the-scope";
    assert_eq!(summary["StreamDescriptionSummary"]["StreamARN"], arn, "the region is the credential's");
}

#[tokio::test]
async fn what_is_signed_wrongly_gets_the_services_errors() {
    let key = key("wrongly").await;
    let signing = Signing::with(&key);
    let unsigned = outcome(&send(request("ListStreams", JSON, "{}")).await);
    assert_eq!(unsigned, Err(Refusal::new("MissingAuthenticationToken", "Missing Authentication Token")));

    let mut tampered = signing.request("ListStreams", &json!({}));
    *tampered.body_mut() = Full::new(Bytes::from_static(b"{ }"));
    assert_eq!(kind(outcome(&send(tampered).await)), "InvalidSignatureException");
    let mut other_operation = signing.request("ListStreams", &json!({}));
    other_operation.headers_mut().insert("x-amz-target", "Kinesis_20131202.DescribeLimits".parse().unwrap());
    assert_eq!(kind(outcome(&send(other_operation).await)), "InvalidSignatureException");
    for minutes in [-6, 6] {
        let now = UnixMillis(signing.now.0.saturating_add_signed(minutes * 60_000));
        let old = Signing { key: key.clone(), region: "us-east-1", now };
        assert_eq!(kind(old.call("ListStreams", json!({})).await), "InvalidSignatureException", "{minutes} minutes");
    }
    let mut stranger = key.clone();
    stranger.id = "AKIAUNKNOWN".to_owned();
    let stranger = Signing::with(&stranger);
    assert_eq!(kind(stranger.call("ListStreams", json!({})).await), "UnrecognizedClientException");
    let mut incomplete = signing.request("ListStreams", &json!({}));
    incomplete.headers_mut().insert("authorization", "AWS4-HMAC-SHA256 Credential=a/b".parse().unwrap());
    assert_eq!(kind(outcome(&send(incomplete).await)), "IncompleteSignatureException");

    let mut unreadable = request("ListStreams", JSON, "{");
    assert_eq!(kind(outcome(&send(unreadable).await)), "SerializationException", "a body that cannot be read is first");
    unreadable = request("NoSuchOperation", JSON, "{}");
    assert_eq!(kind(outcome(&send(unreadable).await)), "UnknownOperationException", "so is an unknown operation");
}

#[tokio::test]
async fn a_presigned_request_is_served_until_it_expires() {
    let key = key("presigned").await;
    let body = r#"{"Limit":1}"#;
    let presigned = |age: Duration| {
        let now = UnixMillis(SystemClock.now().0 - age.as_millis() as u64);
        let signing = Signing { key: key.clone(), region: "us-east-1", now };
        let mut request = request("ListStreams", JSON, body);
        let query = signing.signer().presign(&parts(&headers(&request)), BodyHash::of(body.as_bytes()), 60);
        *request.uri_mut() = format!("http://localhost/?{query}").parse().unwrap();
        request
    };
    let served = send(presigned(Duration::ZERO)).await;
    assert_eq!(served.status, 200, "{served:?}");
    assert_eq!(kind(outcome(&send(presigned(Duration::from_secs(61))).await)), "InvalidSignatureException");
}

#[tokio::test]
async fn a_deleted_key_opens_nothing_any_more() {
    let key = key("deleted").await;
    let signing = Signing::with(&key);
    signing.call("ListStreams", json!({})).await.unwrap();
    cluster().client(0).cluster().delete_access_key(&key.id).await.unwrap();
    let begun = Instant::now();
    let refused = loop {
        match signing.call("ListStreams", json!({})).await {
            Err(refused) => break refused,
            Ok(_) => assert!(begun.elapsed() < PATIENCE, "the key is good for ever"),
        }
    };
    assert_eq!(refused.kind, "UnrecognizedClientException");
}

#[tokio::test]
async fn a_policy_denies_deeds_to_keys() {
    let (writer, reader) = (key("writer").await, key("reader").await);
    let (writer, reader) = (Signing::with(&writer), Signing::with(&reader));
    writer.call("CreateStream", json!({ "StreamName": "guarded", "ShardCount": 1 })).await.unwrap();
    let resource = arn("guarded");
    let put = json!({ "StreamName": "guarded", "PartitionKey": "k", "Data": "eA==" });
    reader.call("PutRecord", put.clone()).await.expect("nothing is denied yet");

    let user = format!("arn:aws:iam::000000000000:user/{}", reader.key.id);
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Deny", "Principal": { "AWS": user }, "Action": "kinesis:Put*", "Resource": resource },
            { "Effect": "Deny", "Principal": "*", "Action": "kinesis:GetRecords" },
        ]
    });
    let input = json!({ "ResourceARN": resource, "Policy": policy.to_string() });
    writer.call("PutResourcePolicy", input).await.unwrap();
    let said = format!(
        "User: {user} is not authorized to perform: kinesis:PutRecord on resource: {resource} with an explicit deny in \
         a resource-based policy"
    );
    assert_eq!(reader.call("PutRecord", put.clone()).await, Err(Refusal::new("AccessDenied", said)), "by key");
    writer.call("PutRecord", put).await.expect("the other key may");
    let asked = json!({ "StreamName": "guarded", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON" });
    for signing in [&reader, &writer] {
        let iterator = signing.call("GetShardIterator", asked.clone()).await.unwrap();
        let read = signing.call("GetRecords", json!({ "ShardIterator": iterator["ShardIterator"] })).await;
        assert_eq!(kind(read), "AccessDeniedException", "by action, whoever it is, and through an iterator");
    }
    writer.call("DeleteResourcePolicy", json!({ "ResourceARN": resource })).await.unwrap();
    let iterator = reader.call("GetShardIterator", asked).await.unwrap();
    reader.call("GetRecords", json!({ "ShardIterator": iterator["ShardIterator"] })).await.unwrap();
}

#[tokio::test]
async fn a_restricted_key_may_what_policies_allow_by_action_and_stream() {
    let owner = Signing::with(&key("owner").await);
    let bound = Signing::with(&restricted(&["ListStreams"]).await);
    let user = format!("arn:aws:iam::000000000000:user/{}", bound.key.id);
    for name in ["granted", "withheld"] {
        owner.call("CreateStream", json!({ "StreamName": name, "ShardCount": 1 })).await.unwrap();
    }
    let put = |name: &str| json!({ "StreamName": name, "PartitionKey": "k", "Data": "eA==" });
    let refusal = |action: &str, resource: &str| {
        Refusal::new(
            "AccessDenied",
            format!(
                "User: {user} is not authorized to perform: kinesis:{action} on resource: {resource} because no \
                 identity-based policy allows the kinesis:{action} action"
            ),
        )
    };
    bound.call("ListStreams", json!({})).await.expect("its own rule");
    assert_eq!(bound.call("DescribeLimits", json!({})).await, Err(refusal("DescribeLimits", "*")));
    assert_eq!(bound.call("PutRecord", put("granted")).await, Err(refusal("PutRecord", &arn("granted"))));
    let allow = |principal: Value, actions: Value, resource: &str| json!({ "Effect": "Allow", "Principal": principal, "Action": actions, "Resource": resource });
    let statements = [
        allow(json!({ "AWS": [user] }), json!(["kinesis:PutRecord*", "kinesis:GetShardIterator"]), &arn("grant*")),
        allow(json!("*"), json!("kinesis:getrecords"), "*"),
    ];
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    let input = json!({ "ResourceARN": arn("granted"), "Policy": policy.to_string() });
    owner.call("PutResourcePolicy", input).await.unwrap();
    bound.call("PutRecord", put("granted")).await.expect("allowed by action and stream");
    let asked = json!({ "StreamName": "granted", "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON" });
    let iterator = bound.call("GetShardIterator", asked).await.unwrap()["ShardIterator"].take();
    let page = bound.call("GetRecords", json!({ "ShardIterator": iterator })).await.unwrap();
    assert_eq!(page["Records"].as_array().unwrap().len(), 1);
    assert_eq!(bound.call("PutRecord", put("withheld")).await, Err(refusal("PutRecord", &arn("withheld"))));
    let delete = bound.call("DeleteStream", json!({ "StreamName": "granted" })).await;
    assert_eq!(delete, Err(refusal("DeleteStream", &arn("granted"))));
    let create = bound.call("CreateStream", json!({ "StreamName": "own", "ShardCount": 1 })).await;
    assert_eq!(create, Err(refusal("CreateStream", &arn("own"))));

    let deny = json!({ "Effect": "Deny", "Principal": { "AWS": "000000000000" }, "Action": "kinesis:Put*" });
    let policy = json!({ "Statement": [statements[0], deny] });
    let input = json!({ "ResourceARN": arn("granted"), "Policy": policy.to_string() });
    owner.call("PutResourcePolicy", input).await.unwrap();
    for signing in [&bound, &owner] {
        let refused = signing.call("PutRecord", put("granted")).await.unwrap_err();
        assert!(refused.text.ends_with("with an explicit deny in a resource-based policy"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_policy_whose_principal_is_nobody_here_is_refused() {
    let signing = Signing::with(&key("policy-writer").await);
    signing.call("CreateStream", json!({ "StreamName": "principals", "ShardCount": 1 })).await.unwrap();
    let put = |principal: Value| {
        let statement = json!({ "Effect": "Deny", "Principal": principal, "Action": "kinesis:*" });
        let policy = json!({ "Statement": statement }).to_string();
        signing.call("PutResourcePolicy", json!({ "ResourceARN": arn("principals"), "Policy": policy }))
    };
    for principal in [json!({ "Service": "lambda.amazonaws.com" }), json!({ "AWS": "*", "Federated": "x" })] {
        let refused = put(principal).await.unwrap_err();
        assert_eq!(refused.kind, "InvalidArgumentException");
        assert!(refused.text.contains("is nobody in this cluster: only `AWS` is known"), "{refused:?}");
    }
    let other = put(json!({ "AWS": "arn:aws:iam::111111111111:root" })).await.unwrap_err();
    assert!(other.text.contains("`arn:aws:iam::111111111111:root` is nobody in this cluster"), "{other:?}");
    let told = signing.call("GetResourcePolicy", json!({ "ResourceARN": arn("principals") })).await.unwrap();
    assert_eq!(told["Policy"], "{}", "nothing was put");
}

#[tokio::test]
async fn a_policy_of_a_consumer_guards_its_subscriptions() {
    let signing = Signing::with(&key("subscriber").await);
    signing.call("CreateStream", json!({ "StreamName": "subscribed", "ShardCount": 1 })).await.unwrap();
    let input = json!({ "StreamARN": arn("subscribed"), "ConsumerName": "c" });
    let made = signing.call("RegisterStreamConsumer", input).await.unwrap();
    let consumer = &made["Consumer"]["ConsumerARN"];
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"kinesis:SubscribeToShard"}}"#;
    signing.call("PutResourcePolicy", json!({ "ResourceARN": consumer, "Policy": policy })).await.unwrap();
    let named = json!({ "StreamARN": arn("subscribed"), "ConsumerName": "c" });
    signing.call("DescribeStreamConsumer", named.clone()).await.expect("this is not denied yet");
    let start = json!({ "ConsumerARN": consumer, "ShardId": "0", "StartingPosition": { "Type": "LATEST" } });
    assert_eq!(kind(signing.call("SubscribeToShard", start).await), "AccessDeniedException");
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"kinesis:DescribeStreamConsumer"}}"#;
    signing.call("PutResourcePolicy", json!({ "ResourceARN": consumer, "Policy": policy })).await.unwrap();
    for input in [json!({ "ConsumerARN": consumer }), named] {
        let described = signing.call("DescribeStreamConsumer", input).await;
        assert_eq!(kind(described), "AccessDeniedException", "by whatever name");
    }
}

#[tokio::test]
async fn a_policy_is_not_passed_by_with_a_page_token() {
    let signing = Signing::with(&key("lister").await);
    signing.call("CreateStream", json!({ "StreamName": "unlisted", "ShardCount": 2 })).await.unwrap();
    let page = signing.call("ListShards", json!({ "StreamName": "unlisted", "MaxResults": 1 })).await.unwrap();
    let token = &page["NextToken"];
    signing.call("ListShards", json!({ "NextToken": token })).await.expect("nothing is denied yet");
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"kinesis:ListShards"}}"#;
    signing.call("PutResourcePolicy", json!({ "ResourceARN": arn("unlisted"), "Policy": policy })).await.unwrap();
    for input in [json!({ "StreamName": "unlisted" }), json!({ "NextToken": token })] {
        assert_eq!(kind(signing.call("ListShards", input.clone()).await), "AccessDeniedException", "{input}");
    }
}

#[tokio::test]
async fn where_signatures_are_optional_those_that_are_there_must_be_right() {
    let key = key("optional").await;
    let cluster = cluster();
    let parts = GatewayParts {
        client: cluster.client(0),
        catalog: cluster.catalog.clone(),
        clock: std::sync::Arc::new(SystemClock),
        seed: 7,
        config: GatewayConfig { auth: Auth::Optional, ..GatewayConfig::default() },
    };
    let gateway = Gateway::new(parts);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, gateway.router()).await });
    let mut wire = Wire::h1(address).await;
    let right = Signing::with(&key).request("ListStreams", &json!({}));
    let mut wrong = Signing::with(&key).request("ListStreams", &json!({}));
    *wrong.body_mut() = Full::new(Bytes::from_static(b"{ }"));
    assert_eq!(wire.send(request("ListStreams", JSON, "{}")).await.status, 200);
    assert_eq!(wire.send(right).await.status, 200);
    assert_eq!(kind(outcome(&wire.send(wrong).await)), "InvalidSignatureException");
}
