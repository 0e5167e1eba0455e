//! The parameters of a request, in headers or in the query, under any of their names.

use std::borrow::Cow;

use doorbell_protocol::draft::is_yes;
use doorbell_protocol::{CoalesceWindow, Conditions, Error, Parameter, Since};
use encoding_rs::mem::decode_latin1;

use super::encoded_words::decode_words;
use super::request::{Headers, Request};

/// As what a last id stands in the query: polyfills of `EventSource` send it there.
const LAST_ID_NAMES: [&str; 3] = ["lastEventId", "Last-Event-ID", "last-event-id"];

/// Where the parameters of one request are found.
#[derive(Debug)]
pub(super) struct Params<'a> {
    headers: Headers<'a>,
    query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// The members of a query. Hardly any has something to decode.
fn members(query: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    if query.contains(['%', '+']) {
        return form_urlencoded::parse(query.as_bytes()).collect();
    }
    let plain = query.split('&').filter(|member| !member.is_empty());
    let pairs = plain.map(|member| member.split_once('=').unwrap_or((member, "")));
    pairs.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect()
}

impl<'a> Params<'a> {
    /// Those of a request.
    pub(super) fn of(request: &Request<'a>) -> Self {
        Self { headers: request.headers, query: members(request.query.unwrap_or_default()) }
    }

    /// The first value under any of the names: headers in any case before the query in lower case.
    pub(super) fn get(&self, names: &[&str]) -> Option<Cow<'_, str>> {
        names.iter().find_map(|name| self.header(name)).or_else(|| {
            names.iter().find_map(|name| {
                let (_, value) = self.query.iter().find(|(key, _)| key == name)?;
                (!value.is_empty()).then_some(Cow::Borrowed(&**value))
            })
        })
    }

    /// A header as text; encoded words of RFC 2047 are decoded.
    #[inline]
    pub(super) fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        // Most names that are asked for are not there.
        text_of(name, self.headers.get(name)?)
    }

    /// A parameter of a publish.
    pub(super) fn parameter(&self, parameter: Parameter) -> Option<String> {
        let found = self.get(parameter.names());
        if found.is_none() && parameter == Parameter::Markdown {
            let content_type = self.header("content-type")?;
            let media_type = content_type.split(';').next().unwrap_or_default().trim();
            return media_type.eq_ignore_ascii_case("text/markdown").then(|| "yes".to_owned());
        }
        found.map(Cow::into_owned)
    }

    /// Whether the request asks to poll.
    pub(super) fn poll(&self) -> bool {
        self.get(&["x-poll", "poll", "po"]).is_some_and(|value| is_yes(&value))
    }

    /// Whether the request asks for what waits for its time, too.
    pub(super) fn scheduled(&self) -> bool {
        let asked = self.get(&["x-scheduled", "scheduled", "sched"]);
        asked.is_some_and(|value| is_yes(&value))
    }

    /// Where the reader wants to begin; `default` where it does not say. The last id that it has
    /// seen comes before what its address says, which never changes.
    pub(super) fn since(&self, default: Since) -> Result<Since, Error> {
        let in_query = |name: &&str| self.query.iter().find(|(key, _)| key == name);
        let last_id = self.header("last-event-id").or_else(|| {
            let mut found = LAST_ID_NAMES.iter().filter_map(in_query);
            let (_, value) = found.find(|(_, value)| !value.is_empty())?;
            Some(Cow::Borrowed(&**value))
        });
        if let Some(id) = last_id {
            return Ok(Since::last_id(&id));
        }
        match self.get(&["x-since", "since", "si"]) {
            Some(text) => text.parse(),
            None => Ok(default),
        }
    }

    /// How long the reader lets messages wait for others.
    pub(super) fn coalesce(&self) -> Result<CoalesceWindow, Error> {
        let window = self.get(&["x-coalesce", "coalesce"]);
        window.map_or(Ok(CoalesceWindow::default()), |text| text.parse())
    }

    /// What the reader asks of messages beyond their topic.
    pub(super) fn conditions(&self) -> Result<Conditions, Error> {
        let owned = |names| self.get(names).map(Cow::into_owned);
        Conditions::new(
            owned(&["x-id", "id"]),
            owned(Parameter::Message.names()),
            owned(Parameter::Title.names()),
            self.get(Parameter::Priority.names()).as_deref(),
            self.get(Parameter::Tags.names()).as_deref(),
        )
    }
}

/// The value of a header as text; encoded words of RFC 2047 are decoded. What is not UTF-8 is
/// Latin-1: so do the libraries of several languages write all that they can.
fn text_of<'a>(name: &str, value: &'a [u8]) -> Option<Cow<'a, str>> {
    let Ok(value) = std::str::from_utf8(value) else {
        let value = decode_latin1(value);
        let text = decode_words(value.trim()).into_owned();
        return (!text.is_empty()).then_some(Cow::Owned(text));
    };
    let value = value.trim();
    // Browsers send the standard header of RFC 9218, which says nothing about the message.
    let browsers_own = name == "priority" && (value.starts_with("u=") || value == "i");
    if value.is_empty() || browsers_own {
        return None;
    }
    Some(decode_words(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn members_are_those_of_the_library(query in "[ab=&%+2]{0,12}") {
            let theirs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
            prop_assert_eq!(members(&query), theirs);
        }
    }
}
