//! The buttons of a message, in the two forms of the ntfy dialect: a JSON array, or the short form
//!
//! ```text
//! actions = action *(";" action)
//! action  = kind "," label ["," url or value] *("," key "=" value)
//! ```
//!
//! in which a value may stand in `'` or `"` and then hold separators, and every member may be named
//! (`action=view, label=Open, url=https://…`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::code::{Code, Error, quoted, said};
use crate::limits::{ACTIONS_BYTES_MAX, ACTIONS_MAX};

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// Opens an address.
    View,
    /// Sends an Android broadcast.
    Broadcast,
    /// Sends an HTTP request.
    Http,
    /// Copies a value.
    Copy,
}

/// One button. Which members it needs depends on its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Names the button within its message; the server sets it.
    #[serde(default)]
    pub id: String,
    /// What it does.
    pub action: ActionKind,
    /// What is written on it.
    pub label: String,
    /// Whether the notification goes away once it was pressed.
    #[serde(default)]
    pub clear: bool,
    /// The address to open or to send a request to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The HTTP method; `POST` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// HTTP headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The HTTP body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The name of an Android intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// The extras of an Android intent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extras: BTreeMap<String, String>,
    /// The text to copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl Action {
    fn new(kind: ActionKind) -> Self {
        Self {
            id: String::new(),
            action: kind,
            label: String::new(),
            clear: false,
            url: None,
            method: None,
            headers: BTreeMap::new(),
            body: None,
            intent: None,
            extras: BTreeMap::new(),
            value: None,
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.label.is_empty() {
            return Err(invalid("an action has no label"));
        }
        let (member, present) = match self.action {
            ActionKind::View | ActionKind::Http => ("url", self.url.is_some()),
            ActionKind::Copy => ("value", self.value.is_some()),
            ActionKind::Broadcast => return Ok(()),
        };
        let label = || quoted(&self.label);
        if !present {
            return Err(invalid(format!("action {} has no {member}", label())));
        }
        match self.url.as_deref().and_then(refused_scheme) {
            None => Ok(()),
            Some(scheme) => {
                let text = format!("action {} has a {scheme} address, which is refused", label());
                Err(invalid(text))
            }
        }
    }
}

/// Schemes by which an address is a program or a page of its own: whoever clicks would run what the
/// publisher wrote.
const SCHEMES_REFUSED: [&str; 3] = ["javascript", "data", "vbscript"];

/// The scheme of an address that nobody may be made to open; as browsers read it, without regard to
/// its case and to control characters and spaces in it.
pub(crate) fn refused_scheme(url: &str) -> Option<&'static str> {
    let (scheme, _) = url.split_once(':')?;
    let scheme: String = scheme.chars().filter(|c| !c.is_control() && *c != ' ').collect();
    SCHEMES_REFUSED.into_iter().find(|refused| scheme.eq_ignore_ascii_case(refused))
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(Code::ActionsInvalid, text.into())
}

/// Reads actions in either form and gives each its id.
pub fn parse_actions(text: &str) -> Result<Vec<Action>, Error> {
    if text.len() > ACTIONS_BYTES_MAX {
        return Err(invalid(format!(
            "actions are {} bytes long, limit is {ACTIONS_BYTES_MAX}",
            text.len()
        )));
    }
    let mut actions = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|error| {
            invalid(format!("actions are no JSON array of actions: {}", said(&error.to_string())))
        })?
    } else {
        parse_short(text)?
    };
    if actions.len() > ACTIONS_MAX {
        return Err(invalid(format!("{} actions, limit is {ACTIONS_MAX}", actions.len())));
    }
    for (index, action) in actions.iter_mut().enumerate() {
        action.check()?;
        action.id = format!("action{}", index + 1);
    }
    Ok(actions)
}

fn parse_short(text: &str) -> Result<Vec<Action>, Error> {
    split(text, ';')?
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .map(parse_short_action)
        .collect()
}

fn parse_short_action(text: &str) -> Result<Action, Error> {
    let mut members = Vec::new();
    for (index, part) in split(text, ',')?.into_iter().enumerate() {
        members.push(member(part.trim(), index)?);
    }
    let kind = members.iter().find(|(key, _)| key == "action").map(|(_, value)| value.as_str());
    let mut action = Action::new(match kind {
        Some("view") => ActionKind::View,
        Some("broadcast") => ActionKind::Broadcast,
        Some("http") => ActionKind::Http,
        Some("copy") => ActionKind::Copy,
        other => {
            let other = quoted(other.unwrap_or(""));
            return Err(invalid(format!("action {other} is none of view, broadcast, http, copy")));
        }
    });
    for (key, value) in members {
        set_member(&mut action, &key, value)?;
    }
    Ok(action)
}

