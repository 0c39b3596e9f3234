//! Policies that were read once, so that not every request reads them again.
//!
//! Known by their text: a policy that was changed is another text, and nothing has to be told of it.
//! Holds: what is remembered has a bound, in bytes of text.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::policy::Policy;

/// Bytes of text that are remembered; beyond it all is forgotten. A policy has at most 20 KiB.
const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The policies that this front has met.
#[derive(Default)]
pub(crate) struct Policies(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_text: HashMap<Arc<str>, Option<Arc<Policy>>>,
    text_bytes: usize,
}

impl Policies {
    /// What a text says; nothing if it is no policy.
    pub(crate) fn read(&self, text: &str) -> Option<Arc<Policy>> {
        if let Some(known) = self.0.lock().by_text.get(text) {
            return known.clone();
        }
        let policy = Policy::parse(text).ok().map(Arc::new);
        let mut known = self.0.lock();
        if known.text_bytes + text.len() > TEXT_BYTES_MAX {
            *known = Known::default();
        }
        if known.by_text.insert(text.into(), policy.clone()).is_none() {
            known.text_bytes += text.len();
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(resource: &str) -> String {
        format!(
            r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"kinesis:*","Resource":"arn:{resource}"}}}}"#
        )
    }

    #[test]
    fn a_policy_is_read_once_and_a_changed_one_is_another() {
        let policies = Policies::default();
        let first = policies.read(&text("a")).unwrap();
        assert!(Arc::ptr_eq(&first, &policies.read(&text("a")).unwrap()));
        assert!(!Arc::ptr_eq(&first, &policies.read(&text("b")).unwrap()));
        assert!(policies.read("no policy").is_none());
        assert!(policies.read("no policy").is_none());
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let policies = Policies::default();
        for at in 0..1_000 {
            assert!(policies.read(&text(&format!("{at}{}", "x".repeat(20_000)))).is_some());
            let known = policies.0.lock();
            assert_eq!(known.text_bytes, known.by_text.keys().map(|text| text.len()).sum::<usize>());
            assert!(known.text_bytes <= TEXT_BYTES_MAX);
        }
    }
}
