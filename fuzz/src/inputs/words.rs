//! The parsers of the protocol. Beside that nothing panics: what was read is written and read the
//! same again, and means what a second, simpler reading of the words says.

use std::collections::BTreeMap;

use doorbell_protocol::action::{Action, parse_actions};
use doorbell_protocol::datagram::{CHALLENGE_BYTES_MAX, Members, Request, challenge, cookie_in};
use doorbell_protocol::draft::JsonDraft;
use doorbell_protocol::limits::{
    ACTIONS_BYTES_MAX, ACTIONS_MAX, FILTER_TOPICS_MAX, MESSAGE_BYTES_DEFAULT,
    MESSAGE_PARAMETER_BYTES_MAX, TOPIC_BYTES_MAX,
};
use doorbell_protocol::since::parse_duration;
use doorbell_protocol::topic::{Pattern, RESERVED};
use doorbell_protocol::{Command, Draft, Error, Event, Filter, Id, Parameter, Since, Topic};

pub(crate) const FILTER: &[&str] =
    &["*", ">", ".", ",", "a", "a.b", "*.", ".>", "v1", "docs", "orders.eu.new", "\n"];
pub(crate) const SINCE: &[&str] =
    &["all", "none", "latest", "0", "10", ".5", "ms", "s", "m", "h", "d", "000000000000", "e9"];
pub(crate) const COMMAND: &[&str] = &[
    "SUB ",
    "UNSUB ",
    "PUB ",
    "PUBJ ",
    "PING ",
    "AUTH ",
    "QUIT",
    " since=",
    " format=raw",
    " format=json",
    " cookie=",
    "all",
    "latest",
    "t",
    "a.*",
    ">",
    "\n",
    "\r\n",
    "{\"topic\":\"t\"}",
    "\0",
    "\t",
    "POST / HTTP/1.1\r\n",
    "Host: x\r\n",
];
pub(crate) const ACTIONS: &[&str] = &[
    "view",
    "http",
    "copy",
    "broadcast",
    ", ",
    "; ",
    "label=",
    "url=",
    "https://a.example",
    "headers.",
    "extras.",
    "clear=true",
    "body=",
    "method=PUT",
    "value=",
    "intent=",
    "'",
    "\"",
    "[{\"action\":\"view\",\"label\":\"x\",\"url\":\"y\"}]",
    "\\\"",
];
pub(crate) const PARAMETERS: &[&str] = &[
    "title\t",
    "priority\t",
    "tags\t",
    "click\t",
    "icon\t",
    "actions\t",
    "markdown\t",
    "message\t",
    "sequence-id\t",
    "delay\t",
    "cache\t",
    "attach\t",
    "\n",
    "urgent",
    "5",
    "u=3",
    "a,b",
    "yes",
    "https://i.example",
    "view, a, b",
    "\\n",
    "no",
];
pub(crate) const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-1",
    "1e400",
    "\"topic\":\"t\"",
    "\"message\":\"m\"",
    "\"title\":\"T\"",
    "\"priority\":4",
    "\"tags\":[\"a\"]",
    "\"actions\":[]",
    "\"event\":\"message\"",
    "\"id\":\"000000000001\"",
    "\"seq\":1",
    "\"time\":1",
    "\"gap\":{}",
    ",\"prev\":\"000000000001\"",
    "\"lease\":60",
    "\"large\":true",
];

/// Bytes of what an error says.
const ERROR_BYTES_MAX: usize = 1200;

/// Runs a check on what is text; what is not is refused before it comes to these parsers.
fn text(bytes: &[u8], check: impl FnOnce(&str)) {
    if let Ok(text) = str::from_utf8(bytes) {
        check(text);
    }
}

