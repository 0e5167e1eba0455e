//! What an access file says of somebody and a topic, and by which rule.

use std::fmt::Write;
use std::str::FromStr;

use doorbell_protocol::Filter;
use doorbell_protocol::topic::Pattern;

use crate::rights::{AccessEntry, AccessFile, Action, Decision, Rule, WrittenRules};

/// Somebody, as an access file names him.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    kind: &'static str,
    name: String,
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once(':') {
            _ if text == "anonymous" => ("anonymous", ""),
            None => ("user", text),
            Some(("user", name)) => ("user", name),
            Some(("token", name)) => ("token", name),
            Some(("uid", name)) => ("uid", name),
            Some(("certificate", name)) => ("certificate", name),
            Some((kind, _)) => {
                return Err(format!("'{kind}' is none of user, token, uid and certificate"));
            }
        };
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            "anonymous" => f.write_str("anonymous"),
            kind => write!(f, "{kind} '{}'", self.name),
        }
    }
}

/// What is said of it.
#[derive(Debug)]
pub(super) struct Ruled {
    pub(super) is_allowed: bool,
    pub(super) text: String,
}

/// Asks a file.
///
/// # Errors
///
/// That it does not know the subject, or that what is to be published to is no topic.
pub(super) fn check(
    file: &AccessFile,
    subject: &Subject,
    action: Action,
    filter: &Filter,
    now: u64,
) -> Result<Ruled, String> {
    let is_topic = |pattern: &Pattern| matches!(pattern, Pattern::Exact(_));
    if action == Action::Publish
        && !(filter.patterns().len() == 1 && is_topic(&filter.patterns()[0]))
    {
        return Err(format!("'{filter}' is no topic, which is what can be published to"));
    }
    let entry = find(file, subject);
    let mut text = String::new();
    if let Some(end) = entry.and_then(|entry| entry.expires).filter(|end| *end <= now) {
        let text = format!("refused: {subject} expired {}", super::document::date(end)?);
        return Ok(Ruled { is_allowed: false, text });
    }
    let rules = match (entry, subject.kind) {
        (Some(entry), _) => &entry.rules,
        (None, "anonymous") => &file.anonymous,
        (None, "uid" | "certificate") => {
            let _ = writeln!(text, "{subject} is not in the file, so this is what anonymous may");
            &file.anonymous
        }
        (None, _) => return Err(unknown(file, subject)),
    };
    let rights = rules.rights();
    let mut is_allowed = true;
    for pattern in filter.patterns() {
        let decision = rights.decide(action, pattern);
        is_allowed &= matches!(decision, Decision::Allowed(_));
        let _ = match decision {
            Decision::Allowed(by) => {
                writeln!(text, "allowed: '{pattern}' by allow '{}'", rule(&rules.allow, action, by))
            }
            Decision::Denied(by) => {
                writeln!(text, "refused: '{pattern}' by deny '{}'", rule(&rules.deny, action, by))
            }
            Decision::NotAllowed => {
                writeln!(text, "refused: '{pattern}', which {}", why(rules, action, pattern))
            }
        };
        if action == Action::Read && is_allowed {
            for by in rules.deny.iter().filter(|rule| is_about(rule, action, pattern)) {
                let _ = writeln!(text, "  without what is in deny '{by}'");
            }
        }
    }
    text.truncate(text.trim_end().len());
    Ok(Ruled { is_allowed, text })
}

fn find<'a>(file: &'a AccessFile, subject: &Subject) -> Option<&'a AccessEntry> {
    let is_meant = |entry: &&AccessEntry| {
        (entry.credentials.kind(), entry.name.as_str()) == (subject.kind, subject.name.as_str())
    };
    file.entries.iter().find(is_meant)
}

fn unknown(file: &AccessFile, subject: &Subject) -> String {
    let other = file.entries.iter().find(|entry| entry.name == subject.name);
    match other {
        Some(entry) => format!(
            "there is no {subject}, but there is {}:{}",
            entry.credentials.kind(),
            entry.name
        ),
        None => format!("there is no {subject}"),
    }
}

/// The rule that a pattern was taken from, as it is written.
fn rule<'a>(rules: &'a [Rule], action: Action, pattern: &Pattern) -> &'a Rule {
    let found =
        rules.iter().find(|rule| rule.is_for(action) && rule.filter().patterns().contains(pattern));
    found.expect("a decision names a pattern of the rules it was made of")
}

/// Whether a rule says anything of some topic of a pattern.
pub(super) fn is_about(rule: &Rule, action: Action, pattern: &Pattern) -> bool {
    rule.is_for(action) && rule.filter().patterns().iter().any(|own| own.overlaps(pattern))
}

fn why(rules: &WrittenRules, action: Action, pattern: &Pattern) -> String {
    let part = rules.allow.iter().find(|rule| is_about(rule, action, pattern));
    match part {
        Some(rule) => format!("no rule allows as a whole: allow '{rule}' is about a part of it"),
        None => "no rule allows".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(subject: &str, action: Action, filter: &str) -> Result<(bool, String), String> {
        let text = format!(
            "[anonymous]\nallow = [\"sub news.*\"]\n[[token]]\nname = \"a\"\nsha256 = \"{}\"\n\
             allow = [\"pubsub orders.>,x\"]\ndeny = [\"sub orders.secret.>\"]\n\
             [[token]]\nname = \"b\"\nsha256 = \"{}\"\nexpires = 2001-01-01T00:00:00Z\n",
            crate::rights::TokenHash::of("a"),
            crate::rights::TokenHash::of("b"),
        );
        let file = AccessFile::parse(&text).unwrap();
        let subject = subject.parse()?;
        let answer = check(&file, &subject, action, &filter.parse().unwrap(), 1_800_000_000)?;
        Ok((answer.is_allowed, answer.text))
    }

    #[test]
    fn the_rule_that_decides_is_named() {
        for (subject, action, filter, allowed, text) in [
            ("token:a", Action::Publish, "orders.a", true, "by allow 'pubsub orders.>,x'"),
            (
                "token:a",
                Action::Read,
                "x,orders.>",
                true,
                "without what is in deny 'sub orders.secret.>'",
            ),
            ("token:a", Action::Read, "orders.secret.a", false, "by deny 'sub orders.secret.>'"),
            ("token:a", Action::Read, "x,news.a", false, "refused: 'news.a', which no rule allows"),
            (
                "token:b",
                Action::Read,
                "x",
                false,
                "refused: token 'b' expired 2001-01-01T00:00:00Z",
            ),
            (
                "anonymous",
                Action::Read,
                "news.>",
                false,
                "allow 'sub news.*' is about a part of it",
            ),
            ("uid:7", Action::Read, "news.a", true, "uid '7' is not in the file"),
        ] {
            let (is_allowed, said) = ask(subject, action, filter).unwrap();
            assert_eq!(is_allowed, allowed, "{said}");
            assert!(said.contains(text), "{said}");
        }
        assert_eq!(
            ask("a", Action::Read, "x").unwrap_err(),
            "there is no user 'a', but there is token:a"
        );
        assert!(ask("token:a", Action::Publish, "orders.*").is_err());
        assert!(ask("group:a", Action::Read, "x").is_err());
    }
}
