//! What belongs to no single stream: access keys and the account's settings.

use std::sync::Arc;

use thalweg_types::UnixMillis;

use crate::access::ACCESS_KEYS_MAX;
use crate::{AccessKey, AccountPatch, AccountSettings, Applied, Catalog, Outcome, Refusal, tags};

impl Catalog {
    pub(super) fn create_access_key(&mut self, key: &AccessKey) -> Outcome {
        key.check()?;
        if let Some(known) = self.access_keys.get(&key.id) {
            // Asked twice, because the first answer was lost.
            let same = **known == AccessKey { created_at: known.created_at, ..key.clone() };
            let refusal = Refusal::AccessKeyExists { id: key.id.clone() };
            return if same { Ok(Applied::Unchanged) } else { Err(refusal) };
        }
        if self.access_keys.len() >= ACCESS_KEYS_MAX {
            return Err(Refusal::AccessKeyLimit);
        }
        self.access_keys.insert(key.id.clone(), Arc::new(key.clone()));
        Ok(Applied::Changed)
    }

    pub(super) fn delete_access_key(&mut self, id: &str) -> Outcome {
        match self.access_keys.remove(id) {
            Some(_) => Ok(Applied::Changed),
            None => Err(Refusal::AccessKeyUnknown { id: tags::shown(id) }),
        }
    }

    pub(super) fn update_account(&mut self, patch: &AccountPatch, now: UnixMillis) -> Outcome {
        let AccountSettings { commitment, on_demand_streams_max } = self.account;
        let account = AccountSettings {
            commitment: patch.commitment.map_or(commitment, |enable| commitment.after(enable, now)),
            on_demand_streams_max: patch.on_demand_streams_max.unwrap_or(on_demand_streams_max),
        };
        let shard_limit = patch.shards_max.unwrap_or(self.shard_limit);
        if (self.account, self.shard_limit) == (account, shard_limit) {
            return Ok(Applied::Unchanged);
        }
        (self.account, self.shard_limit) = (account, shard_limit);
        Ok(Applied::Changed)
    }
}
