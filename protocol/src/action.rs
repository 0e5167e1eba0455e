//! The buttons of a message, in the two forms of the ntfy dialect: a JSON array, or the short form
//!
//! ```text
//! actions = action *(";" action)
//! action  = kind "," label ["," url or value] *("," key "=" value)
//! ```
//!
//! in which a value may stand in `'` or `"` and then hold separators, and that quote with a `\`
//! before it; and every member may be named (`action=view, label=Open, url=https://…`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::code::{Code, Error, quoted, said};
use crate::lenient::{self, members};
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

members! {
    /// A button as it is written, in either form.
    #[derive(Debug, Default)]
    struct Written {
        action: String,
        label: String,
        clear: bool,
        url: String,
        method: String,
        headers: Texts,
        body: String,
        intent: String,
        extras: Texts,
        value: String,
    }
}

/// Texts by their names, of which some may be absent.
type Texts = BTreeMap<String, Option<String>>;

impl Action {
    fn of(written: Written) -> Result<Self, Error> {
        let kind = written.action.unwrap_or_default();
        let kind = match kind.to_ascii_lowercase().as_str() {
            "view" => ActionKind::View,
            "broadcast" => ActionKind::Broadcast,
            "http" => ActionKind::Http,
            "copy" => ActionKind::Copy,
            _ => {
                let text = "is none of view, broadcast, http, copy";
                return Err(invalid(format!("action {} {text}", quoted(&kind))));
            }
        };
        let texts = |texts: Option<Texts>| {
            let texts = texts.into_iter().flatten();
            texts.filter_map(|(name, text)| Some((name, text?))).collect()
        };
        let action = Self {
            id: String::new(),
            action: kind,
            label: written.label.unwrap_or_default(),
            clear: written.clear.unwrap_or_default(),
            url: written.url,
            method: written.method.map(|method| method.to_ascii_uppercase()),
            headers: texts(written.headers),
            body: written.body,
            intent: written.intent,
            extras: texts(written.extras),
            value: written.value,
        };
        action.check()?;
        Ok(action)
    }

    /// Bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.url, &self.method, &self.body, &self.intent, &self.value];
        let maps = [&self.headers, &self.extras].into_iter().flatten();
        self.label.len()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
            + maps.map(|(name, text)| name.len() + text.len()).sum::<usize>()
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
        if let (Some("GET" | "HEAD"), Some(_)) = (self.method.as_deref(), &self.body) {
            let text = "has a body, which GET and HEAD have not";
            return Err(invalid(format!("action {} {text}", label())));
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
    let written: Vec<Option<Written>> = if text.trim_start().starts_with('[') {
        lenient::read(text.as_bytes()).map_err(|error| {
            invalid(format!("actions are no JSON array of actions: {}", said(&error.to_string())))
        })?
    } else {
        parse_short(text)?
    };
    let written: Vec<Written> = written.into_iter().flatten().collect();
    if written.len() > ACTIONS_MAX {
        return Err(invalid(format!("{} actions, limit is {ACTIONS_MAX}", written.len())));
    }
    let numbered = written.into_iter().zip(1..).map(|(written, number)| {
        Ok(Action { id: format!("action{number}"), ..Action::of(written)? })
    });
    numbered.collect()
}

fn parse_short(text: &str) -> Result<Vec<Option<Written>>, Error> {
    let is_between = |c: char| c == ';' || c.is_whitespace();
    let mut actions = Vec::new();
    let mut rest = text.trim_start_matches(is_between);
    while !rest.is_empty() {
        let mut written = Written::default();
        for index in 0.. {
            let member = Member::first_of(rest)?;
            set_member(&mut written, index, member.name, member.value)?;
            rest = member.behind;
            if !member.goes_on {
                break;
            }
        }
        actions.push(Some(written));
        rest = rest.trim_start_matches(is_between);
    }
    Ok(actions)
}

/// A member of the short form.
struct Member<'a> {
    name: Option<&'a str>,
    value: String,
    /// Whether another one of the same action follows.
    goes_on: bool,
    /// What stands behind it and its separator.
    behind: &'a str,
}

