//! Access keys: the pairs of id and secret with which clients of the Kinesis API sign.
//!
//! A key may do everything that no resource policy denies it, or, if it is *restricted*, only what
//! is allowed: by the key itself for everything, by a resource policy for a stream or consumer. Who
//! answers requests judges that; here is what they judge by.
//!
//! Holds: a secret is shown only by [`Secret::reveal`]. `Debug` of a key, of a catalog or of a
//! command never contains one, and neither does any refusal.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use thalweg_types::UnixMillis;

use crate::{Refusal, tags};

/// Access keys of one cluster at most.
pub const ACCESS_KEYS_MAX: usize = 1_000;
/// Characters of an access key's id at most; at least one.
pub const ACCESS_KEY_ID_CHARS_MAX: usize = 128;
/// Characters of an access key's secret at most; at least one.
pub const ACCESS_KEY_SECRET_CHARS_MAX: usize = 256;
/// Characters of an access key's description at most.
pub const DESCRIPTION_CHARS_MAX: usize = 256;

/// Patterns of actions that one access key allows at most.
pub const ALLOWED_ACTIONS_MAX: usize = 64;
/// Characters of such a pattern at most; at least one.
pub const ACTION_CHARS_MAX: usize = 64;

/// Text that is not for logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into care.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A pair of id and secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// What signed requests name: 1 to 128 characters of `[a-zA-Z0-9_.-]`.
    pub id: String,
    /// What they are signed with: 1 to 256 visible ASCII characters.
    pub secret: Secret,
    /// Whose it is, for people; may be empty.
    #[serde(default)]
    pub description: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Nothing: the key may do whatever no resource policy denies. Else it is restricted, and may do
    /// what resource policies allow, and with anything what these patterns name: actions without
    /// their service, such as `Describe*`, in which `*` stands for anything and `?` for a character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<BTreeSet<String>>,
}

impl AccessKey {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if !(1..=ACCESS_KEY_ID_CHARS_MAX).contains(&self.id.len()) || !self.id.bytes().all(allowed) {
            return Err(Refusal::AccessKeyId { id: tags::shown(&self.id) });
        }
        let secret = self.secret.reveal();
        let visible = secret.bytes().all(|b| b.is_ascii_graphic());
        if !visible || !(1..=ACCESS_KEY_SECRET_CHARS_MAX).contains(&secret.len()) {
            return Err(Refusal::AccessKeySecret);
        }
        let chars = self.description.chars().count();
        if chars > DESCRIPTION_CHARS_MAX {
            return Err(Refusal::Description { chars });
        }
        self.allowed.as_ref().map_or(Ok(()), check_actions)
    }
}

fn check_actions(patterns: &BTreeSet<String>) -> Result<(), Refusal> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'?');
    let good = |text: &&String| (1..=ACTION_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed);
    if let Some(bad) = patterns.iter().find(|text| !good(text)) {
        return Err(Refusal::AllowedAction { action: tags::shown(bad) });
    }
    let count = patterns.len();
    if count > ALLOWED_ACTIONS_MAX { Err(Refusal::AllowedActions { count }) } else { Ok(()) }
}
