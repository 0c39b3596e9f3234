//! Access keys of the cluster.
//!
//! Holds: a secret leaves this node only in the answer to the call that made the key, and on the
//! way to the controller.

use std::sync::Arc;

use thalweg_catalog::{AccessKey, Operation, Refusal, Secret};
use thalweg_client::wire;
use thalweg_proto::errors::{Reason, WireError};
use thalweg_proto::v1::{self, CreateAccessKeyRequest, CreateAccessKeyResponse, ListAccessKeysResponse};

use super::cluster::Cluster;
use super::forward::must_be_member;
use super::refusals;

impl Cluster {
    /// Makes a key of what is given, or of what is drawn here. The draw is made once, so that the
    /// request may go to the controller again when an answer is lost.
    pub(super) async fn create_key(
        &self,
        request: CreateAccessKeyRequest,
    ) -> Result<CreateAccessKeyResponse, WireError> {
        let CreateAccessKeyRequest { id, secret, description, allowed_actions, restricted } = request;
        let allowed = wire::allowed_actions(restricted, allowed_actions);
        let (id, secret) = match (id.is_empty(), secret.is_empty()) {
            (true, true) => (self.node().random.access_key_id(), self.node().random.access_key_secret()),
            (false, false) => (id, secret),
            _ => {
                let message = "give both the id and the secret of an access key, or neither to have them drawn";
                return Err(WireError::new(Reason::InvalidArgument, message));
            }
        };
        let (keyed, kept) = (id.clone(), Secret::new(&*secret));
        let operation = Operation::CreateAccessKey { id: keyed, secret: kept, description, allowed };
        self.mutate(operation, self.deadline()).await?;
        let key = self.node().image.borrow().catalog.access_key(&id).cloned();
        let key = key.ok_or_else(|| refusals::wire_error(&Refusal::AccessKeyUnknown { id }))?;
        Ok(CreateAccessKeyResponse { key: Some(described(&key)), secret })
    }

    pub(super) fn list_keys(&self) -> Result<ListAccessKeysResponse, WireError> {
        must_be_member(self.node())?;
        let catalog = self.node().image.borrow().catalog.clone();
        Ok(ListAccessKeysResponse { keys: catalog.access_keys().map(described).collect() })
    }
}

fn described(key: &Arc<AccessKey>) -> v1::AccessKey {
    v1::AccessKey {
        id: key.id.clone(),
        description: key.description.clone(),
        created_ms: key.created_at.0,
        restricted: key.allowed.is_some(),
        allowed_actions: key.allowed.iter().flatten().cloned().collect(),
    }
}