impl<'a> Member<'a> {
    /// The one that a text begins with.
    fn first_of(text: &'a str) -> Result<Self, Error> {
        let text = text.trim_start();
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
        let named = text[end..].trim_start().strip_prefix('=').filter(|_| end > 0);
        let (name, begin) = match named {
            Some(value) => (Some(&text[..end]), value.trim_start()),
            None => (None, text),
        };
        let (value, behind) = match begin.chars().next() {
            Some(quote @ ('\'' | '"')) => within_quotes(begin, quote)?,
            _ => {
                let (value, behind) = begin.split_at(begin.find([',', ';']).unwrap_or(begin.len()));
                (value.trim_end().to_owned(), behind)
            }
        };
        let behind = behind.trim_start();
        let (goes_on, behind) = match behind.split_at_checked(1) {
            Some((",", behind)) => (true, behind),
            Some((";", behind)) => (false, behind),
            _ if behind.is_empty() => (false, behind),
            _ => return Err(invalid(format!("actions have {} behind a quote", quoted(behind)))),
        };
        Ok(Self { name, value, goes_on, behind })
    }
}

/// The value that a text begins with, in quotes, and what stands behind it.
fn within_quotes(text: &str, quote: char) -> Result<(String, &str), Error> {
    let mut value = String::new();
    let mut rest = &text[quote.len_utf8()..];
    loop {
        let Some((before, behind)) = rest.split_once(quote) else {
            return Err(invalid(format!("actions have an open quote in {}", quoted(text))));
        };
        let Some(escaped) = before.strip_suffix('\\') else {
            return Ok((value + before, behind));
        };
        value += escaped;
        value.push(quote);
        rest = behind;
    }
}

/// Sets the member of a name, or of an index if it has none.
fn set_member(
    written: &mut Written,
    index: usize,
    name: Option<&str>,
    value: String,
) -> Result<(), Error> {
    let name = match (name, index) {
        (Some(name), _) => name,
        (None, 0) => "action",
        (None, 1) => "label",
        (None, 2) => match written.action.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("copy") => "value",
            Some("broadcast") => "intent",
            _ => "url",
        },
        (None, _) => return Err(invalid(format!("action member {} has no name", quoted(&value)))),
    };
    let (map, inner) = name.split_once('.').unwrap_or((name, ""));
    match (map.to_ascii_lowercase().as_str(), inner) {
        ("action", "") => written.action = Some(value),
        ("label", "") => written.label = Some(value),
        ("clear", "") => written.clear = Some(parse_clear(&value)?),
        ("url", "") => written.url = Some(value),
        ("method", "") => written.method = Some(value),
        ("body", "") => written.body = Some(value),
        ("intent", "") => written.intent = Some(value),
        ("value", "") => written.value = Some(value),
        ("headers", inner) if !inner.is_empty() => {
            written.headers.get_or_insert_default().insert(inner.to_owned(), Some(value));
        }
        ("extras", inner) if !inner.is_empty() => {
            written.extras.get_or_insert_default().insert(inner.to_owned(), Some(value));
        }
        _ => return Err(invalid(format!("action member {} is unknown", quoted(name)))),
    }
    Ok(())
}

fn parse_clear(text: &str) -> Result<bool, Error> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" => Ok(true),
        "0" | "no" | "false" => Ok(false),
        _ => Err(invalid(format!("clear {} is neither true nor false", quoted(text)))),
    }
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
    fn null_is_absent_and_kinds_methods_and_names_of_members_have_any_case() {
        let json = parse_actions(
            r#"[null,{"id":null,"Action":"Http","label":"a","URL":"https://x","method":"put",
                "clear":null,"headers":{"X-a":"1","X-b":null},"extras":null,"body":null}]"#,
        );
        let short = parse_actions("HTTP, a, https://x, Method=Put, Headers.X-a=1, clear=FALSE");
        let json = json.unwrap();
        assert_eq!(json, short.unwrap());
        let [action] = &json[..] else { panic!("{json:?}") };
        assert_eq!(action.method.as_deref(), Some("PUT"));
        assert_eq!(action.headers.iter().collect::<Vec<_>>(), [(&"X-a".into(), &"1".into())]);
    }

    #[test]
    fn a_quote_may_stand_within_quotes_behind_a_backslash() {
        let label = |text: &str| parse_actions(text).unwrap()[0].label.clone();
        assert_eq!(label(r#"http, "Say \"hi\"; bye", https://x"#), r#"Say "hi"; bye"#);
        assert_eq!(label(r"http, label = 'it\'s \n' , url=https://x"), r"it's \n");
        assert_eq!(label(r#"view, a "b" c, https://x"#), r#"a "b" c"#);
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
            "view, a, b, headers=red",
            "http, a, https://x, clear=x",
            "http, a, https://x, label=\"a\" b",
            "http, a, https://x, method=head, body=b",
            "[{\"action\":\"http\",\"label\":\"a\",\"url\":\"x\",\"clear\":\"yes\"}]",
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
