//! Access keys, with which clients of the Kinesis API sign their requests. Any node answers.
//!
//! A secret is in the answer to [`Cluster::create_access_key`] and in no other.

use std::collections::BTreeSet;

use thalweg_catalog::{AccessKey, Secret};
use thalweg_proto::v1;
use thalweg_types::UnixMillis;

use crate::call::{CallError, Repeat};
use crate::client::stub;
use crate::cluster::Cluster;
use crate::wire;

/// An access key to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAccessKey {
    /// Id and secret of a key that exists elsewhere; both are drawn at random unless given.
    pub import: Option<(String, Secret)>,
    /// Whose it is, for people.
    pub description: String,
    /// What it may do: see [`AccessKey::allowed`].
    pub allowed: Option<BTreeSet<String>>,
}

/// An access key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeyDescription {
    /// What signed requests name.
    pub id: String,
    /// Whose it is, for people; may be empty.
    pub description: String,
    /// When it was made.
    pub created: UnixMillis,
    /// What it may do: see [`AccessKey::allowed`].
    pub allowed: Option<BTreeSet<String>>,
}

impl Cluster {
    /// Makes an access key. The secret in the answer is not shown again.
    pub async fn create_access_key(&self, key: NewAccessKey) -> Result<AccessKey, CallError> {
        let (id, secret) = key.import.unwrap_or_else(|| (String::new(), Secret::new("")));
        let request = v1::CreateAccessKeyRequest {
            id,
            secret: secret.reveal().to_owned(),
            description: key.description,
            restricted: key.allowed.is_some(),
            allowed_actions: key.allowed.into_iter().flatten().collect(),
        };
        let call = |channel| {
            let request = request.clone();
            async move { stub::cluster(channel).create_access_key(request).await }
        };
        let answer = self.client().call(Repeat::Harmful, call).await?;
        let key = answer.key.ok_or_else(|| CallError::BadAnswer("the access key is missing".to_owned()))?;
        Ok(AccessKey {
            id: key.id,
            secret: Secret::new(answer.secret),
            description: key.description,
            created_at: UnixMillis(key.created_ms),
            allowed: wire::allowed_actions(key.restricted, key.allowed_actions),
        })
    }

    /// All access keys by id, without their secrets.
    pub async fn access_keys(&self) -> Result<Vec<AccessKeyDescription>, CallError> {
        let call = |channel| async move { stub::cluster(channel).list_access_keys(v1::ListAccessKeysRequest {}).await };
        let keys = self.client().call(Repeat::Harmless, call).await?.keys;
        let describe = |key: v1::AccessKey| AccessKeyDescription {
            id: key.id,
            description: key.description,
            created: UnixMillis(key.created_ms),
            allowed: wire::allowed_actions(key.restricted, key.allowed_actions),
        };
        Ok(keys.into_iter().map(describe).collect())
    }

    /// Deletes an access key: requests signed with it are refused from now on.
    pub async fn delete_access_key(&self, id: &str) -> Result<(), CallError> {
        let call = |channel| {
            let request = v1::DeleteAccessKeyRequest { id: id.to_owned() };
            async move { stub::cluster(channel).delete_access_key(request).await }
        };
        self.client().call(Repeat::Harmful, call).await.map(drop)
    }
}
