//! A front without a cluster, over a catalog that tests write down: for what is decided here.

use std::sync::Arc;

use serde_json::{Value, json};
use thalweg_catalog::Catalog;
use thalweg_client::{Client, Options};
use thalweg_kinesis::Operation;
use thalweg_types::{Clock, UnixMillis};
use tokio::sync::watch;

use crate::call::Call;
use crate::{Auth, Gateway, GatewayConfig, GatewayParts};

/// The account of all tests.
pub(crate) const ACCOUNT: &str = "000000000000";

struct Standing;

impl Clock for Standing {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_000_000)
    }
}

/// A catalog with the keys `someone`, who may everything, and `bound`, who may list things, and with the
/// stream `orders` (id 7, no shards) and its consumer `reader`, each with a policy.
pub(crate) fn catalog(of_stream: Option<&str>, of_consumer: Option<&str>, limits: Value) -> Catalog {
    let mut catalog = serde_json::to_value(Catalog::new()).unwrap();
    catalog["cluster"] = json!({ "id": "test", "token_secret": "secret", "formed_at": 1 });
    for (id, allowed) in [("someone", json!(null)), ("bound", json!(["List*"]))] {
        catalog["access_keys"][id] = json!({ "id": id, "secret": "s", "created_at": 1, "allowed": allowed });
    }
    catalog["streams"]["orders"] = json!({
        "id": 7, "name": "orders", "status": "Active", "shards": {}, "next_shard": "shardId-000000000000", "retention_hours": 24,
        "replication": 1, "durability": "fsync", "record_bytes_max": 1_048_576, "created_at": 5_000,
        "trimmed_until": 0, "reshards": [], "scaling": null,
        "settings": { "policy": of_stream, "limits": limits },
        "consumers": { "reader": { "name": "reader", "created_at": 9_000, "policy": of_consumer } },
    });
    serde_json::from_value(catalog).unwrap()
}

/// A front that knows this catalog. Nobody answers behind it.
pub(crate) fn gateway(catalog: Catalog, auth: Auth) -> Gateway {
    let (_, catalog) = watch::channel(Arc::new(catalog));
    let client = Client::connect(Options::new(["127.0.0.1:1".to_owned()])).unwrap();
    let config = GatewayConfig { auth, ..GatewayConfig::default() };
    Gateway::new(GatewayParts { client, catalog, clock: Arc::new(Standing), seed: 1, config })
}

/// A call of an operation, by the key `someone`.
pub(crate) fn call(operation: &str, region: &str) -> Call {
    Call {
        operation: Operation::by_name(operation).unwrap(),
        account: ACCOUNT.into(),
        region: region.to_owned(),
        principal: Some("someone".to_owned()),
        now: UnixMillis(1_000_000),
    }
}
