//! One rule as it is written: `pub PATTERN`, `sub PATTERN` or `pubsub PATTERN`.

use std::fmt;
use std::str::FromStr;

use doorbell_protocol::Filter;
use doorbell_protocol::code::quoted;

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To publish to a topic.
    Publish,
    /// To read what a pattern selects.
    Read,
}

/// A rule of an access file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    verb: &'static str,
    filter: Filter,
}

const VERBS: [&str; 3] = ["pub", "sub", "pubsub"];

impl Rule {
    /// Whether it says anything of an action.
    pub fn is_for(&self, action: Action) -> bool {
        match action {
            Action::Publish => self.verb.starts_with("pub"),
            Action::Read => self.verb.ends_with("sub"),
        }
    }

    /// The topics that it is about.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.filter)
    }
}

impl FromStr for Rule {
    /// A sentence with the rule in it.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (verb, filter) = text.trim().split_once([' ', '\t']).unwrap_or((text.trim(), ""));
        let known = VERBS.into_iter().find(|known| *known == verb);
        let wrong = |why: &dyn fmt::Display| format!("rule {}: {why}", quoted(text));
        let Some(verb) = known else {
            return Err(wrong(
                &"it is none of pub, sub or pubsub and a pattern, as in sub orders.>",
            ));
        };
        let filter = filter.trim().parse().map_err(|error| wrong(&error))?;
        Ok(Self { verb, filter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_verb_and_a_filter() {
        let rule: Rule = " pubsub  orders.>,news ".parse().unwrap();
        assert!(rule.is_for(Action::Publish) && rule.is_for(Action::Read));
        assert_eq!(rule.to_string(), "pubsub orders.>,news");
        let rule: Rule = "sub a".parse().unwrap();
        assert!(!rule.is_for(Action::Publish) && rule.is_for(Action::Read));
        for text in ["", "sub", "pub ", "read a", "sub a b", "sub a.>.b", "PUB a"] {
            let error = text.parse::<Rule>().unwrap_err();
            assert!(error.contains(&quoted(text)), "{error}");
        }
    }
}
