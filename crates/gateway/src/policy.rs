//! Resource policies: who may do what with a stream or a consumer.
//!
//! Access keys of this cluster belong to its one account. A key may do everything that no policy denies
//! it, so that an Allow adds nothing for it; a *restricted* key may do what a policy allows, and what it
//! was itself allowed when it was made. Deny always wins. Holds: a policy that could be misunderstood
//! (an element that is not judged, a principal that is nobody here) is refused when it is put, never
//! ignored later.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use thalweg_catalog::AccessKey;

use crate::call::Call;

/// A policy that was understood.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Policy {
    #[serde(default)]
    #[allow(dead_code, reason = "part of the language; there is one version")]
    version: Option<String>,
    #[serde(default)]
    #[allow(dead_code, reason = "a comment")]
    id: Option<String>,
    statement: OneOrMany<Statement>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statement {
    #[serde(default)]
    #[allow(dead_code, reason = "a comment")]
    sid: Option<String>,
    effect: Effect,
    principal: Principal,
    action: OneOrMany<String>,
    #[serde(default)]
    resource: Option<OneOrMany<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Principal {
    Anyone(String),
    /// By kind; of the kinds only `AWS` is anybody here.
    Named(BTreeMap<String, OneOrMany<String>>),
}

/// The one kind of principals that are judged.
const AWS: &str = "AWS";

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn iter(&self) -> std::slice::Iter<'_, T> {
        match self {
            OneOrMany::Many(items) => items.iter(),
            OneOrMany::One(item) => std::slice::from_ref(item).iter(),
        }
    }
}

/// Why a text is no policy that can be obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadPolicy(String);

impl fmt::Display for BadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Invalid policy: {}. A policy is JSON with Version and Statement; a statement has Effect, Principal, \
             Action and Resource.",
            self.0
        )
    }
}

/// Who wants to do what with what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed<'a> {
    /// The account of the caller.
    pub(crate) account: &'a str,
    /// The caller's access key.
    pub(crate) access_key: &'a str,
    /// The operation's name.
    pub(crate) operation: &'a str,
    /// The ARNs of what it is done with: a stream, a consumer, or a stream's consumer.
    pub(crate) resources: [Option<&'a str>; 2],
}

/// What a policy says of a deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may not be done, whatever else allows it.
    Denied,
    /// It may be done unless something else denies it.
    Allowed,
    /// Nothing.
    Silent,
}

/// Whether a key may do this without any policy's word.
pub(crate) fn key_allows(key: &AccessKey, call: &Call) -> bool {
    let action = call.operation.name().to_ascii_lowercase();
    let fits = |pattern: &String| matches(&pattern.to_ascii_lowercase(), &action);
    key.allowed.as_ref().is_none_or(|patterns| patterns.iter().any(fits))
}

impl Policy {
    /// Reads a policy.
    pub(crate) fn parse(text: &str) -> Result<Policy, BadPolicy> {
        let policy: Policy = serde_json::from_str(text).map_err(|error| BadPolicy(error.to_string()))?;
        for statement in policy.statement.iter() {
            statement.check()?;
        }
        Ok(policy)
    }

    /// As [`Policy::parse`], of one that is to be put: it must not name principals that are nobody in
    /// this account, since it would bind nobody where somebody was meant.
    pub(crate) fn parse_new(text: &str, account: &str) -> Result<Policy, BadPolicy> {
        let policy = Policy::parse(text)?;
        for statement in policy.statement.iter() {
            statement.principal.check(account)?;
        }
        Ok(policy)
    }

    /// What it says of the deed.
    pub(crate) fn judge(&self, deed: Deed<'_>) -> Verdict {
        let says =
            |effect| self.statement.iter().any(|statement| statement.effect == effect && statement.is_about(deed));
        match (says(Effect::Deny), says(Effect::Allow)) {
            (true, _) => Verdict::Denied,
            (false, true) => Verdict::Allowed,
            (false, false) => Verdict::Silent,
        }
    }
}

