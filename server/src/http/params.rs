//! The parameters of a request, in headers or in the query, under any of their names.

use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use doorbell_protocol::code::quoted;
use doorbell_protocol::draft::is_yes;
use doorbell_protocol::{Code, Error, Parameter, Since};
use rfc2047_decoder::{Decoder, RecoverStrategy};
use serde::de::DeserializeOwned;

use super::answer::Refusal;
use super::connection::Waits;
use crate::conditions::Conditions;

/// The variable parts of an address, refused in the shape of the dialect.
#[derive(Debug)]
pub(crate) struct Address<T>(pub(crate) T);

impl<S: Sync + Send, T: DeserializeOwned + Send> FromRequestParts<S> for Address<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(place)) => Ok(Self(place)),
            Err(_) => Err(Error::new(Code::TopicInvalid, "address is not UTF-8").into()),
        }
    }
}

/// Where the parameters of one request are found.
#[derive(Debug)]
pub(crate) struct Params {
    headers: HeaderMap,
    query: Vec<(String, String)>,
    waits: Waits,
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (name, value) in &parts.headers {
            if std::str::from_utf8(value.as_bytes()).is_err() {
                let text = format!("header {} is not UTF-8", quoted(name.as_str()));
                return Err(Error::new(Code::NotUtf8, text).into());
            }
        }
        let waits = parts.extensions.get::<Waits>().cloned().unwrap_or_default();
        Ok(Self { headers: parts.headers.clone(), query, waits })
    }
}

impl Params {
    /// The first value under any of the names: headers in any case before the query in lower case.
    pub(crate) fn get(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.header(name)).or_else(|| {
            names.iter().find_map(|name| {
                let found = self.query.iter().find(|(key, _)| key == name);
                found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
            })
        })
    }

    /// A header as text; encoded words of RFC 2047 are decoded.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let value = std::str::from_utf8(self.headers.get(name)?.as_bytes()).ok()?.trim();
        // Browsers send the standard header of RFC 9218, which says nothing about the message.
        let browsers_own = name == "priority" && (value.starts_with("u=") || value == "i");
        if value.is_empty() || browsers_own {
            return None;
        }
        let decoded = value.contains("=?").then(|| {
            let decoder = Decoder::new().too_long_encoded_word_strategy(RecoverStrategy::Decode);
            decoder.decode(value.as_bytes()).ok()
        });
        Some(decoded.flatten().unwrap_or_else(|| value.to_owned()))
    }

    /// A parameter of a publish.
    pub(crate) fn parameter(&self, parameter: Parameter) -> Option<String> {
        let found = self.get(parameter.names());
        if found.is_none() && parameter == Parameter::Markdown {
            let content_type = self.header("content-type")?;
            return content_type.starts_with("text/markdown").then(|| "yes".to_owned());
        }
        found
    }

    /// Where to say that the answer takes long.
    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// Whether the request asks to poll.
    pub(crate) fn poll(&self) -> bool {
        self.get(&["x-poll", "poll", "po"]).is_some_and(|value| is_yes(&value))
    }

    /// Where the reader wants to begin; `default` where it does not say.
    pub(crate) fn since(&self, default: Since) -> Result<Since, Error> {
        match self.get(&["x-since", "since", "si"]) {
            Some(text) => text.parse(),
            None => Ok(default),
        }
    }

    /// What the reader asks of messages beyond their topic.
    pub(crate) fn conditions(&self) -> Result<Conditions, Error> {
        Conditions::new(
            self.get(&["x-id", "id"]),
            self.get(Parameter::Message.names()),
            self.get(Parameter::Title.names()),
            self.get(Parameter::Priority.names()).as_deref(),
            self.get(Parameter::Tags.names()).as_deref(),
        )
    }
}
