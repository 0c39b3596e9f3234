//! Waiting until this node's image shows something.

use std::sync::Arc;
use std::time::Duration;

use thalweg_catalog::{AccountPatch, Catalog, Operation};
use thalweg_proto::errors::{Reason, WireError};
use tokio::time::Instant;

use super::forward::execute;
use crate::Image;
use crate::node::Node;

/// Between two attempts to have the catalog confirmed.
const CONFIRM_PAUSE: Duration = Duration::from_millis(100);

/// A catalog that has everything in it that was agreed on before this call. Waits for as long as the
/// controller has no leader.
pub(crate) async fn confirmed(node: &Node) -> Arc<Catalog> {
    let nothing = Operation::UpdateAccount { patch: AccountPatch::default() };
    loop {
        let deadline = Instant::now() + node.options.mutation_timeout;
        let confirmed = match execute(node, &nothing, deadline).await {
            Ok(answer) => seen(node, deadline, answer.revision).await,
            Err(error) => Err(error),
        };
        match confirmed {
            Ok(()) => return node.image.borrow().catalog.clone(),
            Err(error) => tracing::debug!(%error.message, "the catalog is not confirmed yet"),
        }
        tokio::time::sleep(CONFIRM_PAUSE).await;
    }
}

/// Waits until `look` finds what it wants in the image, or the deadline; then `late` says what was
/// still missing. What is waited for has been agreed on already, so being late is no refusal.
pub(crate) async fn until<T>(
    node: &Node,
    deadline: Instant,
    mut look: impl FnMut(&Image) -> Option<T>,
    late: impl FnOnce(&Image) -> String,
) -> Result<T, WireError> {
    let mut image = node.image.subscribe();
    loop {
        let now = image.borrow_and_update().clone();
        if let Some(found) = look(&now) {
            return Ok(found);
        }
        if tokio::time::timeout_at(deadline, image.changed()).await.is_err() {
            return Err(WireError::new(Reason::Timeout, late(&now)));
        }
    }
}

/// Waits until the image is at least as new as `revision`.
pub(crate) async fn seen(node: &Node, deadline: Instant, revision: u64) -> Result<(), WireError> {
    let look = |image: &Image| (image.catalog.revision() >= revision).then_some(());
    until(node, deadline, look, |image| {
        format!("done, but this node's image is still at revision {} and not {revision}", image.catalog.revision())
    })
    .await
}