impl Principal {
    fn check(&self, account: &str) -> Result<(), BadPolicy> {
        let Principal::Named(kinds) = self else { return Ok(()) };
        if let Some(kind) = kinds.keys().find(|kind| *kind != AWS) {
            return Err(BadPolicy(format!("the Principal `{kind}` is nobody in this cluster: only `{AWS}` is known")));
        }
        let names = kinds.values().flat_map(OneOrMany::iter);
        if names.clone().next().is_none() {
            return Err(BadPolicy("the Principal names nobody".to_owned()));
        }
        let user = format!("arn:aws:iam::{account}:user/");
        let is_user = |name: &String| name.strip_prefix(&user).is_some_and(|key| !key.is_empty());
        match names.clone().find(|name| !is_account(name, account) && !is_user(name)) {
            Some(other) => Err(BadPolicy(format!(
                "the Principal `{other}` is nobody in this cluster: name `*`, `{account}`, `arn:aws:iam::{account}:root` \
                 or `{user}KEY-ID`"
            ))),
            None => Ok(()),
        }
    }

    fn includes(&self, deed: Deed<'_>) -> bool {
        match self {
            Principal::Anyone(_) => true,
            Principal::Named(kinds) => {
                kinds.get(AWS).is_some_and(|names| names.iter().any(|name| is_principal(name, deed)))
            }
        }
    }
}

impl Statement {
    fn check(&self) -> Result<(), BadPolicy> {
        if let Principal::Anyone(name) = &self.principal
            && name != "*"
        {
            return Err(BadPolicy(format!("the Principal `{name}` has to be `*` or {{\"AWS\": ...}}")));
        }
        let is_ours = |action: &str| action.get(..8).is_some_and(|service| service.eq_ignore_ascii_case("kinesis:"));
        match self.action.iter().find(|action| !is_ours(action) && *action != "*") {
            Some(other) => Err(BadPolicy(format!("the Action `{other}` is not one of kinesis:"))),
            None => Ok(()),
        }
    }

    fn is_about(&self, deed: Deed<'_>) -> bool {
        // Names of actions have no case.
        let action = format!("kinesis:{}", deed.operation).to_ascii_lowercase();
        let resources = || deed.resources.iter().flatten();
        let fits = |pattern: &String| resources().any(|resource| is_resource(pattern, resource));
        self.principal.includes(deed)
            && self.action.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
            && self.resource.as_ref().is_none_or(|list| list.iter().any(fits))
    }
}

/// Whether a pattern names a resource. A request names its region itself and is answered whatever it
/// is, so the region of a pattern tells no streams apart and must not keep it from being obeyed.
fn is_resource(pattern: &str, resource: &str) -> bool {
    let in_its_region = || {
        let region = pattern.split(':').nth(3)?;
        let mut parts: Vec<&str> = resource.splitn(5, ':').collect();
        *parts.get_mut(3)? = region;
        Some(matches(pattern, &parts.join(":")))
    };
    matches(pattern, resource) || in_its_region().unwrap_or(false)
}

/// Everyone, the whole account, or one key as a user of it.
fn is_principal(name: &str, deed: Deed<'_>) -> bool {
    is_account(name, deed.account) || name == format!("arn:aws:iam::{}:user/{}", deed.account, deed.access_key)
}

fn is_account(name: &str, account: &str) -> bool {
    name == "*" || name == account || name == format!("arn:aws:iam::{account}:root")
}

