//! A message whose file is sent along with it.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::Parameter;
use doorbell_protocol::draft::{Draft, JsonDraft};
use futures_core::Stream;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::address::Site;
use crate::content::Content;
use crate::error::Error;
use crate::http::HttpClient;
use crate::laboratory::{Habits, Observed};
use crate::received::Received;

/// How long a file may take. The server is less patient: it wants some speed.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// What is said of a message beside its file.
const BESIDE: [Parameter; 11] = [
    Parameter::Title,
    Parameter::Priority,
    Parameter::Tags,
    Parameter::Click,
    Parameter::Icon,
    Parameter::Actions,
    Parameter::Markdown,
    Parameter::SequenceId,
    Parameter::Email,
    Parameter::Delay,
    Parameter::Cache,
];

/// Publishes a draft with a file of that name. It is tried once, as its content comes only once.
pub(crate) async fn upload(
    site: &Site,
    draft: &Draft,
    name: &str,
    content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<Received, Error> {
    let body = StreamBody::new(content.map(|piece| piece.map(Frame::data))).boxed_unsync();
    let request = Request::put(address(draft, name)?);
    let mut client = HttpClient::new(site.clone(), Observed::default(), Habits::default());
    let answer = client.send_body(request, body, UPLOAD_DEADLINE).await?;
    Received::parse(Content::of(answer)?.whole().await?)
}

/// The topic and all that is said in the query.
fn address(draft: &Draft, name: &str) -> Result<String, Error> {
    let said = JsonDraft::parse(draft.to_json().as_bytes());
    let said = said.map_err(|error| Error::Unexpected(error.to_string()))?;
    let mut address = format!("/{}?filename={}", draft.topic, escaped(name));
    let text = said.message.clone().map(|text| (Parameter::Message, text));
    let beside = BESIDE.into_iter().filter_map(|of| Some((of, said.parameter(of)?)));
    for (parameter, value) in text.into_iter().chain(beside) {
        if let Some(name) = parameter.names().last().filter(|_| !value.is_empty()) {
            // Writing to a string does not fail.
            let _ = write!(address, "&{name}={}", escaped(&value));
        }
    }
    Ok(address)
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_said_stands_in_the_address() {
        let mut draft = Draft::unchecked("a.b".parse().unwrap(), "two words");
        draft.title = Some("T&ü".to_owned());
        draft.tags = vec!["x".to_owned(), "y".to_owned()];
        draft.priority = Some(4);
        draft.is_kept = false;
        assert_eq!(
            address(&draft, "a b.jpg").unwrap(),
            "/a.b?filename=a%20b%2Ejpg&m=two%20words&t=T%26%C3%BC&p=4&ta=x%2Cy&cache=no"
        );
    }
}