/// One `key=value`, or a value whose key follows from its position.
fn member(part: &str, index: usize) -> Result<(String, String), Error> {
    let named = part.split_once('=').filter(|(key, _)| {
        let key = key.trim();
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    });
    if let Some((key, value)) = named {
        return Ok((key.trim().to_owned(), unquote(value.trim()).to_owned()));
    }
    let key = ["action", "label", "target"]
        .get(index)
        .ok_or_else(|| invalid(format!("action member {} has no name", quoted(part))))?;
    Ok(((*key).to_owned(), unquote(part).to_owned()))
}

fn set_member(action: &mut Action, key: &str, value: String) -> Result<(), Error> {
    match (key, action.action) {
        ("action", _) => {}
        ("label", _) => action.label = value,
        ("clear", _) => action.clear = matches!(value.as_str(), "1" | "yes" | "true"),
        ("target", ActionKind::Copy) | ("value", _) => action.value = Some(value),
        ("target", ActionKind::View | ActionKind::Http) | ("url", _) => action.url = Some(value),
        ("target", ActionKind::Broadcast) | ("intent", _) => action.intent = Some(value),
        ("method", _) => action.method = Some(value),
        ("body", _) => action.body = Some(value),
        (key, _) => {
            let map = key.split_once('.').and_then(|(map, name)| match map {
                "headers" => Some((&mut action.headers, name)),
                "extras" => Some((&mut action.extras, name)),
                _ => None,
            });
            let (map, name) =
                map.ok_or_else(|| invalid(format!("action member {} is unknown", quoted(key))))?;
            map.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

/// Splits at the separators that stand outside quotes. A quote opens only where a value begins.
fn split(text: &str, separator: char) -> Result<Vec<&str>, Error> {
    let mut parts = Vec::new();
    let mut open: Option<char> = None;
    let mut value_begins = true;
    let mut start = 0;
    for (index, c) in text.char_indices() {
        match open {
            Some(quote) => open = Some(quote).filter(|quote| c != *quote),
            None if value_begins && matches!(c, '\'' | '"') => open = Some(c),
            None if c == separator => {
                parts.push(&text[start..index]);
                start = index + c.len_utf8();
            }
            None => {}
        }
        value_begins = matches!(c, '=' | ',' | ';') || (value_begins && c.is_whitespace());
    }
    if open.is_some() {
        return Err(invalid(format!("actions have an open quote in {}", quoted(&text[start..]))));
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn unquote(text: &str) -> &str {
    ['\'', '"']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_short_form_gives_the_same_actions_as_json() {
        let short = parse_actions(
            "view, Open door, https://a.example/?x=1&y=2, clear=true; \
             http, Close, https://b.example, method=PUT, headers.X-Y=1, body='{\"a\": 1; 2}'",
        )
        .unwrap();
        let json = parse_actions(
            r#"[{"action":"view","label":"Open door","url":"https://a.example/?x=1&y=2","clear":true},
                {"action":"http","label":"Close","url":"https://b.example","method":"PUT",
                 "headers":{"X-Y":"1"},"body":"{\"a\": 1; 2}"}]"#,
        )
        .unwrap();
        assert_eq!(short, json);
        assert_eq!(short[1].id, "action2");
    }

    #[test]
    fn named_members_may_come_in_any_order() {
        let actions = parse_actions("label=\"Copy, now\", value='1;2', action=copy").unwrap();
        assert_eq!(actions[0].label, "Copy, now");
        assert_eq!(actions[0].value.as_deref(), Some("1;2"));
    }

    #[test]
    fn what_is_incomplete_or_too_much_is_refused() {
        for text in [
            "fly, Away, https://a.example",
            "view, Open",
            "view, , https://a.example",
            "copy, X",
            "view, 'Open, https://a.example",
            "view, a, b, c",
            "view, a, b, color=red",
            "copy, a, b; copy, a, b; copy, a, b; copy, a, b",
            "view, a, javascript:alert(1)",
            "view, a, ' \u{1}JaVa\tScript\u{0}:alert(1)'",
            "http, a, data:text/html;base64",
            "[{\"action\":\"view\",\"label\":\"a\",\"url\":\" vbscript:x\"}]",
            "[{\"action\":\"view\"}]",
            "[",
        ] {
            assert_eq!(parse_actions(text).unwrap_err().code(), Code::ActionsInvalid, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_scheme_that_is_refused_is_taken() {
        for url in
            ["https://a.example/?javascript:x", "myapp://x", "data.example/x", "javascripts:"]
        {
            assert_eq!(refused_scheme(url), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,120}") {
            let _ = parse_actions(&text);
        }

        #[test]
        fn any_list_of_members_is_parsed_or_refused(
            text in "(view|copy|http), [a-z'\"]{0,4}(, ?[a-z.]{0,8}=?['\"]?[a-z,;]{0,4}['\"]?){0,4}"
        ) {
            let _ = parse_actions(&text);
        }
    }
}