/// What a name is, said once more.
fn is_segment(segment: &str) -> bool {
    !segment.is_empty() && segment.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

fn is_topic(text: &str) -> bool {
    text.len() <= TOPIC_BYTES_MAX && text.split('.').all(is_segment) && !RESERVED.contains(&text)
}

fn is_pattern(text: &str) -> bool {
    let segments: Vec<&str> = text.split('.').collect();
    let (last, others) = segments.split_last().unwrap();
    let fits = |segment: &&str| *segment == "*" || is_segment(segment);
    let is_wild = text.contains(['*', '>']);
    text.len() <= TOPIC_BYTES_MAX
        && others.iter().all(fits)
        && (fits(last) || *last == ">")
        && (is_wild || !RESERVED.contains(&text))
}

/// What a pattern selects, said once more.
fn selects(pattern: &[&str], topic: &[&str]) -> bool {
    match (pattern, topic) {
        ([], []) | ([">"], [_, ..]) => true,
        ([first, pattern @ ..], [segment, topic @ ..]) => {
            (*first == "*" || first == segment) && selects(pattern, topic)
        }
        _ => false,
    }
}

/// A topic is what the grammar says, and stays what it is.
pub(crate) fn topic(bytes: &[u8]) {
    text(bytes, |text| match text.parse::<Topic>() {
        Ok(topic) => {
            assert!(is_topic(text));
            assert_eq!(topic.as_str(), text);
            assert!(Filter::from(topic.clone()).matches(text));
            assert_eq!(text.parse(), Ok(Filter::from(topic)));
        }
        Err(error) => {
            assert!(!is_topic(text), "{error}");
            answerable(&error);
        }
    });
}

/// A filter is what the grammar says, and selects what its words mean. The first line is the
/// filter, each other one a topic.
pub(crate) fn filter(bytes: &[u8]) {
    text(bytes, |text| {
        let (written, topics) = text.split_once('\n').unwrap_or((text, ""));
        let mut parts: Vec<&str> = written.split(',').collect();
        let is_filter = parts.iter().all(|part| is_pattern(part));
        let filter = match written.parse::<Filter>() {
            Ok(filter) => filter,
            Err(error) => {
                let mut different = parts;
                different.sort_unstable();
                different.dedup();
                assert!(!is_filter || different.len() > FILTER_TOPICS_MAX, "{error}");
                return answerable(&error);
            }
        };
        assert!(is_filter);
        assert!(filter.patterns().len() <= FILTER_TOPICS_MAX);
        assert_eq!(filter.to_string().parse(), Ok(filter.clone()));
        for topic in topics.lines().filter(|topic| topic.parse::<Topic>().is_ok()) {
            let segments: Vec<&str> = topic.split('.').collect();
            let selected = |part: &&str| selects(&part.split('.').collect::<Vec<_>>(), &segments);
            assert_eq!(filter.matches(topic), parts.iter().any(selected), "{topic}");
        }
        parts.sort_unstable();
        parts.dedup();
        assert_eq!(filter.patterns().len(), parts.len(), "repeats are one");
        let is_exact = |pattern: &Pattern| matches!(pattern, Pattern::Exact(_));
        assert_eq!(filter.exact().is_some(), filter.patterns().iter().all(is_exact));
    });
}

/// Patterns contain and overlap each other as their topics do, and what is taken away from a filter
/// is not selected by it. The first two lines are patterns, each other one a topic.
pub(crate) fn containment(bytes: &[u8]) {
    text(bytes, |text| {
        let mut lines = text.lines();
        let mut pattern = || lines.next().and_then(|line| line.parse::<Pattern>().ok());
        let (Some(one), Some(other)) = (pattern(), pattern()) else { return };
        let [segments, others] = [&one, &other].map(segments);
        let held = holds(&one, &other);
        assert_eq!(one.contains(&other), held, "{one} contains {other}");
        assert_eq!(one.overlaps(&other), meet(&segments, &others), "{one} overlaps {other}");
        assert_eq!(other.overlaps(&one), one.overlaps(&other));
        let whole: Filter = one.as_str().parse().unwrap();
        let less = whole.without(std::slice::from_ref(&other));
        assert_eq!(less.to_string(), whole.to_string());
        for topic in lines.filter(|topic| topic.parse::<Topic>().is_ok()) {
            assert_eq!(less.matches(topic), one.matches(topic) && !other.matches(topic), "{topic}");
        }
    });
}

fn segments(pattern: &Pattern) -> Vec<&str> {
    pattern.as_str().split('.').collect()
}

/// Whether a pattern selects all that another one does, said once more: it does if it selects
/// whatever the other one stands for, be it names that occur nowhere in it.
pub(crate) fn holds(pattern: &Pattern, other: &Pattern) -> bool {
    let own = segments(pattern);
    (1..=own.len() + 1).all(|rest| {
        let stands_for = |segment: &str| match segment {
            "*" => vec!["?".to_owned()],
            ">" => vec!["?".to_owned(); rest],
            name => vec![name.to_owned()],
        };
        let topic: Vec<String> = segments(other).into_iter().flat_map(stands_for).collect();
        selects(&own, &topic.iter().map(String::as_str).collect::<Vec<_>>())
    })
}

/// Whether there is a topic that both select, said once more.
fn meet(one: &[&str], other: &[&str]) -> bool {
    match (one, other) {
        ([], []) | ([">"], [_, ..]) | ([_, ..], [">"]) => true,
        ([first, one @ ..], [second, other @ ..]) => {
            (first == second || *first == "*" || *second == "*") && meet(one, other)
        }
        _ => false,
    }
}

/// A place is written as it is read; ids sort as their text does.
pub(crate) fn since(bytes: &[u8]) {
    text(bytes, |text| {
        let _ = parse_duration(text);
        match text.parse::<Since>() {
            Ok(since) => {
                // A duration is written in milliseconds, so what is written is compared.
                let written = since.to_string();
                let again: Since = written.parse().unwrap();
                assert_eq!(again.to_string(), written);
            }
            Err(error) => answerable(&error),
        }
        let ids: Vec<(&str, Id)> =
            text.split(',').filter_map(|text| Some((text, text.parse().ok()?))).collect();
        for pair in ids.windows(2) {
            assert_eq!(pair[0].0.cmp(pair[1].0), pair[0].1.cmp(&pair[1].1), "{pair:?}");
            assert_eq!(pair[0].1.to_string(), pair[0].0);
        }
    });
}

/// A line is written as it is read.
pub(crate) fn command(bytes: &[u8]) {
    text(bytes, |text| {
        let Some(line) = text.lines().next() else { return };
        match Command::parse(line) {
            Ok(None) => assert!(line.chars().all(|c| c == ' ' || c == '\t')),
            Ok(Some(command)) => {
                assert_eq!(Command::parse(&command.to_string()), Ok(Some(command.clone())));
            }
            Err(error) => answerable(&error),
        }
    });
}

/// A datagram is written as it is read, and nothing that is answered before its cookie was checked
/// is answered by more than it has.
pub(crate) fn datagram(bytes: &[u8]) {
    let _ = cookie_in(bytes);
    let Some(request) = Request::parse(bytes) else { return };
    let answer = challenge("0123456789ab", bytes.len());
    assert!(answer.as_ref().is_none_or(|answer| answer.len() <= bytes.len()));
    let cookie = answer.as_ref().and_then(|answer| cookie_in(answer.as_bytes()));
    assert_eq!(cookie.is_some(), bytes.len() >= CHALLENGE_BYTES_MAX);
    match request.command() {
        Ok(command) => {
            let written = command.to_datagram(Some("0123456789ab"));
            let again = Request::parse(written.as_bytes());
            // With a cookie it may be longer than a datagram may be.
            if let Some(again) = again {
                assert_eq!(again.cookie(), Some("0123456789ab"));
                assert_eq!(again.command(), Ok(command));
            }
        }
        Err(error) => answerable(&error),
    }
}

/// What an event carries as a datagram comes apart as it was put together.
pub(crate) fn members(bytes: &[u8]) {
    if let (event, Some(members)) = Members::split(bytes) {
        let joined = members.join(&event);
        let (event_again, members_again) = Members::split(&joined);
        assert_eq!(members_again, Some(members));
        assert_eq!(event_again, event.trim_ascii_end());
    }
}

/// Buttons stay what they are when they are written as JSON, and are no more than there may be.
pub(crate) fn actions(bytes: &[u8]) {
    text(bytes, |text| match parse_actions(text) {
        Ok(actions) => {
            assert!(actions.len() <= ACTIONS_MAX);
            same_buttons(&actions);
        }
        Err(error) => answerable(&error),
    });
}

fn same_buttons(actions: &[Action]) {
    let written = serde_json::to_string(actions).unwrap();
    if written.len() <= ACTIONS_BYTES_MAX {
        assert_eq!(parse_actions(&written).unwrap(), actions);
    }
}

/// A draft made of parameters, one a line with its name before a tab, stays what it is when it is
/// written as JSON.
pub(crate) fn parameters(bytes: &[u8]) {
    text(bytes, |text| {
        let (lines, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let given: BTreeMap<&str, &str> =
            lines.lines().filter_map(|line| line.split_once('\t')).collect();
        let parameter = |parameter: Parameter| {
            let found = parameter.names().iter().find_map(|name| given.get(name));
            found.map(|value| (*value).to_owned())
        };
        match Draft::new("t".parse().unwrap(), body, MESSAGE_BYTES_DEFAULT, parameter) {
            Ok(draft) => same_draft(&draft),
            Err(error) => answerable(&error),
        }
    });
}

/// A draft of JSON stays what it is when it is written.
pub(crate) fn draft(bytes: &[u8]) {
    let read =
        JsonDraft::parse(bytes).and_then(|draft| draft.into_draft(MESSAGE_BYTES_DEFAULT, |_| None));
    match read {
        Ok(draft) => same_draft(&draft),
        Err(error) => answerable(&error),
    }
}

fn same_draft(draft: &Draft) {
    assert!(draft.message.len() <= MESSAGE_PARAMETER_BYTES_MAX);
    let written = draft.to_json();
    assert!(!written.contains('\n'));
    let again = JsonDraft::parse(written.as_bytes()).unwrap();
    match again.into_draft(MESSAGE_PARAMETER_BYTES_MAX, |_| None) {
        Ok(again) => assert_eq!(again, *draft),
        // Buttons may be longer as JSON than in their short form.
        Err(error) => {
            let actions = serde_json::to_string(&draft.actions).unwrap();
            assert!(actions.len() > ACTIONS_BYTES_MAX, "{error}");
        }
    }
}

/// What clients read of a server stays what it is when it is written.
pub(crate) fn event(bytes: &[u8]) {
    if let Ok(event) = Event::parse(bytes) {
        let written = event.to_json();
        assert_eq!(Event::parse(written.as_bytes()).unwrap(), event);
    }
}

/// An error says what is wrong in one line, however long and odd that is which it is about.
fn answerable(error: &Error) {
    let text = error.text();
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(text.len() <= ERROR_BYTES_MAX, "{} bytes: {text}", text.len());
}
