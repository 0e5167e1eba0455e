//! Publishing over HTTP: a body, a JSON object, or a query.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use doorbell_protocol::draft::JsonDraft;
use doorbell_protocol::{Code, Draft, Error, Topic};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::App;
use super::answer::Refusal;
use super::params::{Address, Params};
use crate::message::Message;

/// Bytes of a JSON publish beside its text: its other members, and their escapes.
const JSON_EXTRA_BYTES: usize = 16 << 10;

/// `POST` or `PUT /TOPIC`: the body is the text.
pub(crate) async fn body(
    State(app): State<App>,
    Address(topic): Address<String>,
    parts: Parts,
    body: Body,
) -> Result<Response, Refusal> {
    let params = Params::of(&parts)?;
    let text = read_text(&app, body).await;
    publish(&app, || draft_of(&app, &topic, &text?, &params)).await
}

/// `POST` or `PUT /TOPIC/SEQUENCE_ID`: the text is a new version of a notification.
pub(crate) async fn update(
    State(app): State<App>,
    Address((topic, sequence_id)): Address<(String, String)>,
    parts: Parts,
    body: Body,
) -> Result<Response, Refusal> {
    let params = Params::of(&parts)?;
    let text = read_text(&app, body).await;
    publish(&app, || {
        let limit = app.hub.limits().message_bytes;
        Draft::new(parse_topic(&topic)?, &text?, limit, |parameter| match parameter {
            doorbell_protocol::Parameter::SequenceId => Some(sequence_id.clone()),
            other => params.parameter(other),
        })
    })
    .await
}

/// `POST` or `PUT /`: the body is a JSON object with a `topic`.
pub(crate) async fn json(
    State(app): State<App>,
    parts: Parts,
    body: Body,
) -> Result<Response, Refusal> {
    let params = Params::of(&parts)?;
    let message_bytes = app.hub.limits().message_bytes;
    let limit = 2 * message_bytes + JSON_EXTRA_BYTES;
    let body = read_body(&app, body, limit, "JSON body", Code::JsonTooLarge).await;
    publish(&app, || {
        JsonDraft::parse(&body?)?.into_draft(message_bytes, |parameter| params.parameter(parameter))
    })
    .await
}

/// `GET /TOPIC/publish`: everything is in the query.
pub(crate) async fn query(
    State(app): State<App>,
    Address(topic): Address<String>,
    parts: Parts,
) -> Result<Response, Refusal> {
    let params = Params::of(&parts)?;
    publish(&app, || draft_of(&app, &topic, "", &params)).await
}

fn draft_of(app: &App, topic: &str, text: &str, params: &Params<'_>) -> Result<Draft, Error> {
    let limit = app.hub.limits().message_bytes;
    Draft::new(parse_topic(topic)?, text, limit, |parameter| params.parameter(parameter))
}

fn parse_topic(text: &str) -> Result<Topic, Error> {
    text.parse()
}

/// The draft of a `POST` or `PUT /TOPIC` whose body is there.
pub(crate) fn draft(
    app: &App,
    topic: &str,
    body: &[u8],
    params: &Params<'_>,
) -> Result<Draft, Error> {
    let limit = app.hub.limits().message_bytes;
    if body.len() > limit {
        return Err(too_large(body.len() as u64, limit, "message", Code::MessageTooLarge));
    }
    draft_of(app, topic, text_of(body)?, params)
}

async fn publish(
    app: &App,
    draft: impl FnOnce() -> Result<Draft, Error>,
) -> Result<Response, Refusal> {
    let result = match draft() {
        Ok(draft) => app.hub.publish(draft).await,
        Err(error) => Err(error),
    };
    answer(app, result)
}

/// What a publisher is told.
pub(crate) fn answer(app: &App, result: Result<Message, Error>) -> Result<Response, Refusal> {
    app.manners.metrics.published(result.is_ok());
    let message = result?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, message.frame().line()).into_response())
}

async fn read_text(app: &App, body: Body) -> Result<String, Error> {
    let limit = app.hub.limits().message_bytes;
    let body = read_body(app, body, limit, "message", Code::MessageTooLarge).await?;
    text_of(&body).map(str::to_owned)
}

fn text_of(body: &[u8]) -> Result<&str, Error> {
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.trim()),
        Err(_) => Err(Error::new(
            Code::AttachmentsUnsupported,
            "body is not UTF-8 text, and attachments are not supported",
        )),
    }
}

fn too_large(bytes: u64, limit: usize, what: &str, code: Code) -> Error {
    Error::new(code, format!("{what} is {bytes} bytes long, limit is {limit}"))
}

async fn read_body(
    app: &App,
    body: Body,
    limit: usize,
    what: &str,
    code: Code,
) -> Result<Bytes, Error> {
    let size = hyper::body::Body::size_hint(&body).exact();
    if let Some(size) = size.filter(|size| *size > limit as u64) {
        return Err(too_large(size, limit, what, code));
    }
    let unfinished = app.manners.unfinished;
    let Ok(collected) = timeout(unfinished, Limited::new(body, limit).collect()).await else {
        let text = format!("{what} was not finished within {} s", unfinished.as_secs_f64());
        return Err(Error::new(Code::Timeout, text));
    };
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("{what} is longer than {limit} bytes, which is the limit");
            Err(Error::new(code, text))
        }
        Err(_) => Err(Error::new(Code::BadRequest, "body was not received whole")),
    }
}