/// Whether a text fits a pattern in which `*` stands for anything and `?` for one character. Takes
/// time in proportion to the product of their lengths at worst.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEED: Deed<'_> = Deed {
        account: "000000000000",
        access_key: "reader",
        operation: "PutRecord",
        resources: [Some("arn:aws:kinesis:us-east-1:000000000000:stream/orders"), None],
    };

    fn denied(principal: &str, action: &str, resource: &str) -> bool {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Principal":{principal},
                "Action":"{action}","Resource":"{resource}"}}}}"#
        );
        let policy = Policy::parse(&text).unwrap();
        let allowing = Policy::parse(&text.replace("Deny", "Allow")).unwrap();
        let (denies, allows) = (policy.judge(DEED) == Verdict::Denied, allowing.judge(DEED) == Verdict::Allowed);
        assert_eq!(denies, allows, "both bind alike");
        denies
    }

    #[test]
    fn a_deny_binds_whom_it_names() {
        let orders = "arn:aws:kinesis:*:stream/orders";
        assert!(denied(r#""*""#, "kinesis:Put*", orders));
        assert!(denied(r#"{"AWS":"arn:aws:iam::000000000000:user/reader"}"#, "kinesis:PutRecord", "*"));
        assert!(denied(r#"{"AWS":["1","000000000000"]}"#, "*", orders));
        assert!(!denied(r#"{"AWS":"arn:aws:iam::000000000000:user/writer"}"#, "kinesis:*", "*"));
        assert!(!denied(r#""*""#, "kinesis:Get*", orders));
        assert!(!denied(r#""*""#, "kinesis:*", "arn:aws:kinesis:*:stream/other"));
    }

    #[test]
    fn a_deny_binds_in_every_region_and_whatever_the_case_of_its_action() {
        for region in ["us-east-1", "eu-central-1", "us-*", "*", ""] {
            let arn = |stream: &str| format!("arn:aws:kinesis:{region}:000000000000:stream/{stream}");
            assert!(denied(r#""*""#, "kinesis:putrecord", &arn("orders")), "{region}");
            assert!(denied(r#""*""#, "Kinesis:PUT*", &arn("o*")), "{region}");
            assert!(!denied(r#""*""#, "kinesis:PutRecord", &arn("other")), "{region}");
        }
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        let with = |extra: &str| {
            format!(r#"{{"Statement":[{{"Effect":"Deny","Principal":"*","Action":"kinesis:*"{extra}}}]}}"#)
        };
        assert!(Policy::parse(&with("")).is_ok());
        assert!(Policy::parse(&with(r#","Condition":{}"#)).is_err());
        assert!(Policy::parse(&with(r#","NotResource":"x""#)).is_err());
        assert!(Policy::parse("{}").is_err());
        assert!(Policy::parse("nonsense").is_err());
    }

    #[test]
    fn a_deny_outweighs_every_allow() {
        let statement = |effect: &str| format!(r#"{{"Effect":"{effect}","Principal":"*","Action":"kinesis:*"}}"#);
        let judged = |statements: &[String]| {
            Policy::parse(&format!(r#"{{"Statement":[{}]}}"#, statements.join(","))).unwrap().judge(DEED)
        };
        assert_eq!(judged(&[statement("Allow")]), Verdict::Allowed);
        assert_eq!(judged(&[statement("Allow"), statement("Deny"), statement("Allow")]), Verdict::Denied);
        assert_eq!(judged(&[]), Verdict::Silent);
    }

    #[test]
    fn a_principal_that_is_nobody_here_is_refused() {
        let put = |principal: &str| {
            let text = format!(r#"{{"Statement":{{"Effect":"Deny","Principal":{principal},"Action":"kinesis:*"}}}}"#);
            Policy::parse_new(&text, "000000000000").map(drop).map_err(|error| error.to_string())
        };
        let user = r#""arn:aws:iam::000000000000:user/k""#;
        let root = r#""arn:aws:iam::000000000000:root""#;
        for good in [r#""*""#, &format!(r#"{{"AWS":{user}}}"#), &format!(r#"{{"AWS":["000000000000",{root},"*"]}}"#)] {
            assert_eq!(put(good), Ok(()), "{good}");
        }
        let bad = [
            (r#"{"Service":"lambda.amazonaws.com"}"#, "`Service`"),
            (r#"{"AWS":"*","Service":"lambda.amazonaws.com"}"#, "`Service`"),
            (r#"{"AWS":"111111111111"}"#, "`111111111111`"),
            (r#"{"AWS":"arn:aws:iam::000000000000:role/admin"}"#, "role/admin"),
            (r#"{"AWS":"arn:aws:iam::000000000000:user/"}"#, "user/"),
            (r#"{"AWS":[]}"#, "nobody"),
            ("{}", "nobody"),
            (r#""someone""#, "`someone`"),
        ];
        for (principal, named) in bad {
            let said = put(principal).unwrap_err();
            assert!(said.contains(named), "{principal}: {said}");
        }
    }

    proptest! {
        #[test]
        fn a_star_fits_whatever_lies_between(head in "[a-c]{0,5}", middle in "[a-c]{0,9}", tail in "[a-c]{0,5}") {
            let text = format!("{head}{middle}{tail}");
            let fits = matches(&format!("{head}*{tail}"), &text);
            prop_assert!(fits, "{}", text);
            let longer = matches(&format!("{text}?"), &text);
            prop_assert!(!longer);
        }
    }
}
