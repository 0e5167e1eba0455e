//! What an access file says in vain. What is wrong with it is found by whoever reads it.

use super::check::is_about;
use crate::rights::{AccessFile, Action, Rule, WrittenRules};

const ACTIONS: [Action; 2] = [Action::Publish, Action::Read];

/// One sentence for each.
pub(super) fn warnings(file: &AccessFile, now: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    for entry in &file.entries {
        let what = format!("{} '{}'", entry.credentials.kind(), entry.name);
        if entry.expires.is_some_and(|end| end <= now) {
            warnings.push(format!("{what} has expired"));
        }
        lint(&what, &entry.rules, &mut warnings);
    }
    lint("anonymous", &file.anonymous, &mut warnings);
    warnings
}

fn lint(what: &str, rules: &WrittenRules, warnings: &mut Vec<String>) {
    for (index, rule) in rules.allow.iter().enumerate() {
        // Of two that are the same, one is to be said.
        let others = rules.allow.iter().enumerate().filter(|(other, wider)| {
            *other != index && contains(wider, rule) && !(*other > index && contains(rule, wider))
        });
        for (_, wider) in others.take(1) {
            warnings.push(format!("{what}: allow '{rule}' adds nothing to allow '{wider}'"));
        }
        if let Some(denial) = rules.deny.iter().find(|denial| contains(denial, rule)) {
            warnings.push(format!("{what}: allow '{rule}' is taken back by deny '{denial}'"));
        }
    }
    for denial in rules.deny.iter().filter(|denial| !takes_away(denial, rules)) {
        warnings.push(format!("{what}: deny '{denial}' takes nothing away"));
    }
}

/// Whether all that a rule says is said by another one.
fn contains(wider: &Rule, rule: &Rule) -> bool {
    ACTIONS.iter().filter(|action| rule.is_for(**action)).all(|action| wider.is_for(*action))
        && rule
            .filter()
            .patterns()
            .iter()
            .all(|pattern| wider.filter().patterns().iter().any(|own| own.contains(pattern)))
}

fn takes_away(denial: &Rule, rules: &WrittenRules) -> bool {
    ACTIONS.into_iter().filter(|action| denial.is_for(*action)).any(|action| {
        let mut denied = denial.filter().patterns().iter();
        denied.any(|pattern| rules.allow.iter().any(|allow| is_about(allow, action, pattern)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_in_vain_is_named() {
        let of = |allow: &str, deny: &str| {
            let text = format!("[anonymous]\nallow = [{allow}]\ndeny = [{deny}]\n");
            warnings(&AccessFile::parse(&text).unwrap(), 0)
        };
        assert!(of(r#""sub a.>", "pub a.x""#, r#""pubsub a.x""#).len() == 1);
        assert!(of(r#""sub a.>", "pub b""#, r#""sub a.secret""#).is_empty());
        for (allow, deny, expected) in [
            (r#""sub a.>", "sub a.b.*""#, "", "allow 'sub a.b.*' adds nothing to allow 'sub a.>'"),
            (r#""sub a", "sub a""#, "", "allow 'sub a' adds nothing to allow 'sub a'"),
            (r#""sub a""#, r#""sub b""#, "deny 'sub b' takes nothing away"),
            (r#""sub a""#, r#""pub a""#, "deny 'pub a' takes nothing away"),
            (r#""sub a""#, r#""sub >""#, "allow 'sub a' is taken back by deny 'sub >'"),
        ] {
            assert_eq!(of(allow, deny), [format!("anonymous: {expected}")]);
        }
    }
}
