//! The access file, and what its rules come to, against a model of a few lines.

use doorbell_protocol::topic::Pattern;
use doorbell_protocol::{Filter, Topic};
use doorbell_server::rights::{AccessFile, Action, Rights, Rule};

use super::words::holds;

pub(crate) const FILE: &[&str] = &[
    "[[token]]\n",
    "[[user]]\n",
    "[anonymous]\n",
    "[uid.1000]\n",
    "[certificate.\"x\"]\n",
    "name = \"a\"\n",
    "sha256 = \"",
    "argon2id = \"",
    "allow = [\"pub a.>\"]\n",
    "deny = [\"sub a.b\"]\n",
    "admin = true\n",
    "expires = 2027-01-01T00:00:00Z\n",
    "\"",
    "\\u0000",
    "$argon2id$v=19$m=19456,t=2,p=1$",
    "=",
    "'''",
    "#",
];
pub(crate) const RULES: &[&str] = &[
    "allow pub ",
    "allow sub ",
    "allow pubsub ",
    "deny sub ",
    "deny pub ",
    "read ",
    "*",
    ">",
    "a.",
    "b",
    ",",
    ".",
    "\n",
    "a.>",
    "*.b",
];

/// Hexadecimal digits or letters in a row that may be a secret.
const SECRET_BYTES: usize = 24;

/// A file is taken or refused in one line that names no secret.
pub(crate) fn file(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Err(error) = AccessFile::parse(text) else { return };
    let error = error.to_string();
    assert!(!error.contains(['\n', '\r', '\0']), "{error:?}");
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let values = text.lines().filter(|line| {
        let name = line.trim_start();
        name.starts_with("sha256 = \"") || name.starts_with("argon2id = \"")
    });
    for value in values.flat_map(|line| line.split(|c| !is_word(c))) {
        // One that stands elsewhere too is no secret.
        let is_secret = value.len() >= SECRET_BYTES && text.matches(value).count() == 1;
        assert!(!is_secret || !error.contains(value), "{error}");
    }
}

/// What rules allow and deny: a line that begins with `allow` or `deny` is a rule, one with `read`
/// a filter, any other a topic.
pub(crate) fn rights(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let rules = |verb: &str| -> Vec<Rule> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(verb));
        lines.filter_map(|rule| rule.parse().ok()).collect()
    };
    let (allow, deny) = (rules("allow "), rules("deny "));
    let rights = Rights::new(&allow, &deny, false);
    let of = |rules: &[Rule], action| -> Vec<Pattern> {
        let rules = rules.iter().filter(|rule| rule.is_for(action));
        rules.flat_map(|rule| rule.filter().patterns().to_vec()).collect()
    };
    let topics: Vec<Topic> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let any = |patterns: &[Pattern], topic: &Topic| {
        patterns.iter().any(|pattern| pattern.matches(topic.as_str()))
    };
    let [allowed, denied] = [&allow, &deny].map(|rules| of(rules, Action::Publish));
    for topic in &topics {
        let may = any(&allowed, topic) && !any(&denied, topic);
        assert_eq!(rights.publish(topic).is_ok(), may, "publishing to {topic}");
    }
    let [allowed, denied] = [&allow, &deny].map(|rules| of(rules, Action::Read));
    let filters = text.lines().filter_map(|line| line.strip_prefix("read ")?.parse().ok());
    for filter in filters {
        let filter: Filter = filter;
        let contained =
            |by: &[Pattern], own: &Pattern| by.iter().any(|pattern| holds(pattern, own));
        let may = |own: &Pattern| contained(&allowed, own) && !contained(&denied, own);
        let narrowed = rights.read(&filter);
        assert_eq!(narrowed.is_ok(), filter.patterns().iter().all(may), "reading {filter}");
        let Ok(narrowed) = narrowed else { continue };
        for topic in &topics {
            let may = filter.matches(topic.as_str()) && !any(&denied, topic);
            assert_eq!(narrowed.matches(topic.as_str()), may, "{filter} reads {topic}");
            assert!(!may || any(&allowed, topic), "{filter} reads {topic}, which nobody allows");
        }
    }
}
