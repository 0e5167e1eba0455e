//! Rights: what somebody may publish to, read, and see; as rules say it.
//!
//! Rules are written in the grammar of filters. A topic may be published to if some rule allows it
//! and none denies it. A pattern may be read if one rule allows all of it and none denies all of
//! it; what a rule denies of it is taken out of the filter. Nothing is allowed that no rule allows.
//!
//! - `rule`: one rule, as it is written; `file`: the access file; `token`: secrets that cannot be
//!   guessed; `password`: secrets that can; `jwt`: tokens that others sign
//!
//! It knows neither connections nor who asks: `access` does.

mod file;
mod jwt;
mod password;
mod rule;
mod token;

use doorbell_protocol::topic::Pattern;
use doorbell_protocol::{Code, Error, Filter, Topic};
use serde::{Deserialize, Serialize};

pub use self::file::{AccessEntry, AccessFile, Credentials, FileError, WrittenRules};
pub use self::jwt::{Claimed, JwtSettings, JwtVerifier, KeyFile};
pub use self::password::{PasswordHash, hash_password, verify_nobody};
pub use self::rule::{Action, Rule};
pub use self::token::{TOKEN_PREFIX, Token, TokenHash};

/// What somebody is known as.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Identity {
    /// `token`, `user`, `uid`, `certificate`, `jwt` or `anonymous`.
    pub kind: &'static str,
    /// Its name in the access file, or the claim `sub`.
    pub name: Box<str>,
}

/// What one identity may do. To another server it is told without what is for administrators.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    publish: Ruling,
    read: Ruling,
    /// Whether it may see what the server says of itself and of others.
    #[serde(skip)]
    pub admin: bool,
}

/// What the rules say of one action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ruling {
    #[serde(with = "as_text")]
    allowed: Vec<Pattern>,
    #[serde(with = "as_text")]
    denied: Vec<Pattern>,
}

/// Patterns as their texts.
mod as_text {
    use doorbell_protocol::topic::Pattern;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(
        patterns: &[Pattern],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(patterns.iter().map(Pattern::as_str))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        deserializer: D,
    ) -> Result<Vec<Pattern>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

/// What rules say of a topic or a pattern, and the one that decides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'a> {
    /// This pattern of a rule allows it.
    Allowed(&'a Pattern),
    /// This pattern of a rule denies it.
    Denied(&'a Pattern),
    /// No rule allows it.
    NotAllowed,
}

impl Ruling {
    /// What is said of all that a pattern selects. A denial goes before whatever allows.
    fn decide(&self, pattern: &Pattern) -> Decision<'_> {
        let of = |patterns: &'_ Vec<Pattern>| patterns.iter().position(|own| own.contains(pattern));
        match (of(&self.denied), of(&self.allowed)) {
            (Some(denied), _) => Decision::Denied(&self.denied[denied]),
            (None, Some(allowed)) => Decision::Allowed(&self.allowed[allowed]),
            (None, None) => Decision::NotAllowed,
        }
    }

    /// [`decide`](Self::decide) for one topic, without making a pattern of it.
    fn allows(&self, topic: &Topic) -> bool {
        let selects = |pattern: &Pattern| pattern.matches(topic.as_str());
        self.allowed.iter().any(selects) && !self.denied.iter().any(selects)
    }
}

impl Rights {
    /// What these rules say.
    pub fn new(allow: &[Rule], deny: &[Rule], admin: bool) -> Self {
        let ruling = |action: Action| {
            let of = |rules: &[Rule]| -> Vec<Pattern> {
                let rules = rules.iter().filter(|rule| rule.is_for(action));
                rules.flat_map(|rule| rule.filter().patterns()).cloned().collect()
            };
            Ruling { allowed: of(allow), denied: of(deny) }
        };
        Self { publish: ruling(Action::Publish), read: ruling(Action::Read), admin }
    }

    /// What is said of an action on all that a pattern selects, and by which rule.
    pub fn decide(&self, action: Action, pattern: &Pattern) -> Decision<'_> {
        self.ruling(action).decide(pattern)
    }

    fn ruling(&self, action: Action) -> &Ruling {
        match action {
            Action::Publish => &self.publish,
            Action::Read => &self.read,
        }
    }

    /// Whether there is any topic that may be published to or read.
    pub fn is_nothing(&self) -> bool {
        self.publish.allowed.is_empty() && self.read.allowed.is_empty()
    }

    /// Whether anything may be read.
    pub fn reads(&self) -> bool {
        !self.read.allowed.is_empty()
    }

    /// Whether a topic may be published to.
    ///
    /// # Errors
    ///
    /// [`Code::Forbidden`], with the topic.
    pub fn publish(&self, topic: &Topic) -> Result<(), Error> {
        if self.publish.allows(topic) {
            return Ok(());
        }
        Err(refusal("publishing to", topic))
    }

    /// What may be read of a filter.
    ///
    /// # Errors
    ///
    /// [`Code::Forbidden`], with the first of its patterns that may not be read.
    pub fn read(&self, filter: &Filter) -> Result<Filter, Error> {
        for pattern in filter.patterns() {
            if !matches!(self.read.decide(pattern), Decision::Allowed(_)) {
                return Err(refusal("reading", pattern));
            }
        }
        Ok(filter.without(&self.read.denied))
    }
}

fn refusal(what: &str, pattern: &dyn std::fmt::Display) -> Error {
    Error::new(Code::Forbidden, format!("{what} '{pattern}' is not allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(allow: &[&str], deny: &[&str]) -> Rights {
        let rules = |texts: &[&str]| -> Vec<Rule> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        Rights::new(&rules(allow), &rules(deny), false)
    }

    #[test]
    fn what_no_rule_allows_is_refused_and_a_denial_goes_before_what_allows() {
        let rights = rights(&["pubsub orders.>", "sub news"], &["pub orders.paid"]);
        let publish = |topic: &str| rights.publish(&topic.parse().unwrap()).is_ok();
        assert!(publish("orders.new") && publish("orders.paid.x"));
        assert!(!publish("orders.paid") && !publish("orders") && !publish("news"));
        let refused = rights.publish(&"news".parse().unwrap()).unwrap_err();
        assert_eq!(
            (refused.code(), refused.text()),
            (Code::Forbidden, "publishing to 'news' is not allowed")
        );
        assert_eq!(
            rights.decide(Action::Publish, &"orders.paid".parse().unwrap()),
            Decision::Denied(&"orders.paid".parse().unwrap())
        );
    }

    #[test]
    fn each_pattern_is_to_be_contained_in_one_rule_and_loses_what_is_denied_of_it() {
        let rights = rights(&["sub orders.>", "sub a,b.*"], &["sub orders.secret.>,b.x"]);
        let read = |filter: &str| rights.read(&filter.parse().unwrap());
        let narrowed = read("orders.>,a").unwrap();
        assert!(narrowed.matches("orders.eu") && !narrowed.matches("orders.secret.key"));
        assert!(read("b.y").unwrap().excluded().is_empty());
        for (refused, pattern) in [
            (">", ">"),
            ("a,*.x", "*.x"),
            ("orders.secret.key", "orders.secret.key"),
            ("orders.secret.>", "orders.secret.>"),
            ("a,b.x", "b.x"),
            ("b.>", "b.>"),
        ] {
            let error = read(refused).unwrap_err();
            assert_eq!(error.text(), format!("reading '{pattern}' is not allowed"));
        }
    }
}
