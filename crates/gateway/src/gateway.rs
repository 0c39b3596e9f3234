//! The front itself: one request from its bytes to its answer.
//!
//! The order of checks is the service's own: method and headers, body, operation, signature, types,
//! constraints, permission, then whatever the handler finds.

use std::sync::Arc;
use std::time::Duration;

use ::http::{Request, Response};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use thalweg_catalog::Catalog;
use thalweg_client::Client;
use thalweg_kinesis::token::TokenKey;
use thalweg_kinesis::{ApiError, ErrorKind, Operation, codec, validate};
use thalweg_types::{Clock, UnixMillis};
use tokio::sync::watch;

use crate::answer::Answer;
use crate::auth::{self, Caller};
use crate::call::Call;
use crate::freshness::{self, Freshness};
use crate::http::{self, ANSWERS_BYTES_MAX, AnswerRoom, BodyRoom, Head, STALL_MAX};
use crate::identity::RequestIds;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::producers::Producers;
use crate::{GatewayConfig, actions};

/// What a gateway is made of.
pub struct GatewayParts {
    /// For changes, records and reads. Its first endpoint should be this node.
    pub client: Client,
    /// The newest catalog that this node knows.
    pub catalog: watch::Receiver<Arc<Catalog>>,
    /// Wall-clock time, for signatures, tokens and trim horizons.
    pub clock: Arc<dyn Clock>,
    /// For request ids and subscription ids.
    pub seed: u64,
    /// What the operator decided.
    pub config: GatewayConfig,
}

/// How long a subscription lasts.
const SUBSCRIPTION_LIFE: Duration = Duration::from_secs(300);

/// The Kinesis front. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
    subscription_life: Duration,
    answers: AnswerRoom,
}

struct Inner {
    client: Client,
    catalog: watch::Receiver<Arc<Catalog>>,
    clock: Arc<dyn Clock>,
    ids: RequestIds,
    producers: Producers,
    limits: Limits,
    freshness: Freshness,
    policies: Policies,
    bodies: BodyRoom,
    metrics: Metrics,
    account: Arc<str>,
    config: GatewayConfig,
}

impl Gateway {
    /// A front over these parts. Nothing runs until requests come.
    pub fn new(parts: GatewayParts) -> Gateway {
        let GatewayParts { client, catalog, clock, seed, config } = parts;
        let account = config.account.as_str().into();
        let (ids, producers) = (RequestIds::seeded(seed), Producers::new(client.clone()));
        let (limits, metrics, bodies) = (Limits::new(config.account_limits), Metrics::default(), BodyRoom::new());
        let (freshness, policies) = (Freshness::new(), Policies::default());
        let inner = Inner {
            client,
            catalog,
            clock,
            ids,
            producers,
            limits,
            freshness,
            policies,
            bodies,
            metrics,
            account,
            config,
        };
        let answers = AnswerRoom::new(ANSWERS_BYTES_MAX, STALL_MAX);
        Gateway { inner: Arc::new(inner), subscription_life: SUBSCRIPTION_LIFE, answers }
    }

    /// The same front, whose subscriptions last so long instead of the service's five minutes: for
    /// tests of what comes afterwards.
    #[must_use]
    pub fn with_subscription_life(self, subscription_life: Duration) -> Gateway {
        Gateway { subscription_life, ..self }
    }

    /// The same front, with so many bytes for answers under way, each cut when its reader takes nothing
    /// for so long: for tests of what comes then.
    #[must_use]
    pub fn with_answer_room(self, bytes_max: usize, stall_max: Duration) -> Gateway {
        Gateway { answers: AnswerRoom::new(bytes_max, stall_max), ..self }
    }

    /// Answers every path and method: the Kinesis API knows only `POST /`, and says so itself.
    pub fn router(&self) -> Router {
        let gateway = self.clone();
        Router::new().fallback(move |request: Request<Body>| {
            let gateway = gateway.clone();
            async move { gateway.serve(request).await }
        })
    }

