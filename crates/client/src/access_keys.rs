//! Access keys, with which clients of the Kinesis API sign their requests. Any node answers.
//!
//! A secret is in the answer to [`Cluster::create_access_key`] and in no other.

use std::collections::BTreeSet;

use thalweg_catalog::{AccessKey, Secret};
use thalweg_proto::errors::{Reason, WireError};
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
    ///
    /// Nodes and controllers of versions before restricted keys make one that may do everything: such a
    /// key is deleted again, unless it was there before, and the call fails.
    pub async fn create_access_key(&self, key: NewAccessKey) -> Result<AccessKey, CallError> {
        let wanted = key.allowed.clone();
        let imported = key.import.as_ref().map(|(id, _)| id.clone());
        let was_there = match imported.filter(|_| wanted.is_some()) {
            Some(id) => self.access_keys().await?.iter().any(|known| known.id == id),
            None => false,
        };
        let made = self.request_access_key(key).await?;
        if made.allowed == wanted {
            return Ok(made);
        }
        let id = &made.id;
        let cause = "a node or the controller has a version that does not know restricted access keys";
        if was_there {
            let text = format!("{cause}: the access key {id} was there before, and stays as it was");
            return Err(CallError::Refused(WireError::new(Reason::Unavailable, text)));
        }
        let (reason, then) = match self.delete_access_key(id).await {
            Ok(()) => (Reason::Unavailable, "was deleted again".to_owned()),
            Err(error) => (Reason::OutcomeUnknown, format!("has to be deleted by hand: {error}")),
        };
        let text = format!("{cause}: the access key {id} may do everything, and {then}");
        Err(CallError::Refused(WireError::new(reason, text)))
    }

    async fn request_access_key(&self, key: NewAccessKey) -> Result<AccessKey, CallError> {
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