    async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let stamp = http::Stamp::new(&self.inner.ids, &parts.headers);
        if let Some(preflight) = http::preflight(&parts) {
            return stamp.on(preflight);
        }
        let head = match Head::read(&parts) {
            Ok(head) => head,
            Err(rejection) => return stamp.on(rejection.into_response()),
        };
        let answered = self.receive(&head, &parts, body).await;
        stamp.on(http::respond(head.format, answered))
    }

    async fn receive(&self, head: &Head, parts: &::http::request::Parts, body: Body) -> Result<Answer, ApiError> {
        let body = self.inner.bodies.read(body, &parts.headers).await?;
        self.answer(head, parts, &body.bytes).await
    }

    async fn answer(&self, head: &Head, parts: &::http::request::Parts, body: &Bytes) -> Result<Answer, ApiError> {
        if body.is_empty() {
            return Err(ApiError::bare(ErrorKind::Serialization));
        }
        let now = self.inner.clock.now();
        let (operation, caller) = match self.identify(head, parts, body, now) {
            Ok(identified) => identified,
            // The service parses first, so a body that it cannot read is the first thing it says.
            Err(error) => return Err(codec::check_well_formed(head.format, body).err().unwrap_or(error)),
        };
        let input = codec::decode(head.format, operation.input(), body)?;
        validate::validate(operation, &input)?;
        let region = caller.region.unwrap_or_else(|| self.inner.config.region.clone());
        let call = Call { operation, account: self.inner.account.clone(), region, principal: caller.access_key, now };
        freshness::admit(self, &call, &input).await?;
        actions::perform(self, &call, input).await
    }

    /// What is asked for, and by whom.
    fn identify(
        &self,
        head: &Head,
        parts: &::http::request::Parts,
        body: &Bytes,
        now: UnixMillis,
    ) -> Result<(Operation, Caller), ApiError> {
        let operation = Operation::by_name(&head.operation).ok_or(ApiError::bare(ErrorKind::UnknownOperation))?;
        // A node that has just started knows no stream and no key yet, which does not mean that there are
        // none: clients end for good on what such answers say.
        if self.catalog().cluster().is_none() {
            return Err(not_formed());
        }
        Ok((operation, auth::authenticate(self, parts, body, now)?))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    /// The cluster as this node knows it now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.inner.catalog.borrow().clone()
    }

    /// Sees every later catalog.
    pub(crate) fn catalogs(&self) -> watch::Receiver<Arc<Catalog>> {
        self.inner.catalog.clone()
    }

    pub(crate) fn config(&self) -> &GatewayConfig {
        &self.inner.config
    }

    pub(crate) fn subscription_life(&self) -> Duration {
        self.subscription_life
    }

    pub(crate) fn answers(&self) -> &AnswerRoom {
        &self.answers
    }

    pub(crate) fn ids(&self) -> &RequestIds {
        &self.inner.ids
    }

    pub(crate) fn producers(&self) -> &Producers {
        &self.inner.producers
    }

    pub(crate) fn freshness(&self) -> &Freshness {
        &self.inner.freshness
    }

    pub(crate) fn policies(&self) -> &Policies {
        &self.inner.policies
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// What this front saw of each shard. Shards that are gone are forgotten here.
    pub fn metrics(&self) -> &Metrics {
        let catalog = self.catalog();
        self.inner.metrics.retain(|(stream, shard)| catalog.shard(stream, *shard).is_some());
        &self.inner.metrics
    }

    pub(crate) fn counts(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Authenticates the tokens that clients carry; the same on all nodes.
    pub(crate) fn token_key(&self) -> Result<TokenKey, ApiError> {
        let catalog = self.catalog();
        let cluster = catalog.cluster().ok_or_else(not_formed)?;
        Ok(TokenKey::new(&cluster.token_secret))
    }
}

fn not_formed() -> ApiError {
    ApiError::new(ErrorKind::ServiceUnavailable, "this node has not joined its cluster yet; try again in a moment")
}

#[cfg(test)]
mod tests {
    use ::http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::{Auth, testing};

    async fn answer(gateway: &Gateway, operation: &str, body: &str) -> StatusCode {
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"));
        gateway.serve(request.body(Body::from(body.to_owned())).unwrap()).await.status()
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_without_its_catalog_asks_to_be_tried_again_and_denies_nothing() {
        let body = r#"{"StreamName":"orders","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}"#;
        for auth in [Auth::Off, Auth::Optional, Auth::Required] {
            let starting = testing::gateway(Catalog::new(), auth);
            assert_eq!(answer(&starting, "GetShardIterator", body).await, StatusCode::SERVICE_UNAVAILABLE, "{auth:?}");
            assert_eq!(answer(&starting, "GetShardIterator", "{").await, StatusCode::BAD_REQUEST, "{auth:?}");
        }
        let started = testing::gateway(testing::catalog(None, None, json!("unlimited")), Auth::Off);
        assert_eq!(answer(&started, "ListStreams", "{}").await, StatusCode::OK);
        let known = answer(&started, "GetShardIterator", body).await;
        assert_eq!(known, StatusCode::SERVICE_UNAVAILABLE, "nobody confirms that there is no such shard");
    }
}
